//! What the liveness actor has to have committed: a pure function.

use std::time::Duration;

use capstan_model::{
    command::NodeJoined,
    ids::{Incarnation, NodeId},
    state::State,
    time::Timestamp,
    workflow::command::Expire,
};
use capstan_raft_store::handle::SeenNode;

use super::Step;

/// How long reports must have been heard without a break before anybody's silence means something: those that live have reported by then.
pub(super) const HEARING_MIN: Duration = Duration::from_secs(1);
/// How many requests are ended in one look at most, and how many tries and requests are stopped because they are out of time.
const ENDED_MAX: usize = 256;

/// Who was heard, and since when.
pub(super) struct Silence<'a> {
    pub(super) seen: &'a [SeenNode],
    /// How long this node has listened as leader: a node it has not heard has been silent for at least so long.
    pub(super) listened: Duration,
    /// How long it has heard reports without a break.
    pub(super) hearing: Duration,
    /// Silence after which a node is lost.
    pub(super) lost_after: Duration,
    /// Silence after which a cell is silent.
    pub(super) cell_silent_after: Duration,
}

impl Silence<'_> {
    /// How long this life has been silent, as far as this leader knows; `None` while that means nothing.
    fn of(&self, life: Incarnation) -> Option<Duration> {
        let heard = self.seen.iter().find(|node| node.incarnation == life);
        let unheard =
            if capstan_model::mutant!("new-leader-judges-at-once") { Duration::MAX } else { self.listened };
        let silence = heard.map_or(unheard, |node| node.silence.min(self.listened));
        (self.hearing >= HEARING_MIN).then_some(silence)
    }

    fn is_longer(&self, life: Incarnation, patience: Duration) -> bool {
        self.of(life).is_some_and(|silence| silence > patience)
    }

    /// Whether this leader has heard this life.
    fn has_heard(&self, life: Incarnation) -> bool {
        self.seen.iter().any(|node| node.incarnation == life)
    }

    /// Whether this life has reported lately enough for a cell.
    fn is_heard(&self, life: Incarnation) -> bool {
        let is_near = |node: &SeenNode| node.incarnation == life && node.silence <= self.cell_silent_after;
        self.seen.iter().any(is_near)
    }
}

/// What has to be committed, when log time is `at`. A pure function of what was heard and what is committed.
pub(super) fn plan(silence: &Silence<'_>, state: &State, at: Timestamp) -> Vec<Step> {
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
        .filter(|(_, record)| !record.lost && silence.is_longer(record.incarnation, silence.lost_after))
        .filter(|(node, _)| !is_replaced(node))
        .map(|(_, record)| Step::Lose(record.incarnation));
    let is_work = state.requests.to_take_over(&state.nodes).next().is_some();
    let overdue = state.requests.overdue(state.settings.suspended_max(), at).take(ENDED_MAX);
    let expired =
        state.requests.expired(at).filter(|expire| is_owner_heard(silence, state, expire)).take(ENDED_MAX);
    let ends = overdue.map(Step::End).chain(expired.map(Step::Expire));
    let owners = admitted.chain(lost).chain(is_work.then_some(Step::TakeOver)).chain(ends);
    let cells = state.lrps.cells().filter_map(|(_, cell)| {
        let life = cell.incarnation;
        match cell.silent {
            false if silence.is_longer(life, silence.cell_silent_after) => Some(Step::Silence(life)),
            true if silence.is_heard(life) => Some(Step::Hear(life)),
            _ => None,
        }
    });
    owners.chain(cells).collect()
}

