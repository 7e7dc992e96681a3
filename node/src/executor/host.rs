//! The executor of a real node: asks the guardian over the socket.
//!
//! It lives as long as the guardian: an end is sent to it once, and kept here until it is acknowledged. It runs on
//! the node's runtime and never in the simulator, so it spawns its tasks with tokio directly.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use capstan_model::{
    ids::{Incarnation, NodeId},
    lrp::isolation::Unlimited,
};
use futures::future::{BoxFuture, FutureExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{broadcast, mpsc, oneshot},
    task::spawn_blocking,
};

use super::{
    BootTime, ExecEvent, Executor, ExecutorGone, Outcome, ProcessKey, Registered, Standing, StartRefused,
    StartSpec, Started, instances::InstanceHost, outcome::Context, result_file,
};
use crate::guardian::{
    Guardian,
    frame::{self, FRAME_BYTES_MAX, FrameError, Inbox},
    instance_spec::{InstanceEnd, InstanceProcess},
    kill_marked,
    protocol::{EndReport, QuestionId, Stage, StartAnswer, ToGuardian, ToNode},
    scratch,
};

/// How many events a receiver may fall behind before it is told to look at the register instead.
const EVENTS_MAX: usize = 1_024;
/// One read from the socket.
const READ_BYTES: usize = 64 * 1024;

/// Runs processes through the guardian.
#[derive(Debug)]
pub struct HostExecutor {
    shared: Arc<Shared>,
    guardian: Mutex<Option<Child>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    data: PathBuf,
    numbers: AtomicU64,
    /// Encoded frames on their way to the guardian. Unbounded: it always reads, and callers wait for their answers.
    outgoing: Mutex<Option<mpsc::UnboundedSender<Vec<u8>>>>,
    events: broadcast::Sender<ExecEvent>,
    known: Mutex<Known>,
}

/// What is waited for, and what has ended.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) gone: bool,
    node: NodeId,
    answers: BTreeMap<QuestionId, oneshot::Sender<Answer>>,
    calls: BTreeMap<ProcessKey, oneshot::Sender<Arc<Outcome>>>,
    /// What the texts of an outcome need, of every process that has not ended.
    started: BTreeMap<ProcessKey, Origin>,
    ended: BTreeMap<ProcessKey, Arc<Outcome>>,
    pub(super) instance_ends: BTreeMap<InstanceProcess, oneshot::Sender<InstanceEnd>>,
}

#[derive(Debug)]
struct Origin {
    program: String,
    directory: String,
}

#[derive(Debug)]
pub(super) enum Answer {
    Begun,
    Start(StartAnswer),
    Register(Vec<(ProcessKey, Stage)>),
    InstanceGone,
    Unlimited(Vec<Unlimited>),
}

impl HostExecutor {
    /// Takes over a guardian. Called on the node's runtime.
    ///
    /// # Errors
    /// The socket cannot be registered with the runtime.
    pub fn connect(guardian: Guardian) -> io::Result<Self> {
        let Guardian { socket, process, data } = guardian;
        socket.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(socket)?.into_split();
        let (outgoing, frames) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            data,
            numbers: AtomicU64::new(1),
            outgoing: Mutex::new(Some(outgoing)),
            events: broadcast::Sender::new(EVENTS_MAX),
            known: Mutex::default(),
        });
        tokio::spawn(write_frames(writer, frames));
        tokio::spawn(Arc::clone(&shared).read_messages(reader));
        Ok(Self { shared, guardian: Mutex::new(Some(process)) })
    }

    /// What runs instances.
    pub fn instances(&self) -> InstanceHost {
        InstanceHost(Arc::clone(&self.shared))
    }

    /// Closes the socket, whereupon the guardian kills every process, and waits until it has exited. `None` when it
    /// was waited for before.
    ///
    /// # Errors
    /// Its exit status cannot be taken.
    pub async fn shut_down(&self) -> io::Result<Option<ExitStatus>> {
        self.shared.hang_up();
        let Some(mut process) = self.guardian.lock().expect("no holder panics").take() else {
            return Ok(None);
        };
        spawn_blocking(move || process.wait().map(Some)).await.map_err(io::Error::other)?
    }
}

