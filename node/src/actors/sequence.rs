//! One sequence of a request: starts its tries, reports their ends, wakes its retries.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, SpawnHandle};
use capstan_model::{
    buggify,
    command::Command,
    failpoint,
    ids::{Incarnation, JobId, RequestId, TryNo},
    rejection::Rejection,
    sometimes,
    state::State,
    workflow::{
        command::{FinishTry, StartRetry, TryEnd, TryId},
        output::STREAM_BYTES_LEFT,
        view::RunningTry,
    },
};
use capstan_raft_store::handle::ProposeOptions;

use super::Tools;
use crate::{
    executor::{Outcome, ProcessKey, Standing, StartRefused, StartSpec, Started, TryKey},
    jobs::{Run, RunInput},
};

/// How long a process may take to end after SIGTERM.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How long to wait before a start that was refused for a passing reason, or a report that found no leader, is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(200);
/// How long what is put off is put off, in simulations.
const PUT_OFF: Duration = Duration::from_millis(60);

/// Everything that can wake a sequence actor.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum SequenceMessage {
    /// The state has moved; a hint.
    StateChanged,
    /// A try has ended.
    Ended(TryKey, Arc<Outcome>),
    /// A start was answered.
    StartAnswered(TryKey, Result<Started, StartRefused>),
    /// The end of a try is committed, or refused for good.
    Reported(TryKey),
    /// A retry was woken, or refused.
    Woken(TryKey),
    /// State wants nothing of this node for it any more.
    NothingLeft,
}

/// The actor of one sequence. What it holds of a try follows from State and the register, but for the timers of `sleep`.
pub struct Sequence {
    request: RequestId,
    id: JobId,
    tools: Tools,
    held: BTreeMap<TryKey, Held>,
    /// Tries whose retry is being waited for, with the timer, or woken.
    waking: BTreeMap<TryKey, Option<SpawnHandle>>,
    /// Set when State wants nothing of this sequence any more; it ends once its reports are settled.
    dismissed: bool,
}

/// A try in this actor's hands.
struct Held {
    id: TryId,
    stream_bytes_max: usize,
    stage: Stage,
}

/// How far a try has come.
enum Stage {
    /// It is with the executor.
    Process { stopping: bool },
    /// It is a wait of this actor's.
    Timer(SpawnHandle),
    /// It has ended; its report is on its way or committed.
    Reporting,
}

/// What there is to do. Each step is safe to repeat.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Start(TryKey),
    Stop(TryKey),
    Wake(TryKey),
    /// Its retry is not waited for any more: it was woken, its request was paused, stopped or taken over.
    LetSleep(TryKey),
    Forget(TryKey),
}

/// What a plan needs to know of a held try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HeldView {
    reporting: bool,
    stopping: bool,
}

/// Compares what State wants with what is held. A pure function.
fn plan(
    wanted: &BTreeMap<TryKey, bool>,
    retries: &BTreeSet<TryKey>,
    held: &BTreeMap<TryKey, HeldView>,
    waking: &BTreeSet<TryKey>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (key, stop_requested) in wanted {
        match held.get(key) {
            None => steps.push(Step::Start(*key)),
            Some(view)
                if *stop_requested
                    && !view.stopping
                    && !view.reporting
                    && !capstan_model::mutant!("stop-not-passed-on") =>
            {
                steps.push(Step::Stop(*key));
            }
            Some(_) => {}
        }
    }
    for (key, view) in held.iter().filter(|(key, _)| !wanted.contains_key(key)) {
        // State wants no such try: one that still runs is stopped, one that was reported is done with.
        match view {
            HeldView { reporting: true, .. } => steps.push(Step::Forget(*key)),
            HeldView { stopping: false, .. } => steps.push(Step::Stop(*key)),
            HeldView { stopping: true, .. } => {}
        }
    }
    steps.extend(waking.difference(retries).map(|key| Step::LetSleep(*key)));
    steps.extend(retries.difference(waking).map(|key| Step::Wake(*key)));
    steps
}

