//! The leader's liveness actor: admits the nodes that report, each life once; declares those lost that do not; and has what nobody
//! may run any more given to others.

use std::{collections::BTreeSet, time::Duration};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};
use capstan_model::{
    buggify,
    command::{Command, NodeJoined},
    failpoint,
    ids::{Incarnation, NodeId, RequestId},
    nodes::NodeRecord,
    state::State,
    time::Timestamp,
};
use capstan_raft_store::handle::{ProposeOptions, SeenNode};

use super::Tools;

/// How often the table of heartbeats is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long reports must have been heard without a break before anybody's silence means something: those that live have reported by then.
const HEARING_MIN: Duration = Duration::from_secs(1);
/// How many requests are ended in one look at most.
const ENDED_MAX: usize = 256;

/// Everything that can wake the liveness actor. Its mailbox holds actix's default of 16: it sends itself at most one message for each
/// proposal under way, and hears one other.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum LivenessMessage {
    /// A proposal of this step has ended, well or not.
    Proposed(StepKey),
    /// This node leads no longer.
    TermEnded,
}

/// Watches who reports to the leader. Holds nothing but what it has proposed and not yet seen answered.
pub struct Liveness {
    term: u64,
    tools: Tools,
    /// When this term's actor began to listen, on the monotonic clock.
    began: Duration,
    /// When it could last not hear reports that were sent.
    deaf: Duration,
    /// When it looked last.
    looked: Duration,
    /// The newest stamp it has seen, and when it saw it first.
    stamp: (Timestamp, Duration),
    proposed: BTreeSet<StepKey>,
}

/// Something that has to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// This life reports and is not in the node table.
    Admit(NodeJoined),
    /// This life has been silent for too long.
    Lose(Incarnation),
    /// There are requests for others to run.
    TakeOver,
    /// This request has waited for an owner for too long.
    End(RequestId),
}

/// Names a step, so that it is proposed once at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKey {
    /// A life is to be admitted.
    Admit(Incarnation),
    /// A life is to be declared lost.
    Lose(Incarnation),
    /// Requests are to be given to others.
    TakeOver,
    /// A request is to be ended.
    End(RequestId),
}

impl Step {
    fn key(&self) -> StepKey {
        match self {
            Self::Admit(joined) => StepKey::Admit(joined.incarnation),
            Self::Lose(incarnation) => StepKey::Lose(*incarnation),
            Self::TakeOver => StepKey::TakeOver,
            Self::End(request) => StepKey::End(*request),
        }
    }

    fn into_command(self, term: u64) -> Command {
        match self {
            Self::Admit(joined) => Command::NodeJoined(joined),
            Self::Lose(incarnation) => Command::NodeLost { incarnation, term },
            Self::TakeOver => Command::TakeOver,
            Self::End(request) => Command::EndSuspended { request },
        }
    }
}

impl Liveness {
    /// An actor for the present term.
    pub fn new(term: u64, tools: Tools) -> Self {
        let now = tools.clock.monotonic();
        let stamp = (Timestamp::ZERO, now);
        Self { term, began: now, deaf: now, looked: now, stamp, tools, proposed: BTreeSet::new() }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        failpoint!("actor: liveness looks");
        if buggify!("buggify: liveness does not look") {
            return;
        }
        let cluster = self.tools.cluster.clone();
        let (seen, view) = (cluster.heartbeats(), cluster.view());
        let now = self.tools.clock.monotonic();
        // Who does not hear a majority acknowledges no report, and who stood still has missed some.
        let is_deaf = !cluster.hears_a_quorum() || now.saturating_sub(self.looked) > HEARING_MIN;
        if is_deaf && !capstan_model::mutant!("deafness-ignored") {
            self.deaf = now;
        }
        self.looked = now;
        let lost_after =
            self.tools.owner_lost_after / (1 + u32::from(capstan_model::mutant!("lost-too-soon")));
        let silence = Silence {
            seen: &seen,
            listened: now.saturating_sub(self.began),
            hearing: now.saturating_sub(self.deaf),
            lost_after,
        };
        let at = self.log_time(view.state().log_time(), now);
        for step in plan(&silence, view.state(), at) {
            if let Step::Lose(life) = step
                && !cluster.give_up(self.term, life, lost_after)
            {
                continue; // It was heard just now.
            }
            if self.proposed.insert(step.key()) {
                self.propose(step, ctx);
            }
        }
    }