/// Closes the socket, so that the guardian ends every process.
impl Drop for HostExecutor {
    fn drop(&mut self) {
        self.shared.hang_up();
    }
}

impl Executor for HostExecutor {
    fn begin(&self, incarnation: Incarnation) -> BoxFuture<'static, Result<(), ExecutorGone>> {
        let shared = Arc::clone(&self.shared);
        shared.known().node = incarnation.node;
        async move {
            match shared.ask(|id| ToGuardian::Begin { id, incarnation }).await? {
                Answer::Begun => Ok(()),
                other => unreachable!("asked to begin, answered {other:?}"),
            }
        }
        .boxed()
    }

    fn start(&self, spec: StartSpec) -> BoxFuture<'static, Result<Started, StartRefused>> {
        Arc::clone(&self.shared).start(spec).boxed()
    }

    fn stop(&self, key: ProcessKey, grace: Duration) {
        self.shared.tell(&ToGuardian::Stop { key, grace });
    }

    fn forget(&self, key: ProcessKey) {
        if self.shared.known().ended.remove(&key).is_some() {
            self.shared.discard(key);
        }
    }

    fn register(&self) -> BoxFuture<'static, Result<Vec<Registered>, ExecutorGone>> {
        let shared = Arc::clone(&self.shared);
        async move {
            match shared.ask(|id| ToGuardian::List { id }).await? {
                Answer::Register(entries) => Ok(shared.known().standing_of(entries)),
                other => unreachable!("asked for the register, answered {other:?}"),
            }
        }
        .boxed()
    }

    fn status(&self, key: ProcessKey) -> BoxFuture<'static, Option<String>> {
        let path = scratch::status_file(&self.shared.data, &key);
        async move { spawn_blocking(move || result_file::last_status(&path).ok().flatten()).await.ok().flatten() }
            .boxed()
    }

    fn call(
        &self,
        mut spec: StartSpec,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Arc<Outcome>, StartRefused>> {
        let shared = Arc::clone(&self.shared);
        async move {
            let key = ProcessKey::Call(shared.draw());
            (spec.key, spec.deadline) = (key, Some(deadline));
            let (sender, receiver) = oneshot::channel();
            shared.known().calls.insert(key, sender);
            if let Err(refused) = Arc::clone(&shared).start(spec).await {
                shared.known().calls.remove(&key);
                return Err(refused);
            }
            receiver.await.map_err(|_| match shared.known().gone {
                true => StartRefused::Gone(ExecutorGone),
                false => StartRefused::NotBegun,
            })
        }
        .boxed()
    }

    fn renew_lease(&self, until: BootTime) {
        self.shared.tell(&ToGuardian::ValidUntil(until));
    }

    fn events(&self) -> broadcast::Receiver<ExecEvent> {
        self.shared.events.subscribe()
    }
}

impl Shared {
    async fn start(self: Arc<Self>, spec: StartSpec) -> Result<Started, StartRefused> {
        let key = spec.key;
        let origin =
            Origin { program: spec.program.clone(), directory: spec.directory.clone().unwrap_or_default() };
        let id = self.draw();
        let frame = encode(&ToGuardian::Start { id, spec })?;
        // Before the answer: the end may come first.
        self.known().started.entry(key).or_insert(origin);
        match self.await_answer(id, frame).await? {
            Answer::Start(answer) => self.known().started_as(key, answer),
            other => unreachable!("asked to start, answered {other:?}"),
        }
    }

    /// Asks and waits for the answer.
    pub(super) async fn ask(
        &self,
        question: impl FnOnce(QuestionId) -> ToGuardian,
    ) -> Result<Answer, ExecutorGone> {
        let id = self.draw();
        let frame = encode(&question(id)).expect("only the description of a process can be too large");
        self.await_answer(id, frame).await
    }