impl Sequence {
    /// An actor for a sequence of a request this node owns; `id` is that of its first job.
    pub fn new(request: RequestId, id: JobId, tools: Tools) -> Self {
        Self { request, id, tools, held: BTreeMap::new(), waking: BTreeMap::new(), dismissed: false }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        failpoint!("actor: a sequence looks");
        let view = self.tools.cluster.view();
        let state = view.state();
        let me = self.tools.cluster.incarnation();
        let wanted: BTreeMap<TryKey, RunningTry<'_>> = running_in(state, me, self.request, self.id)
            .map(|running| (TryKey::from(&running.id), running))
            .collect();
        let retries = retries_in(state, me, self.request, self.id);
        let held = self.held.iter().map(|(key, held)| (*key, held.view())).collect();
        let stops = wanted.iter().map(|(key, running)| (*key, running.stop_requested)).collect();
        let due = retries.keys().copied().collect();
        let waking = self.waking.keys().copied().collect();
        for step in plan(&stops, &due, &held, &waking) {
            match step {
                Step::Start(_) if buggify!("buggify: a start is put off") => {
                    ctx.run_later(PUT_OFF, Self::look);
                }
                Step::Start(key) => self.start(&wanted[&key], ctx),
                Step::Stop(key) => {
                    sometimes!("a try is taken away while it runs", !wanted.contains_key(&key));
                    self.stop(key, ctx);
                }
                Step::Forget(key) => self.forget(key),
                Step::Wake(key) => {
                    let (id, wait) = retries[&key];
                    self.wake_after(wait, id, ctx);
                }
                Step::LetSleep(key) => {
                    if let Some(Some(timer)) = self.waking.remove(&key) {
                        ctx.cancel_future(timer);
                    }
                }
            }
        }
    }

    fn start(&mut self, running: &RunningTry<'_>, ctx: &mut Context<Self>) {
        let key = TryKey::from(&running.id);
        let hold = |stage| Held { id: running.id, stream_bytes_max: running.stream_bytes_max, stage };
        let Some(job_type) = self.tools.jobs.get(&running.spec.job_type) else {
            let reason =
                format!("no job type {} on node {}", running.spec.job_type, running.id.incarnation.node);
            self.held.insert(key, hold(Stage::Reporting));
            return self.ended(key, &Outcome::unmade(&reason), ctx);
        };
        if running.stop_requested && !capstan_model::mutant!("stop-not-checked-at-start") {
            sometimes!("a try is stopped before it is started");
            // It was to be stopped before it was started.
            let now = self.tools.clock.wall();
            self.held.insert(key, hold(Stage::Reporting));
            return self.ended(key, &Outcome::plain(TryEnd::Stopped, now, now), ctx);
        }
        let input =
            RunInput { key, bytes: running.spec.bytes.clone(), job_data: Arc::clone(&running.job.data) };
        match job_type.run(input) {
            Run::Process(spec) => {
                self.held.insert(key, hold(Stage::Process { stopping: false }));
                self.start_process(key, spec, ctx);
            }
            Run::Timer { duration, status: _ } => {
                let started_at = self.tools.clock.wall();
                let timer = ctx.run_later(duration, move |actor, ctx| {
                    let outcome = Outcome::plain(TryEnd::Complete, started_at, actor.tools.clock.wall());
                    actor.ended(key, &outcome, ctx);
                });
                self.held.insert(key, hold(Stage::Timer(timer)));
            }
            Run::Done(outcome) => {
                self.held.insert(key, hold(Stage::Reporting));
                self.ended(key, &outcome, ctx);
            }
        }
    }

    fn start_process(&self, key: TryKey, spec: StartSpec, ctx: &mut Context<Self>) {
        failpoint!("try: claimed, not started");
        let (start, actor, alarm) =
            (self.tools.executor.start(spec), ctx.address(), self.tools.alarm.clone());
        actix::spawn(async move {
            let _alarm = alarm;
            let answer = start.await;
            // A stopped actor needs no answer: the next one asks again, under the same key.
            let _ = actor.send(SequenceMessage::StartAnswered(key, answer)).await;
        });
    }

