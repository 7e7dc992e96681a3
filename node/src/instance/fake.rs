//! A machine that keeps to a script, for tests in virtual time.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use capstan_model::lrp::action::{self, Action, Download, Kind, Upload};
use futures::future::{BoxFuture, FutureExt};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::driver::{
    Driver, Fetched, Keep, OpenError, Process, ProcessEnd, ProcessNo, Running, Signal, Stream, UploadError,
};

/// What a program does each time it is run.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// How long it runs when nobody ends it.
    pub(crate) takes: Duration,
    /// How it ends then.
    pub(crate) end: ProcessEnd,
    /// How long it goes on after SIGTERM, and after SIGKILL; for ever where it is `None`.
    pub(crate) after_term: Option<Duration>,
    pub(crate) after_kill: Option<Duration>,
}

/// The script, and what has happened.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    /// By path. Of several the first is run first, and the last again and again.
    pub(crate) programs: BTreeMap<String, Vec<Program>>,
    pub(crate) fetch: Option<(Duration, Result<u64, String>)>,
    pub(crate) unpack: Option<String>,
    pub(crate) upload: Option<Result<u64, UploadError>>,
    refusal: Mutex<Option<OpenError>>,
    happened: Mutex<Happened>,
}

#[derive(Debug, Default)]
struct Happened {
    said: Vec<String>,
    started: Vec<(Process, Instant)>,
    told: Vec<(ProcessNo, Signal, Instant)>,
    signals: BTreeMap<ProcessNo, watch::Sender<Option<Signal>>>,
    closed: usize,
}

impl Program {
    pub(crate) fn exits(status: i32, takes: Duration) -> Self {
        Self {
            takes,
            end: ProcessEnd::Exited { status, out_of_memory: false, held: b"written\n".to_vec() },
            after_term: Some(Duration::ZERO),
            after_kill: Some(Duration::ZERO),
        }
    }

    /// Runs until it is told to end.
    pub(crate) fn serves() -> Self {
        Self::exits(0, Duration::from_secs(1_000_000))
    }
}

impl Fake {
    /// Each program by its path.
    pub(crate) fn new(programs: impl IntoIterator<Item = (&'static str, Program)>) -> Self {
        let mut fake = Self::default();
        for (path, program) in programs {
            fake.programs.entry(path.to_owned()).or_default().push(program);
        }
        fake
    }

    /// The next instance cannot begin.
    pub(crate) fn refuse(&self, error: OpenError) {
        *self.refusal.lock().unwrap() = Some(error);
    }

    /// The output, as `out SOURCE TEXT` and `err SOURCE TEXT`.
    pub(crate) fn said(&self) -> Vec<String> {
        self.happened.lock().unwrap().said.clone()
    }

    pub(crate) fn started(&self) -> Vec<(Process, Instant)> {
        self.happened.lock().unwrap().started.clone()
    }

    /// Which signals were sent, and when.
    pub(crate) fn told(&self) -> Vec<(ProcessNo, Signal, Instant)> {
        self.happened.lock().unwrap().told.clone()
    }

    pub(crate) fn closed(&self) -> usize {
        self.happened.lock().unwrap().closed
    }

    fn next_program(&self, path: &str) -> Option<Program> {
        let programs = self.programs.get(path)?;
        let before = self.started().iter().filter(|(process, _)| &*process.path == path).count();
        programs.get(before).or(programs.last()).cloned()
    }
}

impl Driver for Fake {
    fn open(&self) -> BoxFuture<'_, Result<(), OpenError>> {
        let opened = self.refusal.lock().unwrap().take().map_or(Ok(()), Err);
        async { opened }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.happened.lock().unwrap().closed += 1;
        async {}.boxed()
    }