    /// What log time is by now at the least: nothing stamps it while nothing is written, and its clock may be slower by a hundredth.
    fn log_time(&mut self, newest: Timestamp, now: Duration) -> Timestamp {
        if self.stamp.0 != newest {
            self.stamp = (newest, now);
        }
        let elapsed = now.saturating_sub(self.stamp.1);
        newest.after(elapsed - elapsed / 50)
    }

    fn propose(&self, step: Step, ctx: &mut Context<Self>) {
        let (tools, actor, alarm) = (self.tools.clone(), ctx.address(), self.tools.alarm.clone());
        let (key, command) = (step.key(), step.into_command(self.term));
        actix::spawn(async move {
            let _alarm = alarm;
            match tools.cluster.propose(command, ProposeOptions::progress()).await {
                Ok(committed) => match committed.reply {
                    Ok(_) => {
                        tracing::info!(?key, index = committed.index, "committed");
                        match key {
                            StepKey::Lose(_) | StepKey::TakeOver => failpoint!("takeover: committed"),
                            StepKey::Admit(_) => failpoint!("admission: committed"),
                            StepKey::End(_) => {}
                        }
                    }
                    Err(rejection) => tracing::warn!(?key, %rejection, "refused"),
                },
                Err(error) => tracing::debug!(?key, %error, "not committed yet"),
            }
            // Waits for room: a step that is never taken off the list is never proposed again in this term. A stopped actor needs no
            // answer.
            let _ = actor.send(LivenessMessage::Proposed(key)).await;
        });
    }
}

/// Who was heard, and since when.
struct Silence<'a> {
    seen: &'a [SeenNode],
    /// How long this node has listened as leader: a node it has not heard has been silent for at least so long.
    listened: Duration,
    /// How long it has heard reports without a break.
    hearing: Duration,
    lost_after: Duration,
}

impl Silence<'_> {
    /// Whether the life in the record has been silent for too long.
    fn is_lost(&self, record: &NodeRecord) -> bool {
        let heard = self.seen.iter().find(|node| node.incarnation == record.incarnation);
        let unheard =
            if capstan_model::mutant!("new-leader-judges-at-once") { Duration::MAX } else { self.listened };
        let silence = heard.map_or(unheard, |node| node.silence.min(self.listened));
        !record.lost && self.hearing >= HEARING_MIN && silence > self.lost_after
    }
}