    fn start_answered(
        &mut self,
        key: TryKey,
        answer: Result<Started, StartRefused>,
        ctx: &mut Context<Self>,
    ) {
        match answer {
            Ok(Started::Now | Started::Before(Standing::Running)) => failpoint!("try: started"),
            Ok(Started::Before(Standing::Ended(outcome))) => self.ended(key, &outcome, ctx),
            Err(StartRefused::Settled { .. }) => {
                // It ran, and its end was committed: State will soon say so here.
                if let Some(held) = self.held.get_mut(&key) {
                    held.stage = Stage::Reporting;
                }
            }
            Err(refused @ StartRefused::TooLarge { .. }) => {
                self.ended(key, &Outcome::unmade(&refused.to_string()), ctx);
            }
            Err(refused) => {
                sometimes!("a start is refused for a passing reason");
                tracing::warn!(%key, %refused, "a try was not started");
                if capstan_model::mutant!("refused-start-not-repeated") {
                    return;
                }
                ctx.run_later(TRY_AGAIN, move |actor, ctx| {
                    if matches!(actor.held.get(&key), Some(Held { stage: Stage::Process { .. }, .. })) {
                        actor.held.remove(&key);
                        actor.look(ctx);
                    }
                });
            }
        }
    }

    fn stop(&mut self, key: TryKey, ctx: &mut Context<Self>) {
        let Some(held) = self.held.get_mut(&key) else { return };
        match &mut held.stage {
            Stage::Process { stopping } => {
                sometimes!("a process is told to stop");
                *stopping = true;
                self.tools.executor.stop(ProcessKey::Try(key), STOP_GRACE);
            }
            Stage::Timer(timer) => {
                sometimes!("a wait is told to stop");
                ctx.cancel_future(*timer);
                let now = self.tools.clock.wall();
                let outcome = Outcome::plain(TryEnd::Stopped, now, now);
                self.ended(key, &outcome, ctx);
            }
            Stage::Reporting => {}
        }
    }

    fn forget(&mut self, key: TryKey) {
        self.held.remove(&key);
        self.tools.executor.forget(ProcessKey::Try(key));
    }

    /// Reports the end of a try, again and again until it is committed or refused.
    fn ended(&mut self, key: TryKey, outcome: &Outcome, ctx: &mut Context<Self>) {
        let Some(held) = self.held.get_mut(&key) else { return };
        held.stage = Stage::Reporting;
        let (id, mut stream_bytes_max, outcome) = (held.id, held.stream_bytes_max, outcome.clone());
        let (tools, actor, alarm) = (self.tools.clone(), ctx.address(), self.tools.alarm.clone());
        actix::spawn(async move {
            let _alarm = alarm;
            failpoint!("try: ended, not reported");
            if buggify!("buggify: the report of a try is late") {
                tokio::time::sleep(PUT_OFF).await;
            }
            let mut report = outcome.to_report(stream_bytes_max);
            loop {
                let command = Command::FinishTry(Box::new(FinishTry { id, report: report.clone() }));
                match tools.cluster.propose(command, ProposeOptions::progress()).await {
                    Ok(committed) => {
                        failpoint!("try: reported, not forgotten");
                        let Err(rejection) = committed.reply else { break };
                        sometimes!("the report of a try is refused");
                        tracing::info!(%key, %rejection, "the report of a try was refused");
                        let Some(less) = cut_after(&rejection, stream_bytes_max) else { break };
                        stream_bytes_max = less;
                        report = outcome.to_report(stream_bytes_max);
                    }
                    Err(error) if actor.connected() && !capstan_model::mutant!("report-sent-once") => {
                        sometimes!("the report of a try finds no leader");
                        tracing::debug!(%key, %error, "the report of a try is not committed yet");
                        tokio::time::sleep(TRY_AGAIN).await;
                    }
                    Err(_) => break,
                }
            }
            let _ = actor.send(SequenceMessage::Reported(key)).await;
        });
    }

