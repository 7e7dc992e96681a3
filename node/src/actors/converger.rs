//! The leader's converger: has done what nobody asks for and time, lost cells or drained ones call for.
//!
//! What that is the model lists; here is when to look, and how fast what was lost is started elsewhere.

use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, SpawnHandle};
use capstan_model::{
    archive,
    auth::AuthCommand,
    buggify,
    command::Command,
    failpoint, history,
    lrp::{
        command::LrpCommand,
        convergence::{self, STEPS_MAX, Step},
    },
    rows::LoadError,
    state::State,
    task::{self, command::TaskCommand},
    time::Timestamp,
};
use capstan_raft_store::handle::View;
use metrics::{Counter, counter};

use super::{Tools, hints, log_clock::LogClock, proposals};

/// How many instances of lost cells are started elsewhere a second: more at once would only slow each other down.
const REPLACED_A_SECOND: u32 = 200;
/// How long it sleeps at most; what is due earlier wakes it.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How soon it looks where it does so early, in simulations.
const LOOK_EARLY: Duration = Duration::from_secs(1);

/// How long nothing is converged where that is put off, in simulations: meanwhile a cell that was silent may be heard again.
const PUT_OFF: Duration = Duration::from_secs(1);

/// Everything that can wake the converger.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum ConvergerMessage {
    /// The state has moved; a hint.
    StateChanged,
    /// What it has proposed is committed, or will not be.
    Proposed,
    /// This node leads no longer.
    TermEnded,
}

/// Converges. Holds nothing that State does not say, but when it may go on.
pub struct Converger {
    tools: Tools,
    clock: LogClock,
    /// When more of what was lost may be replaced, on the monotonic clock.
    replaces_from: Duration,
    /// When what is old is looked for, on the monotonic clock.
    trims_from: Duration,
    counted: Counted,
    is_proposing: bool,
    wakes: Option<SpawnHandle>,
}

/// What is counted of convergence on this node.
struct Counted {
    passes: Counter,
    lrp_steps: Counter,
    task_steps: Counter,
}

impl Counted {
    fn new() -> Self {
        let steps = |of| counter!("capstan_convergence_steps_total", "of" => of);
        Self {
            passes: counter!("capstan_convergence_passes_total"),
            lrp_steps: steps("lrps"),
            task_steps: steps("tasks"),
        }
    }
}

/// What the next `Converge` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Next {
    steps: u32,
    /// How many of them replace records of lost cells.
    replaced: u32,
}

/// `None` when it would do nothing at all.
fn next(state: &State, at: Timestamp) -> Option<Next> {
    let mut next = Next { steps: 0, replaced: 0 };
    for step in convergence::steps(&state.lrps, at).take(STEPS_MAX) {
        next.steps += 1;
        next.replaced += u32::from(matches!(step, Step::Replace { .. }));
    }
    (next.steps > 0).then_some(next)
}

/// How long nothing more is replaced after so many.
fn pause_after(replaced: u32) -> Duration {
    Duration::from_secs(replaced.into()) / REPLACED_A_SECOND
}

/// How long it is until something is due by its time alone.
fn next_due(state: &State, at: Timestamp) -> Duration {
    let due = [
        convergence::next_restart(&state.lrps),
        task::convergence::next_due(&state.tasks),
        state.auth.next_end(),
    ];
    let first = due.into_iter().flatten().min();
    first.map_or(LOOK_EVERY, |first| first.since(at).min(LOOK_EVERY))
}

/// What the settings let go of, as much as one command of each kind removes.
fn trims(view: &View, at: Timestamp) -> Result<Vec<Command>, LoadError> {
    let state = view.state();
    let events = history::trim_below(state, view, at)?.map(|below| Command::TrimEvents { below });
    let requests = archive::trim_requests(state, view, at)?;
    Ok(events.into_iter().chain(requests.map(|trim| Command::TrimRequests(Box::new(trim)))).collect())
}

impl Converger {
    /// An actor for the present term.
    pub fn new(tools: Tools) -> Self {
        let now = tools.clock.monotonic();
        Self {
            clock: LogClock::new(now),
            replaces_from: now,
            trims_from: now,
            counted: Counted::new(),
            is_proposing: false,
            wakes: None,
            tools,
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.is_proposing {
            return;
        }
        let view = self.tools.cluster.view();
        let now = self.tools.clock.monotonic();
        let at = self.clock.at(view.state().log_time(), now);
        let commands = self.plan(&view, at, now);
        if commands.is_empty() {
            let pause = self.replaces_from.saturating_sub(now);
            let due = if pause.is_zero() { next_due(view.state(), at) } else { pause };
            self.wake_after(due.min(self.trims_from.saturating_sub(now)), ctx);
        } else {
            failpoint!("convergence: due, not proposed");
            self.propose(commands, ctx);
        }
    }

    fn plan(&mut self, view: &View, at: Timestamp, now: Duration) -> Vec<Command> {
        let state = view.state();
        let mut commands = Vec::new();
        self.counted.passes.increment(1);
        if now >= self.replaces_from
            && let Some(next) = next(state, at)
        {
            if buggify!("buggify: a convergence is put off") {
                self.replaces_from = now + PUT_OFF;
            } else {
                self.counted.lrp_steps.increment(next.steps.into());
                self.replaces_from = now + pause_after(next.replaced);
                commands.push(Command::Lrp(LrpCommand::Converge { draw: self.tools.entropy.u128() }));
            }
        }
        let task_steps = task::convergence::steps(state, at).take(STEPS_MAX).count();
        if task_steps > 0 {
            self.counted.task_steps.increment(task_steps as u64);
            commands.push(Command::Task(TaskCommand::Converge));
        }
        if state.auth.next_end().is_some_and(|end| end <= at) {
            commands.push(Command::Auth(AuthCommand::DropExpired));
        }
        if now >= self.trims_from {
            match trims(view, at) {
                Ok(trims) if trims.is_empty() => {
                    let is_early = buggify!("buggify: old events are looked for early");
                    self.trims_from = now + if is_early { LOOK_EARLY } else { LOOK_EVERY };
                }
                Ok(trims) => commands.extend(trims),
                Err(error) => {
                    tracing::error!(%error, "what is old cannot be looked for");
                    self.trims_from = now + LOOK_EVERY;
                }
            }
        }
        commands
    }

    fn propose(&mut self, commands: Vec<Command>, ctx: &Context<Self>) {
        self.is_proposing = true;
        let (cluster, actor, alarm) = (self.tools.cluster.clone(), ctx.address(), self.tools.alarm.clone());
        actix::spawn(async move {
            let _alarm = alarm;
            proposals::commit(&cluster, commands, "a convergence").await;
            // A stopped actor needs no answer.
            let _ = actor.send(ConvergerMessage::Proposed).await;
        });
    }

    fn wake_after(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        if let Some(earlier) = self.wakes.take() {
            ctx.cancel_future(earlier);
        }
        self.wakes = Some(ctx.run_later(wait, |converger, ctx| {
            converger.wakes = None;
            converger.look(ctx);
        }));
    }
}

impl Actor for Converger {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        hints::follow(&self.tools.cluster, ctx.address(), || ConvergerMessage::StateChanged);
        self.look(ctx);
    }
}

