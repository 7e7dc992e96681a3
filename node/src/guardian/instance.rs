//! One instance: its processes, their pipes, and everything they left.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io::{self, pipe},
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
};

use capstan_model::ids::Incarnation;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use super::{
    cgroup::Cgroup,
    child, environment,
    exec::{self, Plan},
    household::Household,
    instance_spec::{InstanceEnd, InstanceSignal, InstanceSpec, Output, Place},
    output::Tail,
    processes,
    protocol::{End, QuestionId},
    recorder::{Feed, Recorder},
    stream::{Sink, Stream},
};
use crate::instance::driver;

/// How many sessions of ended processes are remembered before is looked which have ended too.
const OLD_SESSIONS_MAX: usize = 16;

/// Names a pipe among those of its instance.
pub(crate) type Slot = u64;

/// What runs under the name of one instance.
#[derive(Debug, Default)]
pub(crate) struct Instance {
    /// By number.
    processes: BTreeMap<u32, Main>,
    /// The highest number started.
    last_number: u32,
    /// All open pipes, of processes that have ended too: what they left may still write.
    streams: BTreeMap<Slot, Stream<Kept>>,
    last_slot: Slot,
    /// The sessions of all its processes.
    sessions: BTreeSet<Pid>,
    /// The outputs that its processes write to.
    outputs: BTreeSet<PathBuf>,
    cgroup: Option<Cgroup>,
    ending: Option<Ending>,
}

/// A process that the guardian started itself.
#[derive(Debug)]
pub(crate) struct Main {
    number: u32,
    process: std::process::Child,
    /// The process, which is also its session and group once `__exec` made them.
    pub(crate) pid: Pid,
    slots: Vec<Slot>,
    failures: Slot,
}

/// Everything is being killed.
#[derive(Debug, Default)]
struct Ending {
    asked_by: Vec<QuestionId>,
    /// Once found it is the instance's, also when it has lost all that told so.
    claimed: BTreeSet<Pid>,
}

/// Where the bytes of a stream go.
#[derive(Debug)]
enum Kept {
    Files(Feed),
    Tail(Tail),
}

impl Sink for Kept {
    fn push(&mut self, read: &[u8]) {
        match self {
            Self::Files(feed) => feed.push(read),
            Self::Tail(tail) => tail.push(read),
        }
    }
}

impl Instance {
    /// One whose processes are in `cgroup`.
    pub(crate) fn new(cgroup: Option<Cgroup>) -> Self {
        Self { cgroup, ..Self::default() }
    }

    /// Whether a process of this number may be started.
    pub(crate) fn is_vacant(&self, number: u32) -> bool {
        number > self.last_number && self.ending.is_none()
    }

    /// Whether the process of this number has not ended.
    pub(crate) fn is_running(&self, number: u32) -> bool {
        self.processes.contains_key(&number)
    }