    /// Proposes the next try once its wait is over. The timer only wakes; whether the time has come is for apply to say.
    fn wake_after(&mut self, wait: Duration, id: TryId, ctx: &mut Context<Self>) {
        let wait = match wait {
            wait if buggify!("buggify: a retry is woken early") => wait / 2,
            wait if buggify!("buggify: a retry is woken late") => wait + PUT_OFF,
            wait => wait,
        };
        let timer = ctx.run_later(wait, move |actor, ctx| actor.wake(id, ctx));
        self.waking.insert(TryKey::from(&id), Some(timer));
    }

    fn wake(&mut self, id: TryId, ctx: &mut Context<Self>) {
        let key = TryKey::from(&id);
        self.waking.insert(key, None);
        let (tools, actor, alarm) = (self.tools.clone(), ctx.address(), self.tools.alarm.clone());
        actix::spawn(async move {
            let _alarm = alarm;
            if capstan_model::mutant!("retry-started-before-commit") {
                let next = TryKey { try_no: TryNo(key.try_no.0 + 1), ..key };
                drop(tools.executor.start(StartSpec::new(next, "work")).await);
            }
            let command = Command::StartRetry(StartRetry { id });
            match tools.cluster.propose(command, ProposeOptions::progress()).await {
                Ok(committed) if committed.reply.is_ok() => return failpoint!("retry: committed"),
                Ok(_) => {}
                Err(error) => tracing::debug!(%key, %error, "a retry is not committed yet"),
            }
            tokio::time::sleep(TRY_AGAIN).await;
            let _ = actor.send(SequenceMessage::Woken(key)).await;
        });
    }
}

impl Held {
    fn view(&self) -> HeldView {
        HeldView {
            reporting: matches!(self.stage, Stage::Reporting),
            stopping: matches!(self.stage, Stage::Process { stopping: true }),
        }
    }
}

/// How much of each stream a refused report may keep when it is sent again; `None` when the refusal is final. While a try ran,
/// others of its request may have used up the room for their output.
fn cut_after(rejection: &Rejection, stream_bytes_max: usize) -> Option<usize> {
    let may_be_cut = matches!(rejection, Rejection::TooLarge { .. }) && stream_bytes_max > STREAM_BYTES_LEFT;
    may_be_cut.then_some(STREAM_BYTES_LEFT)
}

fn running_in(
    state: &State,
    me: Incarnation,
    request: RequestId,
    sequence: JobId,
) -> impl Iterator<Item = RunningTry<'_>> {
    let live = state.requests.get(&request);
    state
        .running_of(me, request)
        .filter(move |running| live.is_some_and(|live| live.chain().sequence_id(running.spec) == sequence))
}

/// The retries of a sequence with what is left of their waits, in log time as of the newest entry.
fn retries_in(
    state: &State,
    me: Incarnation,
    request: RequestId,
    sequence: JobId,
) -> BTreeMap<TryKey, (TryId, Duration)> {
    let Some(live) = state.requests.get(&request) else { return BTreeMap::new() };
    state
        .requests
        .retries_under(me)
        .filter(|waiting| waiting.id.request == request)
        .filter(|waiting| {
            live.job(waiting.id.job).is_some_and(|(spec, _)| live.chain().sequence_id(spec) == sequence)
        })
        .map(|waiting| (TryKey::from(&waiting.id), (waiting.id, waiting.until.since(state.log_time()))))
        .collect()
}

impl Actor for Sequence {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.look(ctx);
    }
}

impl Handler<SequenceMessage> for Sequence {
    type Result = ();

