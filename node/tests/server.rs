//! `capstan server` as a supervisor meets it: one process, its signals and its exit codes.

#![expect(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for production code")]

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use capstan_client::{Client, ClientOptions};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A cluster of one.
struct Node {
    process: Child,
    http: SocketAddr,
}

impl Node {
    /// Starts node `id`, the only voter, on this data directory.
    fn start(id: u64, data: &Path, more: &[&str]) -> Self {
        let [http, peer] = free_addresses();
        let process = Command::new(env!("CARGO_BIN_EXE_capstan"))
            .args(["server", "--node-id", &id.to_string(), "--voter", &format!("{id}={peer},{http}")])
            .arg("--data")
            .arg(data)
            .args(more)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self { process, http }
    }

    async fn ready(&mut self) {
        let client = Client::with_options(vec![self.http.to_string()], ClientOptions::default()).unwrap();
        let start = Instant::now();
        while !client.ready().await.is_ok_and(|answer| answer.ready) {
            assert_eq!(self.process.try_wait().unwrap(), None, "it ended");
            assert!(start.elapsed() < PATIENCE, "waited too long for the node");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for the end of the process.
    async fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "waited too long for the node's end");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_addresses() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

fn guardian_of(data: &Path) -> Option<Pid> {
    let name = data.to_str().unwrap();
    std::fs::read_dir("/proc").unwrap().find_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command);
        (command.contains("__guardian") && command.contains(name)).then_some(Pid::from_raw(pid))
    })
}

#[tokio::test]
async fn a_signal_stops_it_and_the_next_life_goes_on() {
    let data = tempfile::tempdir().unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut node = Node::start(1, data.path(), &[]);
        node.ready().await;
        node.signal(signal);
        let status = node.ended().await;
        assert!(status.success(), "{signal}: {status}");
        assert_eq!(guardian_of(data.path()), None, "its guardian ends before it");
    }
}

#[tokio::test]
async fn a_supervised_node_ends_with_its_standard_input() {
    let data = tempfile::tempdir().unwrap();
    let mut node = Node::start(1, data.path(), &["--supervised"]);
    node.ready().await;
    drop(node.process.stdin.take());
    let status = node.ended().await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn without_its_guardian_it_exits_with_70() {
    let data = tempfile::tempdir().unwrap();
    let mut node = Node::start(1, data.path(), &[]);
    node.ready().await;
    kill(guardian_of(data.path()).unwrap(), Signal::SIGKILL).unwrap();
    assert_eq!(node.ended().await.code(), Some(70));
}

#[tokio::test]
async fn on_another_nodes_directory_it_exits_with_78() {
    let data = tempfile::tempdir().unwrap();
    let mut first = Node::start(1, data.path(), &[]);
    first.ready().await;
    first.signal(Signal::SIGTERM);
    first.ended().await;
    assert_eq!(Node::start(2, data.path(), &[]).ended().await.code(), Some(78));
}

#[tokio::test]
async fn on_a_directory_in_use_it_exits_with_74_and_harms_nobody() {
    let data = tempfile::tempdir().unwrap();
    let mut first = Node::start(1, data.path(), &[]);
    first.ready().await;
    assert_eq!(Node::start(1, data.path(), &[]).ended().await.code(), Some(74));
    assert_eq!(first.process.try_wait().unwrap(), None);
    first.ready().await;
}

#[tokio::test]
async fn a_taken_address_exits_with_78_before_the_data_is_touched() {
    let data = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut node = Node::start(1, &data.path().join("data"), &["--http-listen", &address]);
    assert_eq!(node.ended().await.code(), Some(78));
    assert_eq!(std::fs::read_dir(data.path().join("data")).unwrap().count(), 0);
}