/// What has to be committed, when log time is `at`. A pure function of what was heard and what is committed.
fn plan(silence: &Silence<'_>, state: &State, at: Timestamp) -> Vec<Step> {
    let is_recorded = |node: &SeenNode| {
        let known = state.nodes.get(&node.incarnation.node);
        known.is_some_and(|record| record.incarnation.boot >= node.incarnation.boot)
    };
    let admitted = silence.seen.iter().filter(|node| !is_recorded(node)).map(|node| {
        Step::Admit(NodeJoined {
            incarnation: node.incarnation,
            disk: node.disk,
            peer_address: node.facts.peer_address.clone(),
            http_address: node.facts.http_address.clone(),
            slots: node.facts.slots,
            job_types: node.facts.job_types.clone(),
        })
    });
    // A node whose next life reports is not lost but replaced.
    let is_replaced =
        |node: &NodeId| silence.seen.iter().any(|seen| seen.incarnation.node == *node && !is_recorded(seen));
    let lost = state
        .nodes
        .iter()
        .filter(|(node, record)| silence.is_lost(record) && !is_replaced(node))
        .map(|(_, record)| Step::Lose(record.incarnation));
    let is_work = state.requests.to_take_over(&state.nodes).next().is_some();
    let overdue = state.requests.overdue(state.settings.suspended_max(), at).take(ENDED_MAX);
    admitted.chain(lost).chain(is_work.then_some(Step::TakeOver)).chain(overdue.map(Step::End)).collect()
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
            LivenessMessage::Proposed(step) => {
                self.proposed.remove(&step);
            }
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

    const LOST_AFTER: Duration = Duration::from_secs(8);

    /// A leader of long standing that has heard of these just now.
    fn listening(seen: &[SeenNode]) -> Silence<'_> {
        Silence { seen, listened: LOST_AFTER * 2, hearing: HEARING_MIN, lost_after: LOST_AFTER }
    }

    /// A leader that has just begun to listen, so that silence means nothing yet.
    fn just_begun(seen: &[SeenNode]) -> Silence<'_> {
        Silence { listened: Duration::ZERO, ..listening(seen) }
    }

    fn boot(step: &Step) -> u64 {
        match step {
            Step::Admit(joined) => joined.incarnation.boot,
            other => panic!("{other:?}"),
        }
    }

    fn commit(state: &mut State, index: u64, command: Command) {
        let incarnation = Incarnation { node: NodeId(9), boot: 1, nonce: 7 };
        let commands =
            vec![Sealed::new(CommandId { incarnation, seq: index }, None, command).expect("small")];
        apply(state, index, &Entry::V1 { time: Timestamp(index), settled: vec![], commands });
    }

    /// Nodes 1 to 3 have joined.
    fn joined() -> State {
        let mut state = State::default();
        let heard = [seen(1, 1), seen(2, 1), seen(3, 1)];
        for (index, step) in (1..).zip(plan(&listening(&heard), &state, Timestamp::ZERO)) {
            commit(&mut state, index, step.into_command(0));
        }
        state
    }

    #[test]
    fn a_silent_life_is_lost_once_the_leader_has_listened_for_long_enough() {
        let mut state = joined();
        let silent = |node| SeenNode { silence: LOST_AFTER + Duration::from_millis(1), ..seen(node, 1) };
        let life = |node| Incarnation { node: NodeId(node), boot: 1, nonce: 7 };
        let heard = [seen(1, 1), silent(2)];
        let steps = plan(&listening(&heard), &state, Timestamp::ZERO);
        assert_eq!(steps, [Step::Lose(life(2)), Step::Lose(life(3))], "silent, and never heard");
        let young = Silence { listened: LOST_AFTER, ..listening(&heard) };
        assert_eq!(plan(&young, &state, Timestamp::ZERO), [], "a new leader counts from its own beginning");

        let deaf = Silence { hearing: Duration::ZERO, ..listening(&heard) };
        assert_eq!(plan(&deaf, &state, Timestamp::ZERO), [], "nor does one judge that has just heard nobody");

        commit(&mut state, 10, Step::Lose(life(2)).into_command(0));
        assert_eq!(plan(&listening(&heard), &state, Timestamp::ZERO), [Step::Lose(life(3))], "lost once");
        let back = [seen(1, 1), seen(2, 2), seen(3, 2)];
        let steps = plan(&listening(&back), &state, Timestamp::ZERO);
        assert_eq!(
            steps.iter().map(boot).collect::<Vec<_>>(),
            [2, 2],
            "a new life ends the old one by itself"
        );
    }

    #[test]
    fn every_life_is_admitted_once_and_older_ones_never() {
        let mut state = State::default();
        let heard = [seen(1, 3), seen(2, 1)];
        let steps = plan(&just_begun(&heard), &state, Timestamp::ZERO);
        assert_eq!(steps.iter().map(boot).collect::<Vec<_>>(), [3, 1]);
        for (index, step) in (1..).zip(steps) {
            commit(&mut state, index, step.into_command(0));
        }
        assert_eq!(
            plan(&just_begun(&heard), &state, Timestamp::ZERO),
            vec![],
            "planning twice without news yields nothing"
        );
        assert_eq!(
            plan(&just_begun(&[seen(1, 2)]), &state, Timestamp::ZERO),
            vec![],
            "an older life is not admitted"
        );
        let copied =
            SeenNode { incarnation: Incarnation { nonce: 8, ..seen(1, 3).incarnation }, ..seen(1, 3) };
        assert_eq!(
            plan(&just_begun(&[copied]), &state, Timestamp::ZERO),
            vec![],
            "nor one that apply refuses for its boot count"
        );
        assert_eq!(plan(&just_begun(&[seen(1, 4)]), &state, Timestamp::ZERO).len(), 1, "a newer one is");
    }
}