/// Whether the owner of a try is there to be told to stop it. After an outage of the whole cluster log time leaps: an owner that has not
/// come back is lost with its tries, which is another end than theirs. What no owner holds has none to wait for.
fn is_owner_heard(silence: &Silence<'_>, state: &State, expire: &Expire) -> bool {
    let Some((job, _)) = expire.try_of else { return true };
    let Some(live) = state.requests.get(&expire.request) else { return true };
    let runs = live.job(job).is_some_and(|(_, job)| job.phase.runs());
    !runs || live.progress.owner.is_some_and(|owner| silence.has_heard(owner))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use capstan_model::{
        apply::apply,
        command::{Command, Entry, Sealed},
        ids::{CommandId, DiskId, JobId, RequestId, TryNo},
        lrp::{cell::Announcement, command::LrpCommand},
        spec::Specs,
        workflow::{
            graph::{Builder, Created, Step as BuildStep},
            json::JsonMap,
        },
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
    const CELL_SILENT_AFTER: Duration = Duration::from_secs(3);

    /// A leader of long standing that has heard of these just now.
    fn listening(seen: &[SeenNode]) -> Silence<'_> {
        Silence {
            seen,
            listened: LOST_AFTER * 2,
            hearing: HEARING_MIN,
            lost_after: LOST_AFTER,
            cell_silent_after: CELL_SILENT_AFTER,
        }
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

    /// Commits what node 1 proposes, at a moment of log time.
    fn commit_by_1(state: &mut State, index: u64, time: Timestamp, command: Command) {
        let incarnation = state.nodes[&NodeId(1)].incarnation;
        let commands =
            vec![Sealed::new(CommandId { incarnation, seq: index }, None, command).expect("small")];
        let applied = apply(state, index, &Entry::V1 { time, settled: vec![], commands });
        applied.replies[0].1.as_ref().expect("it is not refused");
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

    /// A request with a timeout of an hour, and a job in it with one of a minute.
    fn timed(id: RequestId) -> Command {
        let text = "sequences: {R: {request: true, timeout: 1h, nodes: {a: {category: job, type: sleep, timeout: 1m}}}}";
        let specs = Arc::new(Specs::load([("specs.yaml", text)]).unwrap());
        let mut next = 0_u8;
        let draw = move || {
            next += 1;
            JobId([b'a', b'a', b'a', b'a' + next])
        };
        let mut builder = Builder::new(specs, "R", &JsonMap::new(), draw);
        let mut created = Vec::new();
        loop {
            match builder.step(std::mem::take(&mut created)) {
                BuildStep::Need(calls) => {
                    let made = calls
                        .into_iter()
                        .map(|call| Created { job: call.job, result: Ok(Default::default()) });
                    created.extend(made);
                }
                BuildStep::Done(built) => return built.into_command(id, "".into()),
                BuildStep::Refused(refused) => panic!("{refused}"),
            }
        }
    }

    /// Three nodes that can run what they are given, and a [`timed`] request of this id.
    fn running(id: RequestId) -> (State, [SeenNode; 3]) {
        let mut state = joined();
        let heard = [seen(1, 1), seen(2, 1), seen(3, 1)].map(|node| SeenNode {
            facts: NodeFacts { job_types: vec!["sleep".into()], slots: 1, ..node.facts },
            incarnation: Incarnation { boot: 2, ..node.incarnation },
            ..node
        });
        for (index, step) in (10..).zip(plan(&listening(&heard), &state, Timestamp::ZERO)) {
            commit(&mut state, index, step.into_command(0));
        }
        commit_by_1(&mut state, 20, Timestamp(20), timed(id));
        (state, heard)
    }

    #[test]
    fn what_is_out_of_time_is_proposed_until_it_is_committed() {
        let id = RequestId([1; 12]);
        let (mut state, heard) = running(id);
        let begun = state.log_time();
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3_600));
        let at = |state: &State, after| plan(&listening(&heard), state, begun.after(after));
        assert_eq!(at(&state, minute - Duration::from_nanos(1)), []);
        let [Step::Expire(expire)] = at(&state, minute)[..] else { panic!("{:?}", at(&state, minute)) };
        assert_eq!((expire.request, expire.try_of.map(|(_, try_no)| try_no)), (id, Some(TryNo(1))));
        let both = at(&state, hour);
        assert_eq!(both, [Step::Expire(expire), Step::Expire(Expire { request: id, try_of: None })]);
        let late = begun.after(minute);
        commit_by_1(&mut state, 21, late, Step::Expire(expire).into_command(0));
        assert_eq!(at(&state, minute), [], "it is being stopped");
    }

    #[test]
    fn a_try_whose_owner_has_not_come_back_is_not_out_of_time_but_its_request_may_be() {
        let id = RequestId([1; 12]);
        let (state, heard) = running(id);
        let owner = state.requests.get(&id).unwrap().progress.owner.unwrap();
        let leap = state.log_time().after(Duration::from_secs(3_600));
        let others: Vec<SeenNode> = heard.iter().filter(|node| node.incarnation != owner).cloned().collect();
        let request = Step::Expire(Expire { request: id, try_of: None });
        assert_eq!(
            plan(&just_begun(&others), &state, leap),
            std::slice::from_ref(&request),
            "a leader that has just begun"
        );
        let old = plan(&listening(&others), &state, leap);
        assert_eq!(old, [Step::Lose(owner), request], "one that has waited for the owner");
        assert_eq!(plan(&just_begun(&heard), &state, leap).len(), 2, "the owner is there");
    }

    #[test]
    fn a_cell_is_silent_before_its_node_is_lost_and_heard_again_once_it_reports() {
        let mut state = joined();
        let life = Incarnation { node: NodeId(2), boot: 1, nonce: 7 };
        let announced = Announcement {
            incarnation: life,
            zone: "z".into(),
            capacity: Default::default(),
            rootfs: Default::default(),
            isolation: Default::default(),
        };
        commit(&mut state, 10, Command::Lrp(LrpCommand::AnnounceCell(Box::new(announced))));
        let after = |silence| [seen(1, 1), SeenNode { silence, ..seen(2, 1) }, seen(3, 1)];
        let (short, long) = (after(CELL_SILENT_AFTER), after(CELL_SILENT_AFTER + Duration::from_millis(1)));
        assert_eq!(plan(&listening(&short), &state, Timestamp::ZERO), []);
        assert_eq!(plan(&listening(&long), &state, Timestamp::ZERO), [Step::Silence(life)]);
        let deaf = Silence { hearing: Duration::ZERO, ..listening(&long) };
        assert_eq!(plan(&deaf, &state, Timestamp::ZERO), [], "one that has just heard nobody does not judge");

        let term = state.term();
        commit(&mut state, 11, Step::Silence(life).into_command(term));
        assert_eq!(plan(&listening(&long), &state, Timestamp::ZERO), [], "silent once");
        assert_eq!(plan(&listening(&short), &state, Timestamp::ZERO), [Step::Hear(life)]);
        let next_life = [seen(1, 1), seen(2, 2), seen(3, 1)];
        let steps = plan(&listening(&next_life), &state, Timestamp::ZERO);
        assert_eq!(steps.iter().map(boot).collect::<Vec<_>>(), [2], "another life of it is another cell");
    }
}