    pub(super) async fn await_answer(&self, id: QuestionId, frame: Vec<u8>) -> Result<Answer, ExecutorGone> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut known = self.known();
            if known.gone {
                return Err(ExecutorGone);
            }
            known.answers.insert(id, sender);
        }
        self.send(frame);
        receiver.await.map_err(|_| ExecutorGone)
    }

    /// Sends what needs no answer; a guardian that is gone needs to be told nothing.
    pub(super) fn tell(&self, message: &ToGuardian) {
        self.send(encode(message).expect("only the description of a process can be too large"));
    }

    fn send(&self, frame: Vec<u8>) {
        if let Some(outgoing) = &*self.outgoing.lock().expect("no holder panics") {
            // It fails once the writer has seen the guardian gone, and then the reader sees it too.
            let _ = outgoing.send(frame);
        }
    }

    /// Ends the writer, and with it the stream to the guardian.
    fn hang_up(&self) {
        self.outgoing.lock().expect("no holder panics").take();
    }

    pub(super) fn draw(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().expect("no holder panics")
    }

    async fn read_messages(self: Arc<Self>, mut reader: OwnedReadHalf) {
        let mut inbox = Inbox::default();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match reader.read(&mut buffer).await {
                Ok(0) => break,
                Ok(count) => inbox.extend(&buffer[..count]),
                Err(error) => {
                    tracing::error!(%error, "the guardian's socket failed");
                    break;
                }
            }
            if let Err(error) = self.heed_all(&mut inbox).await {
                tracing::error!(%error, "the guardian is not understood");
                break;
            }
        }
        self.guardian_gone().await;
    }

    async fn heed_all(self: &Arc<Self>, inbox: &mut Inbox<ToNode>) -> Result<(), FrameError> {
        while let Some(message) = inbox.take()? {
            match message {
                ToNode::Begun { id } => {
                    self.drop_earlier_life();
                    self.answer(id, Answer::Begun);
                }
                ToNode::Start { id, answer } => self.answer(id, Answer::Start(answer)),
                ToNode::Register { id, entries } => self.answer(id, Answer::Register(entries)),
                ToNode::Ended { key, report } => self.note_end(key, report).await,
                ToNode::EndedInInstance { process, end } => {
                    if let Some(waiting) = self.known().instance_ends.remove(&process) {
                        // Whoever waited may have given up.
                        let _ = waiting.send(end);
                    }
                }
                ToNode::InstanceGone { id } => self.answer(id, Answer::InstanceGone),
                ToNode::Unlimited { id, unlimited } => self.answer(id, Answer::Unlimited(unlimited)),
            }
        }
        Ok(())
    }

    fn answer(&self, id: QuestionId, answer: Answer) {
        if let Some(waiting) = self.known().answers.remove(&id) {
            // Whoever asked may have given up.
            let _ = waiting.send(answer);
        }
    }

    /// Forgets what ran before an incarnation began; the guardian has killed it all.
    fn drop_earlier_life(&self) {
        let mut known = self.known();
        known.calls.clear();
        known.instance_ends.clear();
        let keys: Vec<_> = known.started.keys().chain(known.ended.keys()).copied().collect();
        known.started.clear();
        known.ended.clear();
        let folders: Vec<_> = keys.iter().map(|key| scratch::folder(&self.data, key)).collect();
        spawn_blocking(move || folders.iter().for_each(|folder| remove_folder(folder)));
    }

    async fn note_end(self: &Arc<Self>, key: ProcessKey, report: EndReport) {
        let shared = Arc::clone(self);
        let decided = spawn_blocking(move || shared.decide(key, report)).await;
        let outcome = Arc::new(decided.expect("deciding an outcome does not panic"));
        let call = {
            let mut known = self.known();
            known.started.remove(&key);
            let call = known.calls.remove(&key);
            if matches!(key, ProcessKey::Try(_)) {
                known.ended.insert(key, Arc::clone(&outcome));
            }
            call
        };
        match key {
            ProcessKey::Try(_) => {
                // No receiver is fine: who subscribes later looks at the register.
                let _ = self.events.send(ExecEvent::Ended { key, outcome });
            }
            ProcessKey::Call(_) => {
                // Whoever called may have given up.
                let _ = call.map(|waiting| waiting.send(outcome));
                self.discard(key);
            }
        }
    }

    fn decide(&self, key: ProcessKey, report: EndReport) -> Outcome {
        let result = result_file::read(&scratch::result_file(&self.data, &key));
        let known = self.known();
        let origin = known.started.get(&key);
        let context = Context {
            node: known.node,
            program: origin.map_or("", |origin| &origin.program),
            directory: origin.map_or("", |origin| &origin.directory),
        };
        Outcome::decide(&context, report, result)
    }

    /// Drops what the guardian and the disk hold of an ended process.
    fn discard(&self, key: ProcessKey) {
        self.tell(&ToGuardian::Forget { key });
        let folder = scratch::folder(&self.data, &key);
        spawn_blocking(move || remove_folder(&folder));
    }

    /// Ends what the guardian left, wakes everybody who waits, and says so.
    async fn guardian_gone(&self) {
        let data = self.data.clone();
        match spawn_blocking(move || kill_marked(&data)).await.map_err(io::Error::other) {
            Ok(Ok(0)) => {}
            Ok(Ok(killed)) => tracing::error!(killed, "killed what the guardian left"),
            Ok(Err(error)) | Err(error) => tracing::error!(%error, "what the guardian left cannot be killed"),
        }
        {
            let mut known = self.known();
            known.gone = true;
            known.answers.clear();
            known.calls.clear();
            known.instance_ends.clear();
        }
        // No receiver is fine: every question is answered with the same.
        let _ = self.events.send(ExecEvent::Gone);
    }
}