    fn start(&self, process: Process) -> BoxFuture<'_, Result<Running, String>> {
        let Some(program) = self.next_program(&process.path) else {
            return async { Err("no such program".to_owned()) }.boxed();
        };
        let mut happened = self.happened.lock().unwrap();
        let held = process.keep == Keep::Held;
        happened.started.push((process, Instant::now()));
        let number = ProcessNo(u32::try_from(happened.started.len()).unwrap());
        let (sender, signals) = watch::channel(None);
        happened.signals.insert(number, sender);
        let end = run(program, signals, held).boxed();
        async move { Ok(Running { process: number, end }) }.boxed()
    }

    fn signal(&self, process: ProcessNo, signal: Signal) {
        let mut happened = self.happened.lock().unwrap();
        happened.told.push((process, signal, Instant::now()));
        happened.signals[&process].send_replace(Some(signal));
    }

    fn fetch<'a>(&'a self, _: &'a Download) -> BoxFuture<'a, Result<Fetched, String>> {
        let (takes, fetched) = self.fetch.clone().expect("the script says what is fetched");
        async move {
            sleep(takes).await;
            fetched.map(|bytes| Fetched { archive: PathBuf::from("/archive"), bytes })
        }
        .boxed()
    }

    fn unpack<'a>(&'a self, _: Fetched, _: &'a Download) -> BoxFuture<'a, Result<(), String>> {
        let unpacked = self.unpack.clone().map_or(Ok(()), Err);
        async { unpacked }.boxed()
    }

    fn upload<'a>(&'a self, _: &'a Upload) -> BoxFuture<'a, Result<u64, UploadError>> {
        let sent = self.upload.clone().expect("the script says what is sent");
        async { sent }.boxed()
    }

    fn say(&self, source: &str, stream: Stream, text: &str) {
        let stream = match stream {
            Stream::Stdout => "out",
            Stream::Stderr => "err",
        };
        let lines = text.lines().map(|line| format!("{stream} {source} {line}"));
        self.happened.lock().unwrap().said.extend(lines);
    }
}

/// A process, until its time is over or it has been signalled and has taken its time about it.
async fn run(program: Program, mut signals: watch::Receiver<Option<Signal>>, held: bool) -> ProcessEnd {
    let mut ends_at = Instant::now() + program.takes;
    let mut signalled = None;
    loop {
        tokio::select! {
            biased;
            () = sleep_until(ends_at) => break,
            changed = signals.changed() => {
                changed.expect("the machine outlives its processes");
                signalled = *signals.borrow_and_update();
                let after = match signalled {
                    Some(Signal::Kill) => program.after_kill,
                    _ => program.after_term,
                };
                if let Some(after) = after {
                    ends_at = Instant::now() + after;
                }
            }
        }
    }
    let status_of = |signal| 128 + if signal == Signal::Kill { 9 } else { 15 };
    match (signalled, program.end) {
        (Some(signal), _) => {
            ProcessEnd::Exited { status: status_of(signal), out_of_memory: false, held: Vec::new() }
        }
        (None, ProcessEnd::Exited { status, out_of_memory, held: written }) => {
            ProcessEnd::Exited { status, out_of_memory, held: if held { written } else { Vec::new() } }
        }
        (None, failed) => failed,
    }
}

/// An action of one kind.
pub(crate) fn action(kind: Kind) -> Action {
    Action { kinds: vec![kind] }
}

/// Runs a program by its path.
pub(crate) fn runs(path: &str) -> Action {
    action(Kind::Run(action::Run { path: path.into(), user: "vcap".into(), ..action::Run::default() }))
}

/// Several actions.
pub(crate) fn list(actions: impl IntoIterator<Item = Action>) -> action::List {
    action::List { actions: actions.into_iter().map(Some).collect(), ..action::List::default() }
}

/// What an action is boxed as inside another.
pub(crate) fn boxed(action: Action) -> Option<Box<Action>> {
    Some(Box::new(action))
}

/// A shared machine.
pub(crate) fn machine(programs: impl IntoIterator<Item = (&'static str, Program)>) -> Arc<Fake> {
    Arc::new(Fake::new(programs))
}