impl Handler<ConvergerMessage> for Converger {
    type Result = ();

    fn handle(&mut self, message: ConvergerMessage, ctx: &mut Self::Context) {
        match message {
            ConvergerMessage::StateChanged => self.look(ctx),
            ConvergerMessage::Proposed => {
                self.is_proposing = false;
                self.look(ctx);
            }
            ConvergerMessage::TermEnded => ctx.stop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use capstan_model::{
        apply::apply,
        command::{Entry, NodeJoined, Sealed},
        ids::{CommandId, DiskId, Incarnation, NodeId},
        lrp::{
            actual::InstanceKey,
            cell::{Announcement, Capacity},
            command::{Desire, Place, Placement},
            definition::Changeable,
        },
    };

    use super::*;

    const LIFE: Incarnation = Incarnation { node: NodeId(1), boot: 1, nonce: 7 };
    const INSTANCES: u32 = 300;

    fn commit(state: &mut State, command: Command) {
        let index = state.index() + 1;
        let commands =
            vec![Sealed::new(CommandId { incarnation: LIFE, seq: index }, None, command).expect("small")];
        let entry = Entry::V1 { time: Timestamp(index), settled: vec![], commands };
        let applied = apply(state, index, &entry);
        assert!(applied.replies.iter().all(|(_, reply)| reply.is_ok()), "{:?}", applied.replies);
    }

    /// A cell that was given many instances.
    fn busy_cell() -> State {
        let mut state = State::default();
        commit(
            &mut state,
            Command::NodeJoined(NodeJoined {
                incarnation: LIFE,
                disk: DiskId(1),
                peer_address: "p".into(),
                http_address: "h".into(),
                slots: 1,
                job_types: vec![],
            }),
        );
        let capacity = Capacity { memory_mb: 1, disk_mb: 1, containers: INSTANCES };
        let announcement = Announcement {
            incarnation: LIFE,
            zone: "z".into(),
            capacity,
            rootfs: Default::default(),
            isolation: Default::default(),
        };
        commit(&mut state, Command::Lrp(LrpCommand::AnnounceCell(Box::new(announcement))));
        let guid: capstan_model::lrp::guid::Guid = "lrp".parse().unwrap();
        let desire = Desire {
            guid: guid.clone(),
            definition: Default::default(),
            changeable: Changeable { instances: INSTANCES, ..Changeable::default() },
            draw: 1,
        };
        commit(&mut state, Command::Lrp(LrpCommand::Desire(Arc::new(desire))));
        let placed: Vec<Placement> = state
            .lrps
            .groups_of(&guid)
            .map(|(key, group)| Placement {
                key: key.clone(),
                tag: group.instance.as_ref().unwrap().tag,
                instance: InstanceKey { instance_guid: u128::from(key.index), cell: LIFE },
            })
            .collect();
        for placements in placed.chunks(100) {
            let place = Place { placements: placements.to_vec(), failures: vec![] };
            commit(&mut state, Command::Lrp(LrpCommand::Place(Box::new(place))));
        }
        state
    }

    #[test]
    fn what_was_lost_is_counted_for_each_command_that_replaces_it() {
        let mut state = busy_cell();
        assert_eq!(next(&state, state.log_time()), None, "there is nothing to do");
        let silent = LrpCommand::CellSilent { incarnation: LIFE, term: state.term() };
        commit(&mut state, Command::Lrp(silent));
        for expected in [Some(256), Some(44), None] {
            let expected = expected.map(|count| Next { steps: count, replaced: count });
            assert_eq!(next(&state, state.log_time()), expected);
            commit(&mut state, Command::Lrp(LrpCommand::Converge { draw: 2 }));
        }
    }

    #[test]
    fn two_hundred_are_replaced_a_second() {
        assert_eq!(pause_after(256), Duration::from_millis(1_280));
        assert_eq!(pause_after(0), Duration::ZERO, "restarts and evacuations do not wait");
    }
}