impl Known {
    fn started_as(&mut self, key: ProcessKey, answer: StartAnswer) -> Result<Started, StartRefused> {
        let refused = match answer {
            StartAnswer::Started => return Ok(Started::Now),
            StartAnswer::Registered(Stage::Running) => return Ok(Started::Before(Standing::Running)),
            StartAnswer::Registered(Stage::Ended) => match self.ended.get(&key) {
                Some(outcome) => {
                    self.started.remove(&key);
                    return Ok(Started::Before(Standing::Ended(Arc::clone(outcome))));
                }
                // Acknowledged while the question was under way.
                None => StartRefused::Settled { key },
            },
            StartAnswer::Settled => StartRefused::Settled { key },
            StartAnswer::NotBegun => StartRefused::NotBegun,
            StartAnswer::LeaseOver => StartRefused::LeaseOver,
            StartAnswer::LeftoversAlive => StartRefused::LeftoversAlive,
        };
        self.started.remove(&key);
        Err(refused)
    }

    /// Joins the guardian's list with the outcomes; calls are nobody else's business, and an end acknowledged
    /// meanwhile is no longer listed.
    fn standing_of(&self, entries: Vec<(ProcessKey, Stage)>) -> Vec<Registered> {
        let tries = entries.into_iter().filter(|(key, _)| matches!(key, ProcessKey::Try(_)));
        let standing = |(key, stage)| {
            let standing = match stage {
                Stage::Running => Standing::Running,
                Stage::Ended => Standing::Ended(Arc::clone(self.ended.get(&key)?)),
            };
            Some(Registered { key, standing })
        };
        tries.filter_map(standing).collect()
    }
}

async fn write_frames(mut writer: OwnedWriteHalf, mut frames: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(frame) = frames.recv().await {
        if writer.write_all(&frame).await.is_err() {
            // The reader sees the end of the stream and says what it means.
            return;
        }
    }
}

pub(super) fn encode(message: &ToGuardian) -> Result<Vec<u8>, StartRefused> {
    let mut frame = Vec::new();
    match frame::encode(message, &mut frame) {
        Ok(()) => Ok(frame),
        Err(FrameError::TooLong { bytes }) => {
            Err(StartRefused::TooLarge { bytes, bytes_max: FRAME_BYTES_MAX })
        }
        Err(error) => unreachable!("encoding refuses only what is too long: {error}"),
    }
}

fn remove_folder(folder: &Path) {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), %error, "a scratch folder cannot be removed");
        }
        _ => {}
    }
}
