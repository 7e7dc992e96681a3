//! One process the guardian started: its pipes, its signals and its end.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use capstan_model::{ids::Incarnation, time::Timestamp};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    poll::PollFlags,
    sys::{
        signal::{Signal, kill, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};

use super::{
    clock::{self, BootTime},
    environment,
    exec::{self, Plan},
    household::Household,
    output::{Captured, Tail},
    processes,
    protocol::{Cut, End, EndReport, StartFailure, StartSpec, StartStep},
    scratch,
    stream::{Stream, unblocked},
};

/// How long after a process's end its output is waited for, when something that cannot be found holds the pipes.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// A started process, until nothing of it is left.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    pid: Pid,
    stdin: Option<Feed>,
    stdout: Stream<Tail>,
    stderr: Stream<Tail>,
    failures: Stream<Tail>,
    started_at: Timestamp,
    cut: Option<Cut>,
    kill_at: Option<(BootTime, Cut)>,
    exit: Option<Exit>,
    /// Killed as its own. One that is dying shows no environment any more, and is its own all the same.
    claimed: BTreeSet<Pid>,
}

/// One descriptor of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pipe {
    Stdin,
    Stdout,
    Stderr,
    Failures,
}

/// What a process has yet to read.
#[derive(Debug)]
struct Feed {
    pipe: File,
    bytes: Vec<u8>,
    written: usize,
}

/// The process itself is gone; what it left may not be.
#[derive(Debug)]
struct Exit {
    status: ExitStatus,
    seen_at: Timestamp,
    drain_until: BootTime,
}

impl Child {
    /// Makes the process. It runs `capstan __exec`, which tells through a pipe when the program cannot be executed.
    pub(crate) fn start(
        household: &Household,
        incarnation: &Incarnation,
        spec: StartSpec,
    ) -> io::Result<Self> {
        let (failures, failures_end) = io::pipe()?;
        let mut command = command(household, incarnation, &spec, failures_end.as_raw_fd());
        // Nothing else is started while the descriptor can be inherited: the guardian has one thread.
        fcntl(&failures_end, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let mut process = command.spawn()?;
        drop(failures_end);
        let stdin = process.stdin.take().map(OwnedFd::from);
        let stdout = tail_of(process.stdout.take().expect("stdout is piped"));
        let stderr = tail_of(process.stderr.take().expect("stderr is piped"));
        let pid = i32::try_from(process.id()).expect("process ids are positive");
        Ok(Self {
            pid: Pid::from_raw(pid),
            process,
            stdin: stdin.map(|pipe| Feed { pipe: unblocked(pipe), bytes: spec.stdin, written: 0 }),
            stdout,
            stderr,
            failures: tail_of(failures),
            started_at: clock::wall(),
            cut: None,
            kill_at: spec.deadline.map(|wait| (BootTime::now().after(wait), Cut::DeadlineOver)),
            exit: None,
            claimed: BTreeSet::new(),
        })
    }

    /// The process, which is also its session and group once `__exec` made them.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// The open pipes, with what to wait for on each.
    pub(crate) fn pipes(&self) -> impl Iterator<Item = (Pipe, BorrowedFd<'_>, PollFlags)> {
        let stdin = self.stdin.as_ref().map(|feed| (Pipe::Stdin, feed.pipe.as_fd(), PollFlags::POLLOUT));
        let streams =
            [(Pipe::Stdout, &self.stdout), (Pipe::Stderr, &self.stderr), (Pipe::Failures, &self.failures)];
        let open =
            streams.into_iter().filter_map(|(pipe, stream)| Some((pipe, stream.pipe()?, PollFlags::POLLIN)));
        stdin.into_iter().chain(open)
    }

    /// Moves what can be moved through one pipe without waiting.
    pub(crate) fn attend(&mut self, pipe: Pipe, buffer: &mut [u8]) {
        match pipe {
            Pipe::Stdout => self.stdout.read(buffer),
            Pipe::Stderr => self.stderr.read(buffer),
            Pipe::Failures => self.failures.read(buffer),
            Pipe::Stdin => {
                if self.stdin.as_mut().is_some_and(Feed::write) {
                    self.stdin = None;
                }
            }
        }
    }

    /// Asks it to stop: SIGTERM now, SIGKILL after `grace`. A second call can only bring the SIGKILL nearer.
    pub(crate) fn stop(&mut self, now: BootTime, grace: Duration) {
        if self.exit.is_some() {
            return;
        }
        if self.cut.is_none() {
            self.cut = Some(Cut::Stopped);
            self.signal(Signal::SIGTERM);
        }
        let wanted = (now.after(grace), Cut::Killed);
        self.kill_at = Some(self.kill_at.map_or(wanted, |known| known.min(wanted)));
    }

    /// When [`Child::tick`] has something to do.
    pub(crate) fn due_at(&self) -> Option<BootTime> {
        match &self.exit {
            Some(exit) => Some(exit.drain_until),
            None => self.kill_at.map(|(at, _)| at),
        }
    }

    /// Does what is due: kills it when its grace or its time is over.
    pub(crate) fn tick(&mut self, now: BootTime) {
        if let Some((at, cut)) = self.kill_at
            && at <= now
            && self.exit.is_none()
        {
            // Known before their parents die, after which only their environment tells whose they are.
            let descendants = processes::descendants(self.pid, &processes::all().unwrap_or_default());
            self.kill(cut);
            processes::kill_all(&descendants);
            self.claimed.extend(descendants);
        }
    }

    /// Kills the process and its group. What else it left is found once it is an orphan.
    pub(crate) fn kill(&mut self, cut: Cut) {
        if self.exit.is_none() {
            self.cut = self.cut.max(Some(cut));
            self.kill_at = None;
            self.signal(Signal::SIGKILL);
        }
    }

    /// Looks whether the process itself has ended; returns true when it ended just now.
    ///
    /// # Errors
    /// Its status cannot be taken.
    pub(crate) fn reap(&mut self, now: BootTime) -> io::Result<bool> {
        if self.exit.is_some() || !has_ended(self.pid) {
            return Ok(false);
        }
        // While it is not yet taken its number, and so its group's, cannot be given to another process.
        self.signal(Signal::SIGKILL);
        let Some(status) = self.process.try_wait()? else { return Ok(false) };
        self.stdin = None;
        self.exit = Some(Exit { status, seen_at: clock::wall(), drain_until: now.after(DRAIN_MAX) });
        Ok(true)
    }

    /// Kills what this process left among the orphans the guardian adopted and has not yet reaped; returns whether
    /// there was anything.
    pub(crate) fn kill_left(&mut self, name: &str, orphans: &[Pid]) -> bool {
        let belongs = |orphan: &Pid| {
            self.claimed.contains(orphan)
                || processes::look(*orphan).is_some_and(|process| process.session == self.pid)
                || processes::variable(*orphan, environment::KEY).is_some_and(|value| value == name)
        };
        let left: Vec<Pid> = orphans.iter().copied().filter(belongs).collect();
        processes::kill_all(&left);
        self.claimed.extend(&left);
        !left.is_empty()
    }

    /// Whether the process itself has ended.
    pub(crate) fn has_exited(&self) -> bool {
        self.exit.is_some()
    }

    /// Whether all it wrote is read.
    pub(crate) fn is_drained(&self) -> bool {
        [&self.stdout, &self.stderr, &self.failures].iter().all(|stream| !stream.is_open())
    }

    /// Whether it ended so long ago that what it left is no longer waited for.
    pub(crate) fn is_overdue(&self, now: BootTime) -> bool {
        self.exit.as_ref().is_some_and(|exit| exit.drain_until <= now)
    }

    /// Sums up a process that has ended; `None` while it runs.
    pub(crate) fn into_report(self) -> Option<EndReport> {
        let Exit { status, seen_at, .. } = self.exit?;
        let end = match (
            exec::read_failure(&self.failures.into_sink().finish().bytes),
            status.code(),
            status.signal(),
        ) {
            (Some(failure), ..) => End::NotStarted(failure),
            (None, Some(code), _) => End::Exited(code),
            (None, None, signal) => {
                End::Signalled(signal.expect("a process without exit code was ended by a signal"))
            }
        };
        Some(EndReport {
            end,
            cut: self.cut,
            started_at: self.started_at,
            finished_at: seen_at,
            stdout: self.stdout.into_sink().finish(),
            stderr: self.stderr.into_sink().finish(),
        })
    }

    /// Signals the group, or the process alone while it is not yet a group of its own.
    fn signal(&self, signal: Signal) {
        if killpg(self.pid, signal) == Err(Errno::ESRCH) {
            // Ended but not yet reaped is fine.
            let _ = kill(self.pid, signal);
        }
    }
}

/// The report for a process that could not even be made.
pub(crate) fn unmade(error: &io::Error) -> EndReport {
    let now = clock::wall();
    EndReport {
        end: End::NotStarted(StartFailure { step: StartStep::Spawn, errno: errno_of(error) }),
        cut: None,
        started_at: now,
        finished_at: now,
        stdout: Captured::default(),
        stderr: Captured::default(),
    }
}

/// The number of an operating system's error.
pub(crate) fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(Errno::EINVAL as i32)
}

