//! Liveness outside the log: every node reports to the leader, which keeps a table of what it heard in its term.
//!
//! The table also carries the wall clocks from which the leader takes the median that log time may jump to, and the
//! checksums by which a node learns that its state has diverged.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use capstan_model::{
    buggify,
    ids::{DiskId, Incarnation, NodeId},
    log_time, sometimes,
    time::Timestamp,
};
use openraft::async_runtime::WatchReceiver as _;
use tokio::sync::watch;

use crate::{
    peer::{Channel, Heartbeat, HeartbeatReply, NodeFacts, PeerReply, PeerRequest, Transport},
    ports::Clock,
    timing::Timing,
    type_config::Raft,
};

/// How soon a report that nobody acknowledged is repeated: a new leader acknowledges none, its own included, before it has applied
/// its first entry, and a node that nobody has heard cannot be admitted.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What this node knows of everybody's liveness.
pub(crate) struct Heartbeats {
    clock: Arc<dyn Clock>,
    timing: Timing,
    voters: Vec<NodeId>,
    inner: Mutex<Inner>,
    lease: watch::Sender<Option<Duration>>,
    /// Whether this node may report.
    reports: watch::Sender<bool>,
}

#[derive(Default)]
struct Inner {
    /// The term in which `heard` was heard; a new leader counts all silence from its own first committed entry.
    term: u64,
    heard: BTreeMap<NodeId, Heard>,
    /// Lives that this leader is about to declare lost. It says so to the log, and must not extend their leases meanwhile.
    given_up: BTreeSet<Incarnation>,
    verdict: Verdict,
    /// The hash of this node's own request specs.
    specs: Option<u128>,
}

struct Heard {
    heartbeat: Heartbeat,
    /// When it came, on the monotonic clock.
    at: Duration,
}

impl Heard {
    /// What the sender's wall clock reads now, as far as its last report says.
    fn wall(&self, now: Duration) -> Timestamp {
        self.heartbeat.wall.after(now.saturating_sub(self.at))
    }
}

/// What the leader's last acknowledgement says of this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// This node's wall clock minus the median, in milliseconds.
    pub(crate) skew_ms: Option<i64>,
    /// Whether this node's checksum differs from the majority's.
    pub(crate) diverged: bool,
}

/// One node as its heartbeats show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenNode {
    /// Its present life.
    pub incarnation: Incarnation,
    /// Its data directory.
    pub disk: DiskId,
    /// What it offers.
    pub facts: NodeFacts,
    /// How long ago its last heartbeat came.
    pub silence: Duration,
    /// Its wall clock minus the median of all, in milliseconds.
    pub clock_skew_ms: i64,
    /// Whether its disk is nearly full.
    pub disk_nearly_full: bool,
    /// A hash of the request specs it has loaded; `None` without any.
    pub specs: Option<u128>,
}

impl Heartbeats {
    pub(crate) fn new(clock: Arc<dyn Clock>, timing: Timing, voters: Vec<NodeId>) -> Self {
        let (lease, reports) = (watch::Sender::new(None), watch::Sender::new(false));
        Self { clock, timing, voters, inner: Mutex::default(), lease, reports }
    }

    /// From now on this node reports.
    pub(crate) fn begin(&self) {
        self.reports.send_replace(true);
    }

    /// Waits until this node may report.
    async fn begun(&self) {
        let begun = self.reports.subscribe().wait_for(|reports| *reports).await.map(drop);
        begun.expect("the sender is borrowed");
    }

    /// Forgets what was heard under another term.
    pub(crate) fn start_term(&self, term: u64) {
        let mut inner = self.lock();
        if inner.term != term {
            inner.term = term;
            inner.heard.clear();
            inner.given_up.clear();
        }
    }

