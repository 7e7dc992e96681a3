//! The guardian of one life of a node: starts its processes and outlives it, until they are dead.
//!
//! Register, lease and the meaning of an end are the real ones; the processes are foreseen by [`program`], and entered in the
//! world's true table as they begin and end. A guardian belongs to a machine, so it runs beside the node's tasks: a crash of the
//! node cuts the line, a loss of power takes both.

mod driver;
mod executor;
mod program;
mod units;

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use capstan_model::{
    ids::{Incarnation, NodeId},
    mutant, sometimes,
    workflow::json::JsonMap,
};
use capstan_node::{
    executor::{BootTime, Outcome, ProcessKey, StartSpec, outcome::Context, result_file::ResultFile},
    guardian::{
        lease::Lease,
        output::Captured,
        protocol::{Cut, End, EndReport, StartAnswer},
        register::Register,
    },
};
use capstan_raft_store::ports::Clock;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

pub(crate) use self::{driver::SimDrivers, executor::SimExecutor};
use self::{
    executor::{Message, Reports},
    units::Units,
};
use crate::{
    instances::Instances,
    net::Place,
    processes::{Process, Processes},
    world::MachineClock,
};

/// The numbers of the two signals that guardians send.
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
/// How long making a process takes at the most.
const START_MAX: Duration = Duration::from_millis(30);
/// How long a process that heeds a signal takes to end at the most.
const HEED_MAX: Duration = Duration::from_millis(200);
/// How long after its node or its lease is gone a process is dead at the latest; less than [`Timing::kill`] allows.
///
/// [`Timing::kill`]: capstan_raft_store::timing::Timing
const KILLED_MAX: Duration = Duration::from_millis(900);
/// How often a guardian looks whether what an earlier one left is dead.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What one guardian is made with.
pub(crate) struct Post {
    /// Its machine.
    pub(crate) node: Place,
    /// The life of the node it serves.
    pub(crate) life: u64,
    /// What latencies follow from.
    pub(crate) seed: u64,
    /// The machine's clocks, on whose monotonic one leases are counted.
    pub(crate) clock: Arc<MachineClock>,
    /// When the world began.
    pub(crate) start: Instant,
    /// How many of a thousand processes the machine cannot make.
    pub(crate) scarcity: Arc<AtomicU32>,
    /// The true table.
    pub(crate) processes: Arc<Processes>,
    /// The same of instances and tasks.
    pub(crate) instances: Arc<Instances>,
}

/// A guardian as its machine sees it.
#[derive(Clone)]
pub(crate) struct Watch {
    line: mpsc::UnboundedSender<Message>,
    has_power: Arc<AtomicBool>,
    still: watch::Sender<bool>,
}

impl Watch {
    /// The machine's clock runs at another rate from now on.
    pub(crate) fn clock_changed(&self) {
        drop(self.line.send(Message::ClockChanged));
    }

    /// Everything the guardian cares for, itself included, stands still, or goes on.
    pub(crate) fn set_still(&self, is_still: bool) {
        self.still.send_replace(is_still);
    }

    /// The node's process is gone. What it said before is still heard.
    pub(crate) fn node_gone(&self) {
        drop(self.line.send(Message::NodeGone));
    }

    /// The machine has lost its power.
    pub(crate) fn power_lost(&self) {
        self.has_power.store(false, Ordering::Relaxed);
        self.node_gone();
    }
}

/// A simulated guardian.
pub(crate) struct Guardian {
    post: Post,
    rng: SmallRng,
    line: mpsc::UnboundedReceiver<Message>,
    has_power: Arc<AtomicBool>,
    still: watch::Receiver<bool>,
    reports: Arc<Reports>,
    register: Register<Child>,
    lease: Lease,
    units: Units,
    incarnation: Option<Incarnation>,
    begins: Option<(Incarnation, oneshot::Sender<()>)>,
    /// Everything is being killed, and nothing is started.
    purges: bool,
    is_node_gone: bool,
}

/// A process, until it has ended.
struct Child {
    number: u64,
    program: String,
    started_at: capstan_model::time::Timestamp,
    stdout: String,
    /// How many bytes it wrote before those.
    flooded: u64,
    is_deaf: bool,
    job_data: JsonMap,
    ends_at: Instant,
    end: End,
    cut: Option<Cut>,
    kill_at: Option<Instant>,
}

impl Guardian {
    /// A guardian, the node's two ends of the line to it, and the machine's.
    pub(crate) fn new(post: Post) -> (Self, SimExecutor, SimDrivers, Watch) {
        let (sender, line) = mpsc::unbounded_channel();
        let (reports, has_power) = (Reports::new(), Arc::new(AtomicBool::new(true)));
        let executor = SimExecutor::new(sender.clone(), Arc::clone(&reports));
        let drivers = SimDrivers::new(post.node, sender.clone());
        let (stills, still) = watch::channel(false);
        let watch = Watch { line: sender, has_power: Arc::clone(&has_power), still: stills };
        let guardian = Self {
            rng: SmallRng::seed_from_u64(post.seed),
            post,
            line,
            has_power,
            still,
            reports,
            register: Register::default(),
            lease: Lease::default(),
            units: Units::default(),
            incarnation: None,
            begins: None,
            purges: false,
            is_node_gone: false,
        };
        (guardian, executor, drivers, watch)
    }

