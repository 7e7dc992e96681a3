//! Which node runs a request.

use std::{sync::Arc, time::Duration};

use super::{
    LiveRequests,
    chain::{JobPlace, ValidChain},
    command::{TryEnd, TryReport},
    draft::{Draft, EndOfTry},
    event::WorkflowEvent,
    job::{Phase, takes_slot},
    request::{LiveRequest, RequestState},
    retry::Cause,
};
use crate::{
    ids::{Incarnation, NodeId, RequestId},
    nodes::{NodeRecord, Nodes},
    time::Timestamp,
};

/// The most requests that one command takes over.
pub const TAKEN_OVER_MAX: usize = 256;

/// Whether a life is its node's newest and not lost: whether it still owns anything.
pub(super) fn is_current(nodes: &Nodes, owner: Incarnation) -> bool {
    nodes.get(&owner.node).is_some_and(|record| record.incarnation == owner && !record.lost)
}

/// Whether an owner may be given jobs to start: it is current, and not about to hand over what it has.
pub(super) fn may_start(nodes: &Nodes, owner: Incarnation) -> bool {
    let is_available = nodes.get(&owner.node).is_some_and(|record| record.is_available());
    is_current(nodes, owner) && (is_available || mutant!("drained-node-starts"))
}

/// How many more jobs a life may run.
pub(super) fn free_slots(nodes: &Nodes, live: &LiveRequests, owner: Incarnation) -> u32 {
    let record = nodes.get(&owner.node).filter(|_| may_start(nodes, owner));
    record.map_or(0, |record| {
        let slots = record.slots + u32::from(mutant!("slots-off-by-one"));
        slots.saturating_sub(live.slots_taken(owner))
    })
}

/// The owner of a chain: of the live nodes that offer every job type of it, the one with the most free slots,
/// then the fewest requests, then the lowest id.
pub(super) fn choose(nodes: &Nodes, live: &LiveRequests, chain: &ValidChain) -> Option<Incarnation> {
    able(nodes, chain.job_types())
        .min_by_key(|record| {
            let life = record.incarnation;
            (u32::MAX - free_slots(nodes, live, life), live.owned_count(life), life.node)
        })
        .map(|record| record.incarnation)
}

/// The live nodes that could run jobs of these types.
fn able<'a>(nodes: &'a Nodes, job_types: &'a [Arc<str>]) -> impl Iterator<Item = &'a NodeRecord> {
    let needs_slots = job_types.iter().any(|kind| takes_slot(kind));
    let can_run = move |record: &&NodeRecord| {
        (record.slots > 0 || !needs_slots) && job_types.iter().all(|kind| record.offers(kind))
    };
    nodes.values().map(|record| &**record).filter(|record| record.is_available()).filter(can_run)
}

/// Whether nothing of a request runs.
fn has_stopped(live: &LiveRequest) -> bool {
    live.tally().running == 0 || mutant!("handed-over-while-running")
}

impl LiveRequests {
    /// The requests that are for others to run: of lives that are over, of owners that are drained once nothing of the
    /// request runs any more, and those without an owner that some node can run.
    pub fn to_take_over<'a>(&'a self, nodes: &'a Nodes) -> impl Iterator<Item = RequestId> + 'a {
        let of_node = move |record: &'a Arc<NodeRecord>| {
            let life = record.incarnation;
            let gone = self.owned_by_former(life);
            let newest = self
                .owned_by(life)
                .filter(move |live| record.lost || !record.is_available() && has_stopped(live));
            // A node that can be given work keeps what it has, and need not be looked through.
            gone.chain(newest.take(if record.is_available() { 0 } else { usize::MAX }))
        };
        let unowned = self.indexes.unowned_with(|job_types| {
            able(nodes, job_types).next().is_some() && !mutant!("suspended-forgotten")
        });
        nodes.values().flat_map(of_node).map(LiveRequest::id).chain(unowned)
    }
}