    /// Notes a heartbeat that came to this node as leader.
    pub(crate) fn hear(&self, heartbeat: Heartbeat) -> HeartbeatReply {
        let at = self.clock.monotonic();
        let node = heartbeat.incarnation.node;
        let index = heartbeat.checksum.map(|(index, _)| index);
        let mut inner = self.lock();
        if let Some(known) = inner.heard.get(&node)
            && known.heartbeat.incarnation > heartbeat.incarnation
        {
            let reason = format!("a newer life of node {node} reports: {}", known.heartbeat.incarnation);
            return HeartbeatReply::Refused { reason };
        }
        if inner.given_up.contains(&heartbeat.incarnation) && !capstan_model::mutant!("given-up-acknowledged")
        {
            sometimes!("a life reports while it is being declared lost");
            let reason =
                format!("{} was silent for too long and is being declared lost", heartbeat.incarnation);
            return HeartbeatReply::Refused { reason };
        }
        inner.heard.insert(node, Heard { heartbeat, at });
        let checksum = index.and_then(|index| self.majority_checksum(&inner, index));
        // Never this node's own clock in its stead: all others would be measured by one clock, which may be the wrong one.
        HeartbeatReply::Acknowledged { median: self.median(&inner, at), checksum }
    }

    /// Lets a life be heard no more in this term, if it has been silent for longer than `patience`; says whether that is so. A life that was
    /// never heard has been silent all along.
    pub(crate) fn give_up(&self, term: u64, life: Incarnation, patience: Duration) -> bool {
        let now = self.clock.monotonic();
        let mut inner = self.lock();
        let heard = inner.heard.get(&life.node).filter(|heard| heard.heartbeat.incarnation == life);
        let is_silent = heard.is_none_or(|heard| now.saturating_sub(heard.at) > patience);
        if inner.term != term || !is_silent {
            sometimes!("a life is heard just before it is given up");
            return false;
        }
        inner.given_up.insert(life);
        true
    }

    /// The median of the wall clocks that a majority of the voters reported lately; `None` when fewer did.
    pub(crate) fn median_wall(&self) -> Option<Timestamp> {
        self.median(&self.lock(), self.clock.monotonic())
    }

    /// Everything heard in this term, by node.
    pub(crate) fn seen(&self) -> Vec<SeenNode> {
        let now = self.clock.monotonic();
        let inner = self.lock();
        let median = self.median(&inner, now);
        let seen = |heard: &Heard| SeenNode {
            incarnation: heard.heartbeat.incarnation,
            disk: heard.heartbeat.disk,
            facts: heard.heartbeat.facts.clone(),
            silence: now.saturating_sub(heard.at),
            clock_skew_ms: median.map_or(0, |median| log_time::clock_skew_ms(heard.wall(now), median)),
            disk_nearly_full: heard.heartbeat.disk_nearly_full,
            specs: heard.heartbeat.specs,
        };
        inner.heard.values().map(seen).collect()
    }

    fn median(&self, inner: &Inner, now: Duration) -> Option<Timestamp> {
        let recent = |heard: &&Heard| {
            self.voters.contains(&heard.heartbeat.incarnation.node)
                && now.saturating_sub(heard.at) <= self.timing.owner_lost_after
        };
        log_time::median(inner.heard.values().filter(recent).map(|heard| heard.wall(now)), self.voters.len())
    }

    /// From now on this node reports these specs.
    pub(crate) fn announce_specs(&self, hash: Option<u128>) {
        self.lock().specs = hash;
    }

    pub(crate) fn announced_specs(&self) -> Option<u128> {
        self.lock().specs
    }

    /// What the leader last said of this node.
    pub(crate) fn verdict(&self) -> Verdict {
        self.lock().verdict
    }

    /// Whether this node's wall clock is near the median, as far as it knows.
    pub(crate) fn clock_sane(&self) -> bool {
        self.verdict().skew_ms.is_none_or(log_time::is_sane)
    }

