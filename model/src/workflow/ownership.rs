//! Which node runs a request.

use super::{
    LiveRequests,
    chain::ValidChain,
    command::{TryEnd, TryReport},
    draft::{Draft, EndOfTry},
    event::WorkflowEvent,
    job::{Phase, takes_slot},
    output::Output,
    request::{LiveRequest, RequestState},
    retry::Cause,
};
use crate::{
    command::NodeJoined,
    ids::{Incarnation, NodeId, RequestId},
    nodes::{NodeRecord, Nodes},
    time::Timestamp,
};

/// Whether a life is its node's newest and not lost: whether it still owns anything.
pub(super) fn is_current(nodes: &Nodes, owner: Incarnation) -> bool {
    nodes.get(&owner.node).is_some_and(|record| record.incarnation == owner && !record.lost)
}

/// Whether an owner may be given jobs to start: it is current, and not about to hand over what it has.
pub(super) fn may_start(nodes: &Nodes, owner: Incarnation) -> bool {
    is_current(nodes, owner) && nodes.get(&owner.node).is_some_and(|record| record.is_available())
}

/// How many more jobs a life may run.
pub(super) fn free_slots(nodes: &Nodes, live: &LiveRequests, owner: Incarnation) -> u32 {
    let record = nodes.get(&owner.node).filter(|_| may_start(nodes, owner));
    record.map_or(0, |record| record.slots.saturating_sub(live.slots_taken(owner)))
}

/// The owner of a chain: of the live nodes that offer every job type of it, the one with the most free slots,
/// then the lowest id.
pub(super) fn choose(nodes: &Nodes, live: &LiveRequests, chain: &ValidChain) -> Option<Incarnation> {
    nodes
        .values()
        .filter(|record| record.is_available() && can_run(record, chain))
        .min_by_key(|record| {
            (u32::MAX - free_slots(nodes, live, record.incarnation), record.incarnation.node)
        })
        .map(|record| record.incarnation)
}

fn can_run(record: &NodeRecord, chain: &ValidChain) -> bool {
    let needs_slots = chain.job_types().iter().any(|kind| takes_slot(kind));
    (record.slots > 0 || !needs_slots) && chain.job_types().iter().all(|kind| record.offers(kind))
}

impl Draft<'_> {
    /// Gives a request without an owner one, if a node can run it.
    pub(super) fn find_owner(&mut self, request: RequestId) {
        let chosen = choose(self.nodes, &self.live, self.request(request).chain());
        if let Some(owner) = chosen {
            self.own(request, owner);
        }
    }

    /// Takes a node's former lives' requests over, then gives those that wait for a node to it or another.
    pub(super) fn node_joined(&mut self, joined: &NodeJoined) {
        let former: Vec<RequestId> =
            self.live.owned_by_former(joined.incarnation).map(LiveRequest::id).collect();
        for request in former {
            self.take_over(request, joined.node());
        }
        let waiting: Vec<RequestId> = [RequestState::Suspended, RequestState::Pending]
            .into_iter()
            .flat_map(|state| self.live.in_state(state))
            .map(LiveRequest::id)
            .collect();
        for request in waiting {
            self.find_owner(request);
        }
    }

    /// Ends the tries that ran on a lost node, and gives the request to another.
    fn take_over(&mut self, request: RequestId, lost: NodeId) {
        let live = self.request(request);
        let running: Vec<_> = live
            .chain()
            .places()
            .filter_map(|place| match live.job_at(place).phase {
                Phase::Running { since } => Some((place, live.job_at(place).try_no, since)),
                _ => None,
            })
            .collect();
        for (place, try_no, since) in running {
            let report = lost_report(lost, since, self.at);
            self.end_try(request, place, try_no, EndOfTry { report, cause: Cause::Lost });
        }
        self.hand_over(request);
    }

    /// Takes a request of which nothing runs from its owner, and gives it to another or lets it wait for one.
    pub(super) fn hand_over(&mut self, request: RequestId) {
        self.record(WorkflowEvent::RequestSuspended { request });
        let live = self.request(request);
        let stopped = live.progress.stopped_at.is_some();
        if live.tally().active == 0 && (stopped || live.frontier().next().is_none()) {
            // Nothing is left to run: the request ends without needing an owner.
            self.end(request);
        } else {
            self.find_owner(request);
        }
    }
}

/// What the log says of a try that ran on a node when it was lost.
fn lost_report(node: NodeId, started_at: Timestamp, at: Timestamp) -> TryReport {
    TryReport {
        end: TryEnd::Failed,
        exit: 1,
        error: format!("node {node} was lost while the job ran").into(),
        stdout: Output::default(),
        stderr: Output::default(),
        started_at,
        finished_at: at,
        job_data: Default::default(),
    }
}