    /// Makes a process. It runs `capstan __exec`, which tells through a pipe when the program cannot be executed.
    ///
    /// # Errors
    /// No process can be made.
    pub(crate) fn make(
        &mut self,
        household: &Household,
        incarnation: &Incarnation,
        spec: InstanceSpec,
        recorder: &mut Recorder,
    ) -> io::Result<Main> {
        self.last_number = spec.process.number;
        let (failures, failures_end) = pipe()?;
        let (stdout, stdout_end) = pipe()?;
        let (stderr, stderr_end) = match &spec.output {
            Output::Files(_) => {
                let (stderr, end) = pipe()?;
                (Some(stderr), end)
            }
            // One pipe for both keeps their order.
            Output::Held => (None, stdout_end.try_clone()?),
        };
        let mut command = self.command(household, incarnation, &spec, failures_end.as_raw_fd());
        command.stdin(Stdio::null()).stdout(stdout_end).stderr(stderr_end);
        // Nothing else is started while the descriptor can be inherited: only this thread starts processes.
        fcntl(&failures_end, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let process = command.spawn()?;
        drop((command, failures_end));

        let pid = Pid::from_raw(i32::try_from(process.id()).expect("process ids are positive"));
        let mut slots = Vec::new();
        let kinds = [(Some(stdout), driver::Stream::Stdout), (stderr, driver::Stream::Stderr)];
        for (pipe, kind) in kinds {
            let Some(pipe) = pipe else { continue };
            let kept = match &spec.output {
                Output::Held => Kept::Tail(Tail::default()),
                Output::Files(to) => {
                    self.outputs.insert(to.folder.clone());
                    Kept::Files(recorder.feed(to.clone(), kind))
                }
            };
            slots.push(self.keep(pipe.into(), kept));
        }
        let failures = self.keep(failures.into(), Kept::Tail(Tail::default()));
        Ok(Main { number: spec.process.number, process, pid, slots, failures })
    }

    /// Takes in a process made for it, which begins a session of its own.
    pub(crate) fn enter(&mut self, main: Main) {
        self.sessions.insert(main.pid);
        self.processes.insert(main.number, main);
    }

    /// Forgets a session that has ended.
    pub(crate) fn forget_session(&mut self, session: Pid) {
        self.sessions.remove(&session);
    }

    /// The open pipes.
    pub(crate) fn pipes(&self) -> impl Iterator<Item = (Slot, BorrowedFd<'_>)> {
        self.streams.iter().filter_map(|(slot, stream)| Some((*slot, stream.pipe()?)))
    }

    /// Reads what is in a pipe without waiting.
    pub(crate) fn attend(&mut self, slot: Slot, buffer: &mut [u8]) {
        let Some(stream) = self.streams.get_mut(&slot) else { return };
        stream.read(buffer);
        // A tail is kept until its process has ended.
        if !stream.is_open() && matches!(stream.sink(), Kept::Files(_)) {
            self.streams.remove(&slot);
        }
    }

    /// Signals a process and its group.
    pub(crate) fn signal(&self, number: u32, signal: InstanceSignal) {
        let signal = match signal {
            InstanceSignal::Terminate => Signal::SIGTERM,
            InstanceSignal::Kill => Signal::SIGKILL,
        };
        if let Some(main) = self.processes.get(&number) {
            signal_group(main.pid, signal);
        }
    }

    /// The ends of the processes that have ended since the last call.
    ///
    /// # Errors
    /// A status cannot be taken.
    pub(crate) fn reap(&mut self, buffer: &mut [u8]) -> io::Result<Vec<(u32, InstanceEnd)>> {
        let mut ends = Vec::new();
        let ended: Vec<u32> = self
            .processes
            .iter()
            .filter(|(_, main)| child::has_ended(main.pid))
            .map(|(number, _)| *number)
            .collect();
        for number in ended {
            let mut main = self.processes.remove(&number).expect("it was just found");
            let Some(status) = main.process.try_wait()? else {
                self.processes.insert(number, main);
                continue;
            };
            // What it wrote last is in the pipes already.
            for slot in main.slots.iter().chain([&main.failures]) {
                self.attend(*slot, buffer);
            }
            ends.push((number, self.end_of(&main, status)));
        }
        if self.sessions.len() > self.processes.len() + OLD_SESSIONS_MAX {
            let living: BTreeSet<Pid> = processes::all()?.iter().map(|process| process.session).collect();
            self.sessions.retain(|session| living.contains(session));
        }
        Ok(ends)
    }

    /// The processes that are certainly its own; some may have ended.
    pub(crate) fn known(&self) -> impl Iterator<Item = Pid> {
        let claimed = self.ending.iter().flat_map(|ending| &ending.claimed).copied();
        let members = self.cgroup.as_ref().map(Cgroup::members).unwrap_or_default();
        self.mains().chain(claimed).chain(members)
    }

    /// The sessions of its processes; some may have ended.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = Pid> {
        self.sessions.iter().copied()
    }

    /// The processes that the guardian started for it.
    pub(crate) fn mains(&self) -> impl Iterator<Item = Pid> {
        self.processes.values().map(|main| main.pid)
    }