    /// Whether a leader with a majority behind it has lately heard this node.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.lease.borrow().is_some_and(|until| self.clock.monotonic() < until)
    }

    pub(crate) fn lease(&self) -> watch::Receiver<Option<Duration>> {
        self.lease.subscribe()
    }

    /// Takes the leader's acknowledgement of a heartbeat that was sent at `sent`.
    fn acknowledged(
        &self,
        sent: Duration,
        reported: Option<(u64, u128)>,
        median: Option<Timestamp>,
        checksum: Option<(u64, u128)>,
    ) {
        let diverged = match (reported, checksum) {
            (Some((index, mine)), Some((at, theirs))) if index == at => mine != theirs,
            _ => false,
        };
        let skew_ms = median.map(|median| log_time::clock_skew_ms(self.clock.wall(), median));
        if diverged {
            tracing::error!(
                index = reported.map(|(index, _)| index),
                "this node's state differs from the majority's"
            );
        }
        if let Some(skew_ms) = skew_ms
            && !log_time::is_sane(skew_ms)
        {
            tracing::warn!(skew_ms, "this node's wall clock is far from the median of the cluster");
        }
        let mut inner = self.lock();
        // A divergence does not heal: it stays said until the node is restarted with other data.
        let before = inner.verdict;
        inner.verdict =
            Verdict { skew_ms: skew_ms.or(before.skew_ms), diverged: before.diverged || diverged };
        drop(inner);
        self.lease.send_replace(Some(sent + self.timing.lease));
    }

    /// The checksum at `index` that more than half of the nodes which report that index agree on, and a majority of voters report.
    fn majority_checksum(&self, inner: &Inner, index: u64) -> Option<(u64, u128)> {
        let mut counts: BTreeMap<u128, usize> = BTreeMap::new();
        for (_, sum) in
            inner.heard.values().filter_map(|h| h.heartbeat.checksum).filter(|(at, _)| *at == index)
        {
            *counts.entry(sum).or_default() += 1;
        }
        let (sum, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        (count * 2 > self.voters.len()).then_some((index, sum))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of this lock panics")
    }
}

/// What a heartbeat is made of and where it goes.
pub(crate) struct Reporter {
    pub(crate) heartbeats: Arc<Heartbeats>,
    pub(crate) raft: Raft,
    pub(crate) node: NodeId,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) describe: Box<dyn Fn(Timestamp) -> Heartbeat + Send + Sync>,
    pub(crate) acknowledge: Box<dyn Fn(Heartbeat) -> HeartbeatReply + Send + Sync>,
}

impl Reporter {
    /// Reports for as long as the node lives. A report never waits longer than the period, so one lost answer delays nothing.
    pub(crate) async fn run(self) {
        if !capstan_model::mutant!("reported-before-begun") {
            self.heartbeats.begun().await;
        }
        let period = self.heartbeats.timing.node_heartbeat;
        let mut server = self.raft.server_metrics();
        loop {
            let wait = if self.report(period).await { period } else { AGAIN_AFTER.min(period) };
            let wait = match wait {
                wait if buggify!("buggify: a report is late") => wait + period / 4,
                wait if buggify!("buggify: a report is early") => wait / 4,
                wait => wait,
            };
            // A new leader is told at once: until it has heard from a majority it cannot admit nodes.
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = server.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Reports once; says whether a leader answered for it, and so whether the next report can wait for its time.
    async fn report(&self, patience: Duration) -> bool {
        let Some(leader) = self.raft.current_leader().await.map(NodeId) else { return false };
        let sent = self.heartbeats.clock.monotonic();
        let heartbeat = (self.describe)(self.heartbeats.clock.wall());
        let reported = heartbeat.checksum;
        let reply = if leader == self.node {
            Ok(PeerReply::Heartbeat((self.acknowledge)(heartbeat)))
        } else {
            let request = PeerRequest::Heartbeat(Box::new(heartbeat));
            self.transport.call(leader, Channel::Heartbeat, request, patience).await
        };
        match reply {
            Ok(PeerReply::Heartbeat(HeartbeatReply::Acknowledged { median, checksum })) => {
                self.heartbeats.acknowledged(sent, reported, median, checksum);
                return true;
            }
            Ok(PeerReply::Heartbeat(HeartbeatReply::Refused { reason })) => {
                sometimes!("a report is refused");
                tracing::warn!(leader = leader.0, reason, "the leader refused this node's heartbeat");
                return true;
            }
            Ok(other) => tracing::debug!(leader = leader.0, ?other, "the heartbeat was not acknowledged"),
            Err(error) => tracing::debug!(leader = leader.0, %error, "the heartbeat had no answer"),
        }
        if capstan_model::mutant!("lease-renewed-unacknowledged") {
            self.heartbeats.acknowledged(sent, None, None, None);
        }
        false
    }
}

#[cfg(test)]
mod tests;
