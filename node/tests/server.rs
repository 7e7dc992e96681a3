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

    fn client(&self) -> Client {
        Client::with_options(vec![self.http.to_string()], ClientOptions::default()).unwrap()
    }

    /// The names of the requests it knows, once what it says satisfies `holds`.
    async fn requests_and_alarms(&self, holds: impl Fn(&[String], &[String]) -> bool) -> Vec<String> {
        let (client, start) = (self.client(), Instant::now());
        loop {
            let requests: Vec<_> =
                client.request_list().await.unwrap().into_iter().map(|entry| entry.name).collect();
            let alarms = client.cluster_status().await.unwrap().alarms;
            if holds(&requests, &alarms) {
                return requests;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain: {requests:?}, {alarms:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn ready(&mut self) {
        let client = self.client();
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

const SPEC: &str = "sequences:\n  NAME:\n    request: true\n    args: {}\n    nodes:\n      one:\n        category: job\n        type: noop\n        args: []\n        sets: []\n        deps: []\n";

#[tokio::test]
async fn a_hangup_loads_the_specs_again_and_wrong_ones_change_nothing() {
    let (data, specs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let put = |name: &str, text: &str| std::fs::write(specs.path().join(name), text).unwrap();
    put("a.yaml", &SPEC.replace("NAME", "first"));
    let mut node = Node::start(1, data.path(), &["--specs", specs.path().to_str().unwrap()]);
    node.ready().await;
    let before = node.client().cluster_status().await.unwrap().specs;

    put("b.yaml", &SPEC.replace("NAME", "second"));
    node.signal(Signal::SIGHUP);
    let both = node.requests_and_alarms(|requests, _| requests.len() == 2).await;
    assert_eq!(both, ["first", "second"]);
    assert_ne!(node.client().cluster_status().await.unwrap().specs, before);

    put("b.yaml", "sequences: [");
    node.signal(Signal::SIGHUP);
    let said = |alarms: &[String]| {
        alarms.iter().any(|alarm| alarm.contains("not reloaded") && alarm.contains("b.yaml"))
    };
    assert_eq!(node.requests_and_alarms(|_, alarms| said(alarms)).await, both);

    put("b.yaml", &SPEC.replace("NAME", "third"));
    node.signal(Signal::SIGHUP);
    let mended = node.requests_and_alarms(|requests, alarms| requests != both && alarms.is_empty()).await;
    assert_eq!(mended, ["first", "third"]);
}