    /// Serves until the node is gone and nothing it started is left, or the power is.
    pub(crate) async fn run(mut self) {
        loop {
            self.stand_still().await;
            let due = self.due();
            let message = tokio::select! {
                biased;
                // Its other end goes with the node.
                Ok(()) = self.still.changed() => continue,
                message = self.line.recv(), if !self.is_node_gone => message,
                () = until(due) => None,
            };
            if !self.has_power.load(Ordering::Relaxed) {
                return;
            }
            if let Some(message) = message {
                self.obey(message);
            }
            self.tick();
            if self.is_node_gone && !self.runs_any() && self.units.is_empty() {
                return;
            }
        }
    }

    /// Does nothing for as long as the machine stands still, and puts off what its processes do by as much.
    async fn stand_still(&mut self) {
        let since = Instant::now();
        // A machine that crashes meanwhile stands still no longer.
        let _ = self.still.wait_for(|is_still| !is_still).await;
        let stood = since.elapsed();
        if stood.is_zero() {
            return;
        }
        sometimes!("a machine stands still while processes run on it", self.runs_any());
        for (_, child) in self.register.all_running_mut() {
            child.ends_at += stood;
            child.kill_at = child.kill_at.map(|at| at + stood);
        }
        self.units.put_off(stood);
    }

    /// When there is something to do.
    fn due(&self) -> Option<Instant> {
        let children = self.register.running().map(|(_, child)| child.due());
        let has_use = self.runs_any() && !self.purges && !self.is_node_gone;
        // An end that has passed is not waited for: with a planted bug nothing follows from it.
        let lease = self.lease.ends_at().filter(|_| has_use && self.lease.permits(self.now()));
        let looks = self.begins.as_ref().map(|_| Instant::now() + LOOK_EVERY);
        let lease_over = lease.and_then(|at| self.post.clock.when(at.since_boot()));
        children.chain(lease_over).chain(looks).chain(self.units.due()).min()
    }