impl LiveRequests {
    /// The requests that have waited for a node that can go on with them for longer than they may; none without a bound.
    pub fn overdue(&self, wait_max: Option<Duration>, now: Timestamp) -> impl Iterator<Item = RequestId> {
        let suspended = self.in_state(RequestState::Suspended);
        let overdue = move |max| suspended.filter(move |live| live.progress.is_overdue(max, now));
        wait_max.map(overdue).into_iter().flatten().map(LiveRequest::id)
    }
}

impl Draft<'_> {
    /// Gives a request without an owner one, if a node can run it.
    pub(super) fn find_owner(&mut self, request: RequestId) {
        let chosen = choose(self.nodes, &self.live, self.request(request).chain());
        if let Some(owner) = chosen {
            self.own(request, owner);
        } else {
            sometimes!("nobody can take a request over");
        }
    }

    /// Takes over as many requests as one command may.
    pub(super) fn take_over_some(&mut self) {
        let requests: Vec<RequestId> = self.live.to_take_over(self.nodes).take(TAKEN_OVER_MAX).collect();
        for request in requests {
            match self.request(request).progress.owner {
                None => self.find_owner(request),
                Some(owner) if is_current(self.nodes, owner) => {
                    sometimes!("a living node hands a request over");
                    self.hand_over(request);
                }
                Some(owner) => self.take_over(request, owner.node),
            }
        }
    }

    /// Starts what could not start while a node was drained, of the requests it still has.
    pub(super) fn go_on(&mut self, node: NodeId) {
        let Some(owner) = self.nodes.get(&node).map(|record| record.incarnation) else { return };
        let owned: Vec<RequestId> = self.live.owned_by(owner).map(LiveRequest::id).collect();
        for request in owned {
            let frontier: Vec<JobPlace> = self.request(request).frontier().collect();
            sometimes!(
                "a node goes on with what it could not start while it was drained",
                !frontier.is_empty()
            );
            frontier.into_iter().for_each(|job| self.make_runnable(request, job));
            self.settle(request);
        }
    }

    /// Ends the tries that ran on a lost node, and gives the request to another.
    fn take_over(&mut self, request: RequestId, lost: NodeId) {
        let live = self.request(request);
        let running: Vec<_> = live
            .chain()
            .places()
            .filter_map(|place| match live.job_at(place).phase {
                Phase::Running { since } => Some((place, live.job_at(place).try_no, since, Cause::Lost)),
                Phase::Overdue { since } => Some((place, live.job_at(place).try_no, since, Cause::Overdue)),
                Phase::Awaiting { since } if mutant!("approval-lost-with-owner") => {
                    Some((place, live.job_at(place).try_no, since, Cause::Lost))
                }
                _ => None,
            })
            .collect();
        sometimes!("a takeover ends tries that ran", !running.is_empty());
        sometimes!("a takeover finds no try that ran", running.is_empty());
        for (place, try_no, since, cause) in running.into_iter().filter(|_| !mutant!("lost-tries-not-ended"))
        {
            let error = format!("node {lost} was lost while the job ran").into();
            let report = TryReport::unwritten(TryEnd::Failed, error, since, self.at);
            self.end_try(request, place, try_no, EndOfTry { report, cause });
        }
        self.hand_over(request);
    }

    /// Takes a request of which nothing runs from its owner, and gives it to another or lets it wait for one.
    pub(super) fn hand_over(&mut self, request: RequestId) {
        self.record(WorkflowEvent::RequestSuspended { request, at: self.at });
        let live = self.request(request);
        sometimes!("a paused request changes its owner", live.control.paused.is_some());
        sometimes!("an approval waits while its request changes its owner", live.awaiting().next().is_some());
        if live.is_over() {
            // Nothing is left to run: the request ends without needing an owner.
            self.end(request);
        } else {
            self.find_owner(request);
        }
    }
}
