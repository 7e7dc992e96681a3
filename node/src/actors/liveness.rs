//! The leader's liveness actor: admits the nodes that report, each life once, and has requests taken over whose owners may not
//! run them any more.

use std::{collections::BTreeSet, time::Duration};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};
use capstan_model::{
    command::{Command, NodeJoined},
    ids::Incarnation,
    state::State,
};
use capstan_raft_store::handle::{ClusterHandle, ProposeOptions, SeenNode};

/// How often the table of heartbeats is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Everything that can wake the liveness actor. Its mailbox holds actix's default of 16: it sends itself at most one message for each
/// proposal under way, of which a node has one and taking over has one, and hears one other.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum LivenessMessage {
    /// A proposal about this life has ended, well or not.
    Proposed(Incarnation),
    /// Some requests were taken over, or the proposal failed.
    TakenOver,
    /// This node leads no longer.
    TermEnded,
}

/// Watches who reports to the leader. Holds nothing but what it has proposed and not yet seen answered.
pub struct Liveness {
    cluster: ClusterHandle,
    proposed: BTreeSet<Incarnation>,
    taking_over: bool,
}

impl Liveness {
    /// An actor for the present term.
    pub fn new(cluster: ClusterHandle) -> Self {
        Self { cluster, proposed: BTreeSet::new(), taking_over: false }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let view = self.cluster.view();
        let state = view.state();
        for joined in plan(&self.cluster.heartbeats(), state) {
            if self.proposed.insert(joined.incarnation) {
                self.propose(joined, ctx);
            }
        }
        if !self.taking_over && state.requests.to_take_over(&state.nodes).next().is_some() {
            self.take_over(ctx);
        }
    }

    /// Proposes one bounded takeover; what is left is for the next look.
    fn take_over(&mut self, ctx: &mut Context<Self>) {
        self.taking_over = true;
        let (cluster, actor) = (self.cluster.clone(), ctx.address());
        actix::spawn(async move {
            if let Err(error) = cluster.propose(Command::TakeOver, ProposeOptions::progress()).await {
                tracing::debug!(%error, "a takeover is not committed yet");
            }
            // Waits for room, as below; a stopped actor needs no answer.
            let _ = actor.send(LivenessMessage::TakenOver).await;
        });
    }

    fn propose(&self, joined: NodeJoined, ctx: &mut Context<Self>) {
        let (cluster, actor) = (self.cluster.clone(), ctx.address());
        let incarnation = joined.incarnation;
        actix::spawn(async move {
            match cluster.propose(Command::NodeJoined(joined), ProposeOptions::progress()).await {
                Ok(committed) => match committed.reply {
                    Ok(_) => tracing::info!(%incarnation, index = committed.index, "node joined"),
                    Err(rejection) => tracing::warn!(%incarnation, %rejection, "node was not admitted"),
                },
                Err(error) => tracing::debug!(%incarnation, %error, "joining is not committed yet"),
            }
            // Waits for room: a life that is never taken off the list is never proposed again in this term. A stopped actor needs no
            // answer.
            let _ = actor.send(LivenessMessage::Proposed(incarnation)).await;
        });
    }
}

/// The lives that report and are not in the node table. A pure function of what was heard and what is committed.
fn plan(seen: &[SeenNode], state: &State) -> Vec<NodeJoined> {
    let recorded = |node: &SeenNode| {
        state
            .nodes
            .get(&node.incarnation.node)
            .is_some_and(|record| record.incarnation.boot >= node.incarnation.boot)
    };
    seen.iter()
        .filter(|node| !recorded(node))
        .map(|node| NodeJoined {
            incarnation: node.incarnation,
            disk: node.disk,
            peer_address: node.facts.peer_address.clone(),
            http_address: node.facts.http_address.clone(),
            slots: node.facts.slots,
            job_types: node.facts.job_types.clone(),
        })
        .collect()
}

impl Actor for Liveness {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.look(ctx);
        ctx.run_interval(LOOK_EVERY, Self::look);
    }
}

impl Handler<LivenessMessage> for Liveness {
    type Result = ();

    fn handle(&mut self, message: LivenessMessage, ctx: &mut Self::Context) {
        match message {
            LivenessMessage::Proposed(incarnation) => {
                self.proposed.remove(&incarnation);
            }
            LivenessMessage::TakenOver => self.taking_over = false,
            LivenessMessage::TermEnded => ctx.stop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use capstan_model::{
        apply::apply,
        command::{Entry, Sealed},
        ids::{CommandId, DiskId, NodeId},
        time::Timestamp,
    };
    use capstan_raft_store::peer::NodeFacts;

    use super::*;

    fn seen(node: u64, boot: u64) -> SeenNode {
        SeenNode {
            incarnation: Incarnation { node: NodeId(node), boot, nonce: 7 },
            disk: DiskId(u128::from(node)),
            facts: NodeFacts {
                peer_address: "127.0.0.1:1".into(),
                http_address: "127.0.0.1:2".into(),
                slots: 4,
                job_types: vec![],
            },
            silence: Duration::ZERO,
            clock_skew_ms: 0,
            disk_nearly_full: false,
            specs: None,
        }
    }

    fn admit(state: &mut State, index: u64, joined: NodeJoined) {
        let id = CommandId { incarnation: joined.incarnation, seq: 1 };
        let commands = vec![Sealed::new(id, None, Command::NodeJoined(joined)).expect("small")];
        apply(state, index, &Entry::V1 { time: Timestamp(1), settled: vec![], commands });
    }

    #[test]
    fn every_life_is_admitted_once_and_older_ones_never() {
        let mut state = State::default();
        let heard = [seen(1, 3), seen(2, 1)];
        let joins = plan(&heard, &state);
        assert_eq!(joins.iter().map(|j| j.incarnation.boot).collect::<Vec<_>>(), [3, 1]);
        for (index, joined) in (1..).zip(joins) {
            admit(&mut state, index, joined);
        }
        assert_eq!(plan(&heard, &state), vec![], "planning twice without news yields nothing");
        assert_eq!(plan(&[seen(1, 2)], &state), vec![], "an older life is not admitted");
        let copied =
            SeenNode { incarnation: Incarnation { nonce: 8, ..seen(1, 3).incarnation }, ..seen(1, 3) };
        assert_eq!(plan(&[copied], &state), vec![], "nor one that apply refuses for its boot count");
        assert_eq!(plan(&[seen(1, 4)], &state).len(), 1, "a newer one is");
    }
}
