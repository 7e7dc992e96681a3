//! A node's end of the line to its simulated guardian.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use capstan_model::ids::Incarnation;
use capstan_node::{
    executor::{
        BootTime, ExecEvent, Executor, ExecutorGone, Outcome, ProcessKey, Registered, Standing, StartRefused,
        StartSpec, Started,
    },
    guardian::protocol::{Stage, StartAnswer},
    instance::driver::{ProcessNo, Signal},
};
use futures::future::{BoxFuture, FutureExt, ready};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::units::UnitStart;

/// How many events a receiver may fall behind: few, so that it happens.
const EVENTS_MAX: usize = 1;

/// What a node says to its guardian.
pub(crate) enum Message {
    /// An incarnation begins.
    Begin(Incarnation, oneshot::Sender<()>),
    /// A process is to be started.
    Start(StartSpec, oneshot::Sender<StartAnswer>),
    /// A process is to end.
    Stop(ProcessKey, Duration),
    /// An end is acknowledged.
    Forget(ProcessKey),
    /// The register is asked for.
    List(oneshot::Sender<Vec<(ProcessKey, Stage)>>),
    /// The lease is extended.
    ValidUntil(BootTime),
    /// A process of an instance or a task is to be started.
    StartUnit(Box<UnitStart>, oneshot::Sender<Result<(), String>>),
    /// A process of an instance or a task is to be signalled.
    SignalUnit(u128, ProcessNo, Signal),
    /// Nothing of an instance or a task is to be left.
    EndUnit(u128, oneshot::Sender<()>),
    /// The machine's clock runs at another rate.
    ClockChanged,
    /// The line is cut: the node's process is gone.
    NodeGone,
}

/// What the guardian has reported and the node has not acknowledged.
pub(crate) struct Reports {
    ended: Mutex<BTreeMap<ProcessKey, Arc<Outcome>>>,
    events: broadcast::Sender<ExecEvent>,
}

impl Reports {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { ended: Mutex::default(), events: broadcast::Sender::new(EVENTS_MAX) })
    }

    /// Reports an end.
    pub(super) fn ended(&self, key: ProcessKey, outcome: Outcome) {
        let outcome = Arc::new(outcome);
        self.lock().insert(key, Arc::clone(&outcome));
        // Nobody may listen yet; the register has it.
        drop(self.events.send(ExecEvent::Ended { key, outcome }));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProcessKey, Arc<Outcome>>> {
        self.ended.lock().expect("nothing panics while holding it")
    }
}

/// Asks the simulated guardian of one life of a node.
pub(crate) struct SimExecutor {
    line: mpsc::UnboundedSender<Message>,
    reports: Arc<Reports>,
}

impl SimExecutor {
    pub(super) fn new(line: mpsc::UnboundedSender<Message>, reports: Arc<Reports>) -> Self {
        Self { line, reports }
    }

    fn tell(&self, message: Message) {
        // A guardian that is gone has lost its machine, and this node with it.
        drop(self.line.send(message));
    }

    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Message,
    ) -> BoxFuture<'static, Result<T, ExecutorGone>> {
        let (answer, answered) = oneshot::channel();
        self.tell(question(answer));
        answered.map(|answered| answered.map_err(|_| ExecutorGone)).boxed()
    }
}

impl Executor for SimExecutor {
    fn begin(&self, incarnation: Incarnation) -> BoxFuture<'static, Result<(), ExecutorGone>> {
        self.ask(|answer| Message::Begin(incarnation, answer))
    }

    fn start(&self, spec: StartSpec) -> BoxFuture<'static, Result<Started, StartRefused>> {
        let key = spec.key;
        let reports = Arc::clone(&self.reports);
        let asked = self.ask(|answer| Message::Start(spec, answer));
        async move {
            match asked.await? {
                StartAnswer::Started => Ok(Started::Now),
                StartAnswer::Registered(Stage::Running) => Ok(Started::Before(Standing::Running)),
                StartAnswer::Registered(Stage::Ended) => match reports.lock().get(&key) {
                    Some(outcome) => Ok(Started::Before(Standing::Ended(Arc::clone(outcome)))),
                    None => Err(StartRefused::Settled { key }),
                },
                StartAnswer::Settled => Err(StartRefused::Settled { key }),
                StartAnswer::NotBegun => Err(StartRefused::NotBegun),
                StartAnswer::LeaseOver => Err(StartRefused::LeaseOver),
                StartAnswer::LeftoversAlive => Err(StartRefused::LeftoversAlive),
            }
        }
        .boxed()
    }

    fn stop(&self, key: ProcessKey, grace: Duration) {
        self.tell(Message::Stop(key, grace));
    }

    fn forget(&self, key: ProcessKey) {
        if self.reports.lock().remove(&key).is_some() {
            self.tell(Message::Forget(key));
        }
    }

    fn register(&self) -> BoxFuture<'static, Result<Vec<Registered>, ExecutorGone>> {
        let reports = Arc::clone(&self.reports);
        let asked = self.ask(Message::List);
        async move {
            let entries = asked.await?;
            let ended = reports.lock();
            let standing = |(key, stage)| match stage {
                Stage::Running => Some(Registered { key, standing: Standing::Running }),
                Stage::Ended => {
                    let outcome = Arc::clone(ended.get(&key)?);
                    Some(Registered { key, standing: Standing::Ended(outcome) })
                }
            };
            Ok(entries.into_iter().filter_map(standing).collect())
        }
        .boxed()
    }

    fn status(&self, _key: ProcessKey) -> BoxFuture<'static, Option<String>> {
        ready(None).boxed()
    }

    fn call(
        &self,
        _spec: StartSpec,
        _deadline: Duration,
    ) -> BoxFuture<'static, Result<Arc<Outcome>, StartRefused>> {
        // No job type of the simulation is a plugin.
        ready(Err(StartRefused::NotBegun)).boxed()
    }

    fn renew_lease(&self, until: BootTime) {
        self.tell(Message::ValidUntil(until));
    }

    fn events(&self) -> broadcast::Receiver<ExecEvent> {
        self.reports.events.subscribe()
    }
}
