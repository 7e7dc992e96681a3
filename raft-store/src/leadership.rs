//! Who leads, as this node sees it, and how it gives leadership away.

use std::{sync::Arc, time::Duration};

use capstan_model::{buggify, failpoint, ids::NodeId, log_time, sometimes};
use openraft::{ServerState, async_runtime::WatchReceiver as _};
use tokio::sync::watch;

use crate::{
    cluster::Shared,
    heartbeat::{Heartbeats, SeenNode},
    type_config::Raft,
};

/// A node that has been silent for longer is not asked to lead: it would not, and meanwhile nobody did.
const SILENCE_MAX: Duration = Duration::from_millis(1_500);

/// How much too late a change is noticed, in simulations.
const NOTICED_LATE: Duration = Duration::from_millis(30);

/// What [`follow`] tells.
pub(crate) struct Told {
    /// The term, while this node leads and has applied its own first entry.
    pub(crate) leadership: watch::Sender<Option<u64>>,
    /// Whom this node takes for the leader.
    pub(crate) leader: watch::Sender<Option<NodeId>>,
}

/// Follows Raft for as long as it runs.
///
/// All metrics change with every write, those of the server with its role only: where nothing is about to change, only the latter
/// wake this task.
pub(crate) async fn follow(raft: Raft, told: Told, heartbeats: Arc<Heartbeats>) {
    let mut server = raft.server_metrics();
    let mut metrics = raft.metrics();
    loop {
        let role = {
            let now = server.borrow_and_update();
            (now.state, now.current_leader, now.vote)
        };
        let (term, leader, is_settled) = {
            let now = metrics.borrow_and_update();
            let is_leader = now.state == ServerState::Leader;
            let applied_own =
                now.last_applied.is_some_and(|id| id.committed_leader_id().term == now.current_term);
            // openraft publishes the role before the whole, so this may be older.
            let is_of_this_role = role == (now.state, now.current_leader, now.vote);
            let may_lead = applied_own || capstan_model::mutant!("led-before-applied");
            let term = (is_leader && may_lead).then_some(now.current_term);
            (term, now.current_leader.map(NodeId), is_of_this_role && is_leader == term.is_some())
        };
        if let Some(term) = term {
            heartbeats.start_term(term);
        } else if role.0 == ServerState::Leader {
            failpoint!("election: won, nothing committed");
        }
        told.leader.send_if_modified(|known| std::mem::replace(known, leader) != leader);
        told.leadership.send_if_modified(|led| std::mem::replace(led, term) != term);
        if buggify!("buggify: a change of leadership is noticed late") {
            tokio::time::sleep(NOTICED_LATE).await;
        }
        let changed = if is_settled { server.changed().await } else { metrics.changed().await };
        if changed.is_err() {
            told.leader.send_replace(None);
            told.leadership.send_replace(None);
            return;
        }
    }
}

impl Shared {
    /// Asks another voter to lead, if there is one that is fit to. Otherwise this node goes on: while leadership moves nothing is
    /// written, and it would move again and again.
    pub(crate) async fn hand_over(&self, reason: &str) {
        let me = self.incarnation.node;
        let successor = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            if metrics.state != ServerState::Leader {
                return;
            }
            let voters: Vec<NodeId> = metrics.membership_config.voter_ids().map(NodeId).collect();
            let matched = |node: NodeId| {
                let progress = metrics.replication.as_ref()?.get(&node.0)?.as_ref()?;
                Some(progress.index())
            };
            successor(&self.heartbeats.seen(), me, &voters, matched)
        };
        let Some(successor) = successor else {
            sometimes!("no other voter is fit to lead");
            return tracing::debug!(reason, "no other voter is fit to lead");
        };
        tracing::warn!(reason, successor = successor.0, "handing leadership away");
        capstan_model::sometimes!("leadership handed away");
        if let Err(error) = self.raft.trigger().transfer_leader(successor.0).await {
            tracing::debug!(%error, "leadership was not handed away");
        }
    }
}

/// The voter to hand leadership to: one that reports, has a sane clock and room on its disk; of those the most advanced.
fn successor(
    seen: &[SeenNode],
    me: NodeId,
    voters: &[NodeId],
    matched: impl Fn(NodeId) -> Option<u64>,
) -> Option<NodeId> {
    let is_fit = |node: &&SeenNode| {
        node.silence <= SILENCE_MAX && log_time::is_sane(node.clock_skew_ms) && !node.disk_nearly_full
    };
    seen.iter()
        .filter(is_fit)
        .map(|node| node.incarnation.node)
        .filter(|node| *node != me && voters.contains(node))
        .max_by_key(|node| matched(*node))
}

#[cfg(test)]
mod tests {
    use capstan_model::ids::{DiskId, Incarnation};

    use super::*;
    use crate::peer::NodeFacts;

    fn seen(node: u64) -> SeenNode {
        SeenNode {
            incarnation: Incarnation { node: NodeId(node), boot: 1, nonce: 7 },
            disk: DiskId(u128::from(node)),
            facts: NodeFacts {
                peer_address: "127.0.0.1:1".into(),
                http_address: "127.0.0.1:2".into(),
                slots: 4,
                job_types: vec![],
            },
            silence: Duration::from_millis(300),
            clock_skew_ms: 3,
            disk_nearly_full: false,
            specs: None,
        }
    }

    #[test]
    fn leadership_goes_to_a_voter_that_is_fit_or_stays() {
        let silent = |node| SeenNode { silence: SILENCE_MAX * 2, ..seen(node) };
        let skewed = |node| SeenNode { clock_skew_ms: -2_500, ..seen(node) };
        let full = |node| SeenNode { disk_nearly_full: true, ..seen(node) };
        let cases = [
            ("the most advanced", vec![seen(1), seen(2), seen(3)], Some(3)),
            ("it is silent", vec![seen(1), seen(2), silent(3)], Some(2)),
            ("its clock is wrong", vec![seen(1), seen(2), skewed(3)], Some(2)),
            ("its disk is full too", vec![seen(1), seen(2), full(3)], Some(2)),
            ("nobody else was heard", vec![seen(1)], None),
            ("nobody is fit", vec![seen(1), full(2), skewed(3)], None),
            ("the other one is no voter", vec![seen(1), seen(4)], None),
        ];
        let voters = [1, 2, 3].map(NodeId);
        for (name, seen, expected) in cases {
            let chosen = successor(&seen, NodeId(1), &voters, |node| Some(node.0));
            assert_eq!(chosen, expected.map(NodeId), "{name}");
        }
    }
}