fn command(household: &Household, incarnation: &Incarnation, spec: &StartSpec, failures: i32) -> Command {
    let plan = Plan {
        guardian: Pid::this().as_raw(),
        failures,
        open_files: spec.limits.open_files.map_or(household.open_files, |most| (most, most)),
        scratch: scratch::folder(&household.data, &spec.key).into(),
        directory: spec.directory.clone().unwrap_or_default().into(),
        user: OsString::new(),
        network: OsString::new(),
        doors: Vec::new(),
        program: [&spec.program].into_iter().chain(&spec.args).map(OsString::from).collect(),
    };
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("capstan")
        .arg("__exec")
        .args(plan.to_args())
        .env_clear()
        .envs(household.environment.iter().cloned())
        .envs(environment::of_process(household, incarnation, spec))
        .stdin(if spec.stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn tail_of(pipe: impl Into<OwnedFd>) -> Stream<Tail> {
    Stream::new(pipe.into(), Tail::default())
}

/// Whether `pid`, a child, has ended and waits to be reaped.
pub(crate) fn has_ended(pid: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    // An error is an end too: nix has no name for the real-time signals that may have caused it.
    !matches!(waitid(Id::Pid(pid), flags), Ok(WaitStatus::StillAlive))
}

impl Feed {
    /// Writes what fits; returns true when there is nothing more to write or nobody to read it.
    fn write(&mut self) -> bool {
        match self.pipe.write(&self.bytes[self.written..]) {
            Ok(count) => {
                self.written += count;
                self.written == self.bytes.len()
            }
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }
}