    fn handle(&mut self, message: SequenceMessage, ctx: &mut Self::Context) {
        match message {
            SequenceMessage::StateChanged => self.look(ctx),
            SequenceMessage::Ended(key, outcome) => {
                if matches!(self.held.get(&key), Some(Held { stage: Stage::Process { .. }, .. })) {
                    self.ended(key, &outcome, ctx);
                }
            }
            SequenceMessage::StartAnswered(key, answer) => self.start_answered(key, answer, ctx),
            SequenceMessage::Reported(_) => self.look(ctx),
            SequenceMessage::Woken(key) => {
                // After a pause it may be waited for anew.
                if matches!(self.waking.get(&key), Some(None)) {
                    self.waking.remove(&key);
                }
                self.look(ctx);
            }
            SequenceMessage::NothingLeft => {
                self.dismissed = true;
                self.look(ctx);
            }
        }
        // What still runs against State's will was told to stop, and is the executor's until it has.
        if self.dismissed && !self.held.values().any(|held| matches!(held.stage, Stage::Reporting)) {
            ctx.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use capstan_model::ids::Epoch;

    use super::*;

    fn key(job: u8, try_no: u32) -> TryKey {
        TryKey { request: RequestId([1; 12]), job: JobId([job; 4]), try_no: TryNo(try_no), epoch: Epoch(1) }
    }

    const RUNS: HeldView = HeldView { reporting: false, stopping: false };
    const STOPS: HeldView = HeldView { reporting: false, stopping: true };
    const REPORTS: HeldView = HeldView { reporting: true, stopping: false };

    #[test]
    fn a_plan_is_the_difference_between_state_and_what_is_held() {
        let (a, b) = (key(b'a', 1), key(b'b', 2));
        let none = BTreeSet::new();
        let cases = [
            ("nothing wanted, nothing held", vec![], vec![], vec![]),
            ("wanted, not held", vec![(a, false)], vec![], vec![Step::Start(a)]),
            ("wanted and running", vec![(a, false)], vec![(a, RUNS)], vec![]),
            ("to be stopped", vec![(a, true)], vec![(a, RUNS)], vec![Step::Stop(a)]),
            ("told to stop already", vec![(a, true)], vec![(a, STOPS)], vec![]),
            ("ended while it was to be stopped", vec![(a, true)], vec![(a, REPORTS)], vec![]),
            ("reported, not yet committed", vec![(a, false)], vec![(a, REPORTS)], vec![]),
            ("committed", vec![], vec![(a, REPORTS)], vec![Step::Forget(a)]),
            (
                "taken away while it runs",
                vec![(b, false)],
                vec![(a, RUNS)],
                vec![Step::Start(b), Step::Stop(a)],
            ),
        ];
        for (name, wanted, held, steps) in cases {
            let wanted = wanted.into_iter().collect();
            let held = held.into_iter().collect();
            assert_eq!(plan(&wanted, &none, &held, &none), steps, "{name}");
        }
    }

    #[test]
    fn a_report_that_is_too_large_by_now_is_cut_once_and_no_other_refusal_is_answered() {
        let too_large = Rejection::TooLarge { what: "stdout".to_owned(), bytes: 9_000, bytes_max: 1_280 };
        assert_eq!(cut_after(&too_large, 64 * 1024), Some(STREAM_BYTES_LEFT));
        assert_eq!(cut_after(&too_large, STREAM_BYTES_LEFT), None);
        let over = Rejection::TryOver { job: JobId([b'a'; 4]), try_no: TryNo(1) };
        assert_eq!(cut_after(&over, 64 * 1024), None);
    }

    #[test]
    fn a_retry_is_woken_once() {
        let (a, b) = (key(b'a', 1), key(b'b', 1));
        let steps = plan(&BTreeMap::new(), &[a, b].into(), &BTreeMap::new(), &[a].into());
        assert_eq!(steps, [Step::Wake(b)]);
    }

    #[test]
    fn a_retry_that_is_not_to_come_is_waited_for_no_longer() {
        let (a, b) = (key(b'a', 1), key(b'b', 1));
        let steps = plan(&BTreeMap::new(), &[b].into(), &BTreeMap::new(), &[a, b].into());
        assert_eq!(steps, [Step::LetSleep(a)]);
    }
}