    /// Begins to kill everything; `question` is answered when nothing is left.
    pub(crate) fn end(&mut self, question: QuestionId) {
        self.ending.get_or_insert_default().asked_by.push(question);
    }

    /// Whether everything is being killed.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Kills its living processes, if it is to end; whether nothing is left. What was killed now is gone at a later call.
    pub(crate) fn sweep(&mut self, family: &BTreeSet<Pid>) -> bool {
        let Some(ending) = &mut self.ending else { return false };
        ending.claimed.extend(family);
        processes::kill_all(&family.iter().copied().collect::<Vec<_>>());
        family.is_empty() && self.processes.is_empty()
    }

    /// Lets go of all that is left of an instance of which nothing runs; returns who waits for that.
    pub(crate) fn close(self, recorder: &Recorder) -> Vec<QuestionId> {
        drop(self.streams);
        self.outputs.into_iter().for_each(|folder| recorder.close(folder));
        if let Some(cgroup) = self.cgroup {
            cgroup.remove();
        }
        self.ending.map(|ending| ending.asked_by).unwrap_or_default()
    }

    fn keep(&mut self, pipe: OwnedFd, kept: Kept) -> Slot {
        self.last_slot += 1;
        self.streams.insert(self.last_slot, Stream::new(pipe, kept));
        self.last_slot
    }

    fn end_of(&mut self, main: &Main, status: ExitStatus) -> InstanceEnd {
        let failure = exec::read_failure(&self.take_tail(main.failures).finish().bytes);
        let end = match (failure, status.code(), status.signal()) {
            (Some(failure), ..) => End::NotStarted(failure),
            (None, Some(code), _) => End::Exited(code),
            (None, None, signal) => {
                End::Signalled(signal.expect("a process without exit code was ended by a signal"))
            }
        };
        let held = main.slots.first().map(|slot| self.take_tail(*slot).finish()).unwrap_or_default();
        let out_of_memory = self.cgroup.as_ref().is_some_and(Cgroup::ran_out_of_memory);
        InstanceEnd { end, out_of_memory, held }
    }

    /// What was kept of a stream; nothing of one that goes to files, which goes on.
    fn take_tail(&mut self, slot: Slot) -> Tail {
        match self.streams.remove(&slot) {
            Some(stream) if matches!(stream.sink(), Kept::Files(_)) => {
                self.streams.insert(slot, stream);
                Tail::default()
            }
            Some(stream) => match stream.into_sink() {
                Kept::Tail(tail) => tail,
                Kept::Files(_) => Tail::default(),
            },
            None => Tail::default(),
        }
    }

    fn command(
        &self,
        household: &Household,
        incarnation: &Incarnation,
        spec: &InstanceSpec,
        failures: i32,
    ) -> Command {
        let (doors, network) = match &spec.place {
            Place::Inside { network } => (self.cgroup.as_ref().map(Cgroup::doors), network.as_ref()),
            Place::Beside => (None, None),
        };
        let plan = Plan {
            guardian: Pid::this().as_raw(),
            failures,
            open_files: spec.open_files.map_or(household.open_files, |most| (most, most)),
            scratch: spec.folder.clone().into(),
            directory: spec.directory.clone().unwrap_or_default().into(),
            user: spec.user.clone().unwrap_or_default().into(),
            network: network.cloned().unwrap_or_default().into(),
            doors: doors.unwrap_or_default().into_iter().map(OsString::from).collect(),
            program: [&spec.program].into_iter().chain(&spec.args).map(OsString::from).collect(),
        };
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("capstan")
            .arg("__exec")
            .args(plan.to_args())
            .env_clear()
            .envs(household.environment.iter().cloned())
            .envs(environment::of_instance(household, incarnation, spec));
        command
    }
}

/// Signals a group, or the process alone while it is not yet a group of its own.
fn signal_group(pid: Pid, signal: Signal) {
    if killpg(pid, signal) == Err(Errno::ESRCH) {
        // Ended but not yet reaped is fine.
        let _ = kill(pid, signal);
    }
}