    fn obey(&mut self, message: Message) {
        match message {
            Message::Begin(incarnation, answer) => {
                self.purge(Cut::LeaseOver);
                self.units.kill_all(&mut self.rng);
                self.incarnation = None;
                self.begins = Some((incarnation, answer));
            }
            Message::Start(spec, answer) => {
                let started = self.start(&spec);
                // Whoever asked may be gone.
                drop(answer.send(started));
            }
            Message::Stop(key, grace) => self.stop(&key, grace),
            Message::Forget(key) => self.register.forget(&key),
            Message::List(answer) => drop(answer.send(self.register.list())),
            Message::ValidUntil(until) => self.lease.extend(until),
            Message::StartUnit(start, answer) => {
                let begun = self.incarnation.ok_or_else(|| "the node has not begun".to_owned());
                let started = begun
                    .and_then(|incarnation| self.units.start(&self.post, &mut self.rng, incarnation, *start));
                // Whoever asked may be gone.
                drop(answer.send(started));
            }
            Message::SignalUnit(driven, process, signal) => {
                self.units.signal(&mut self.rng, driven, process, signal);
            }
            Message::EndUnit(driven, gone) => self.units.end(&mut self.rng, driven, gone),
            // When there is something to do follows from it.
            Message::ClockChanged => {}
            Message::NodeGone => {
                sometimes!("a node is gone while its processes run", self.runs_any());
                self.is_node_gone = true;
                if !keeps_leftovers() {
                    self.purge(Cut::LeaseOver);
                    self.units.kill_all(&mut self.rng);
                }
            }
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let grace_over: Vec<ProcessKey> = self
            .register
            .running()
            .filter(|(_, child)| child.kill_at.is_some_and(|at| at <= now))
            .map(|(key, _)| key)
            .collect();
        sometimes!("a process outlives its grace", !grace_over.is_empty());
        for key in grace_over {
            let dies = now + self.rng.random_range(Duration::ZERO..HEED_MAX);
            if let Some(child) = self.register.running_mut(&key) {
                child.kill(Cut::Killed, dies);
            }
        }
        let ended: Vec<ProcessKey> =
            self.register.running().filter(|(_, child)| child.ends_at <= now).map(|(key, _)| key).collect();
        for key in ended {
            let child = self.register.end(&key).expect("it is running");
            self.report(key, child);
        }
        self.units.tick(&self.post);
        if !self.has_lease() {
            sometimes!("a lease ends while processes run", !self.purges && self.runs_any());
            self.purge(Cut::LeaseOver);
        }
        if self.purges && !self.runs_any() {
            self.purges = false;
        }
        let Post { node, life, processes, instances, .. } = &self.post;
        let leftovers = processes.has_leftovers(*node, *life) || instances.has_leftovers(*node, *life);
        sometimes!("a new life waits for what an earlier one left", leftovers && self.begins.is_some());
        if !self.purges
            && self.units.is_empty()
            && (!leftovers || keeps_leftovers())
            && let Some((incarnation, answer)) = self.begins.take()
        {
            self.register = Register::default();
            self.incarnation = Some(incarnation);
            // Whoever asked may be gone.
            let _ = answer.send(());
        }
    }

    fn start(&mut self, spec: &StartSpec) -> StartAnswer {
        let ProcessKey::Try(key) = spec.key else {
            unreachable!("calls are not simulated");
        };
        if let Err(answer) = self.register.vacant(&spec.key) {
            return answer;
        }
        let Some(incarnation) = self.incarnation else { return StartAnswer::NotBegun };
        if self.purges || !self.has_lease() {
            sometimes!("a process is asked for without a lease");
            return StartAnswer::LeaseOver;
        }
        let Post { node, life, processes, clock, scarcity, .. } = &self.post;
        let is_made = !self.rng.random_ratio(scarcity.load(Ordering::Relaxed), 1_000);
        let course = if is_made { program::course(spec) } else { Err(program::not_made(&mut self.rng)) };
        let is_deaf = course.as_ref().is_ok_and(|course| course.is_deaf);
        let starting = self.rng.random_range(Duration::ZERO..START_MAX);
        let takes = starting + course.as_ref().map_or(Duration::ZERO, |course| course.runs + course.lingers);
        let since_start = |at: Instant| {
            u64::try_from((at - self.post.start).as_micros()).expect("a run is shorter than an age")
        };
        let ends_at = Instant::now() + takes;
        let (started_us, foreseen_us) = (since_start(Instant::now()), since_start(ends_at));
        let (node, life, heeds) = (*node, *life, !is_deaf);
        let number =
            processes.started(Process { key, node, life, incarnation, started_us, foreseen_us, heeds });
        let child = Child {
            number,
            program: spec.program.clone(),
            started_at: clock.wall(),
            stdout: course.as_ref().map(|course| course.stdout.clone()).unwrap_or_default(),
            flooded: course.as_ref().map_or(0, |course| course.flooded),
            is_deaf,
            job_data: course.as_ref().map(|course| course.job_data.clone()).unwrap_or_default(),
            ends_at,
            end: course.map_or_else(End::NotStarted, |course| course.end),
            cut: None,
            kill_at: None,
        };
        self.register.enter(spec.key, child);
        StartAnswer::Started
    }

    fn stop(&mut self, key: &ProcessKey, grace: Duration) {
        let heeded = self.rng.random_range(Duration::ZERO..HEED_MAX);
        let Some(child) = self.register.running_mut(key) else { return };
        let now = Instant::now();
        if child.cut.is_none() {
            child.cut = Some(Cut::Stopped);
            if !child.is_deaf && now + heeded < child.ends_at {
                (child.ends_at, child.end) = (now + heeded, End::Signalled(SIGTERM));
            }
        }
        child.kill_at = Some(child.kill_at.map_or(now + grace, |known| known.min(now + grace)));
    }

    /// Kills everything.
    fn purge(&mut self, cut: Cut) {
        if self.purges {
            return;
        }
        self.purges = true;
        let now = Instant::now();
        for (_, child) in self.register.all_running_mut() {
            child.kill(cut, now + self.rng.random_range(Duration::ZERO..KILLED_MAX));
        }
    }

    fn report(&self, key: ProcessKey, child: Child) {
        self.post.processes.ended(child.number, child.end);
        // What a process has to say it says as it exits.
        let has_said = matches!(child.end, End::Exited(_));
        let result = has_said.then(|| ResultFile { job_data: child.job_data, ..ResultFile::default() });
        let report = EndReport {
            end: child.end,
            cut: child.cut,
            started_at: child.started_at,
            finished_at: self.post.clock.wall(),
            stdout: Captured { bytes: child.stdout.into_bytes(), dropped: child.flooded },
            stderr: Captured::default(),
        };
        let context = Context { node: NodeId(self.post.node), program: &child.program, directory: "" };
        self.reports.ended(key, Outcome::decide(&context, report, Ok(result)));
    }

    fn runs_any(&self) -> bool {
        self.register.running().next().is_some()
    }

    fn has_lease(&self) -> bool {
        self.lease.permits(self.now()) || mutant!("lease-ignored")
    }

    fn now(&self) -> BootTime {
        BootTime(0).after(self.post.clock.monotonic())
    }
}

impl Child {
    fn due(&self) -> Instant {
        self.kill_at.map_or(self.ends_at, |at| at.min(self.ends_at))
    }

    fn kill(&mut self, cut: Cut, dies: Instant) {
        self.cut = self.cut.max(Some(cut));
        self.kill_at = None;
        if dies < self.ends_at {
            (self.ends_at, self.end) = (dies, End::Signalled(SIGKILL));
        }
    }
}

/// Whether what a node started lives on without it, and its next life begins beside it.
fn keeps_leftovers() -> bool {
    mutant!("leftovers-kept")
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}
