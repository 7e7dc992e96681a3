//! A guardian of the real program, the executor in front of it, and ways to look at real processes.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, reason = "it is part of tests")]

use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use capstan_model::ids::{Epoch, Incarnation, JobId, NodeId, RequestId, TryNo};
use capstan_node::{
    executor::{ExecEvent, Executor, Outcome, StartSpec, Started, TryKey, host::HostExecutor},
    guardian::{Guardian, frame, protocol::ToGuardian},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{sync::broadcast, time::timeout};

/// Longer than anything here takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The life all tests begin with.
pub(crate) const FIRST_LIFE: Incarnation = Incarnation { node: NodeId(7), boot: 1, nonce: 0xfeed };

/// One node, as far as it concerns processes.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) executor: Arc<HostExecutor>,
    pub(crate) guardian: Pid,
    events: broadcast::Receiver<ExecEvent>,
}

/// Starts a guardian of the program under test.
pub(crate) fn launch(data: &Path) -> Guardian {
    Guardian::launch_program(Path::new(env!("CARGO_BIN_EXE_capstan")), data).unwrap()
}

pub(crate) fn pid_of(process: &std::process::Child) -> Pid {
    Pid::from_raw(i32::try_from(process.id()).unwrap())
}

/// The key of a try; different numbers are different tries of one job.
pub(crate) fn key(try_no: u32) -> TryKey {
    TryKey { request: RequestId([9; 12]), job: JobId(*b"jobA"), try_no: TryNo(try_no), epoch: Epoch(3) }
}

/// A try that is a script for /bin/sh.
pub(crate) fn script(try_no: u32, text: &str) -> StartSpec {
    StartSpec { args: vec!["-c".into(), text.into()], ..StartSpec::new(key(try_no), "/bin/sh") }
}

impl World {
    /// A node whose first incarnation has begun.
    pub(crate) async fn new() -> Self {
        let world = Self::unbegun();
        world.executor.begin(FIRST_LIFE).await.unwrap();
        world
    }

    pub(crate) fn unbegun() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let guardian = launch(folder.path());
        let pid = pid_of(&guardian.process);
        let executor = Arc::new(HostExecutor::connect(guardian).unwrap());
        let events = executor.events();
        Self { folder, executor, guardian: pid, events }
    }

    /// A file for tests and jobs to share.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a try that must not have been started before.
    pub(crate) async fn start(&self, spec: StartSpec) {
        let started = self.executor.start(spec).await.unwrap();
        assert!(matches!(started, Started::Now), "{started:?}");
    }

    /// Runs a try to its end.
    pub(crate) async fn run(&mut self, spec: StartSpec) -> Arc<Outcome> {
        self.start(spec).await;
        self.next_end().await
    }

    /// Waits for the next try to end.
    pub(crate) async fn next_end(&mut self) -> Arc<Outcome> {
        match self.next_event().await {
            ExecEvent::Ended { outcome, .. } => outcome,
            ExecEvent::Gone => panic!("the guardian is gone"),
        }
    }

    pub(crate) async fn next_event(&mut self) -> ExecEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("nothing happened").unwrap()
    }

    /// Waits until a job has written a process id to a file.
    pub(crate) async fn pid_in(&self, name: &str) -> Pid {
        pid_in(&self.file(name)).await
    }
}

/// A node that can do nothing more for its processes: it only has the guardian and its socket, and one script runs.
/// By its environment the guardian is another node's, as it is after a crash.
pub(crate) fn helpless_node(data: &Path, text: &str) -> Guardian {
    let program = data.join("capstan-of-another-node");
    let wrapper =
        format!("#!/bin/sh\nexec env -u CAPSTAN_GUARDIAN_OF {:?} \"$@\"\n", env!("CARGO_BIN_EXE_capstan"));
    fs::write(&program, wrapper).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut guardian = Guardian::launch_program(&program, data).unwrap();
    let tell = |mut socket: &UnixStream, message: &ToGuardian| {
        let mut bytes = Vec::new();
        frame::encode(message, &mut bytes).unwrap();
        socket.write_all(&bytes).unwrap();
    };
    tell(&guardian.socket, &ToGuardian::Begin { id: 1, incarnation: FIRST_LIFE });
    // A start before the incarnation has begun is refused: the first byte of the answer says that it has.
    guardian.socket.read_exact(&mut [0]).unwrap();
    tell(&guardian.socket, &ToGuardian::Start { id: 2, spec: script(1, text) });
    guardian
}

/// Waits until a process id and a line end are in a file.
pub(crate) async fn pid_in(path: &Path) -> Pid {
    let mut pid = None;
    until(&format!("a process id in {}", path.display()), || {
        let text = fs::read_to_string(path).unwrap_or_default();
        pid = text.strip_suffix('\n').and_then(|text| text.trim().parse().ok());
        pid.is_some()
    })
    .await;
    Pid::from_raw(pid.unwrap())
}

/// Waits until something is the case.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    let looking = async {
        while !holds() {
            ticks.tick().await;
        }
    };
    timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

/// Whether a process is there and not merely waiting to be reaped.
pub(crate) fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with(['Z', 'X']))
}

/// The most memory a process ever had resident, in bytes.
pub(crate) fn peak_memory(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

pub(crate) fn send(pid: Pid, signal: Signal) {
    kill(pid, signal).unwrap();
}
