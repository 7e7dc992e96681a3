//! The leader's liveness actor: admits the nodes that report, each life once; declares those silent and then lost that do not; has
//! what nobody may run any more given to others; and has stopped what is out of time.
//!
//! * [`mod@plan`]: what follows from what was heard and what is committed.

mod plan;

use std::{collections::BTreeSet, time::Duration};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};
use capstan_model::{
    buggify,
    command::{Command, NodeJoined},
    failpoint,
    ids::{Incarnation, JobId, RequestId, TryNo},
    lrp::command::LrpCommand,
    workflow::command::Expire,
};
use capstan_raft_store::{handle::ProposeOptions, timing::Timing};

use self::plan::{HEARING_MIN, Silence, plan};
use super::{Tools, log_clock::LogClock};

/// How often the table of heartbeats is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After so many reports that did not come a cell is silent.
const MISSED_MAX: u32 = 6;
/// No cell is silent before this time, however often it reports.
const SILENT_AFTER_MIN: Duration = Duration::from_secs(3);

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

/// Silence after which what runs on a cell is placed elsewhere: nothing has to be dead before, so that it need not last as long as for an owner.
pub fn cell_silent_after(timing: &Timing) -> Duration {
    (timing.node_heartbeat * MISSED_MAX).max(SILENT_AFTER_MIN)
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
    clock: LogClock,
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
    /// This try or request is out of time.
    Expire(Expire),
    /// The cell of this life has been silent for too long.
    Silence(Incarnation),
    /// The cell of this life is heard again.
    Hear(Incarnation),
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
    /// A try of a job of a request is to be stopped, or the request.
    Expire(RequestId, Option<(JobId, TryNo)>),
    /// A cell is to be declared silent.
    Silence(Incarnation),
    /// A cell is to be declared heard.
    Hear(Incarnation),
}

impl Step {
    fn key(&self) -> StepKey {
        match self {
            Self::Admit(joined) => StepKey::Admit(joined.incarnation),
            Self::Lose(incarnation) => StepKey::Lose(*incarnation),
            Self::TakeOver => StepKey::TakeOver,
            Self::End(request) => StepKey::End(*request),
            Self::Expire(expire) => StepKey::Expire(expire.request, expire.try_of),
            Self::Silence(life) => StepKey::Silence(*life),
            Self::Hear(life) => StepKey::Hear(*life),
        }
    }

    fn into_command(self, term: u64) -> Command {
        match self {
            Self::Admit(joined) => Command::NodeJoined(joined),
            Self::Lose(incarnation) => Command::NodeLost { incarnation, term },
            Self::TakeOver => Command::TakeOver,
            Self::End(request) => Command::EndSuspended { request },
            Self::Expire(expire) => Command::Expire(expire),
            Self::Silence(incarnation) => Command::Lrp(LrpCommand::CellSilent { incarnation, term }),
            Self::Hear(incarnation) => Command::Lrp(LrpCommand::CellHeard { incarnation }),
        }
    }
}

impl Liveness {
    /// An actor for the present term.
    pub fn new(term: u64, tools: Tools) -> Self {
        let now = tools.clock.monotonic();
        let clock = LogClock::new(now);
        Self { term, began: now, deaf: now, looked: now, clock, tools, proposed: BTreeSet::new() }
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
            cell_silent_after: self.tools.cell_silent_after,
        };
        let at = self.clock.at(view.state().log_time(), now);
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
                            StepKey::End(_)
                            | StepKey::Expire(..)
                            | StepKey::Silence(_)
                            | StepKey::Hear(_) => {}
                        }
                    }
                    // It ended by itself before it could be stopped.
                    Err(rejection) if matches!(key, StepKey::Expire(..)) => {
                        tracing::debug!(?key, %rejection, "not out of time any more");
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
