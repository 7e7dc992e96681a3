//! `capstan dev` as people and scripts meet it: real processes on loopback.

#![expect(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for production code")]

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use capstan_client::{Client, ClientOptions, Precondition, ReadOptions};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Deserialize)]
struct ReadyFile {
    nodes: Vec<ReadyNode>,
}

#[derive(Debug, Clone, Deserialize)]
struct ReadyNode {
    id: usize,
    url: String,
    pid: i32,
    data_dir: PathBuf,
}

struct Dev<'a> {
    process: Child,
    directory: &'a Path,
}

impl<'a> Dev<'a> {
    /// Starts a cluster whose data and ready file are in `directory`.
    fn start(directory: &'a Path, nodes: usize, more: &[&str]) -> Self {
        Self::start_with(directory, nodes, more, &[])
    }

    /// The same, with variables in its environment.
    fn start_with(directory: &'a Path, nodes: usize, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_capstan"))
            .args(["dev", "--nodes", &nodes.to_string(), "--base-port", &free_base_port(nodes).to_string()])
            .arg("--data")
            .arg(directory.join("data"))
            .arg("--ready-file")
            .arg(directory.join("ready.json"))
            .args(more)
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            // Shown by cargo when a test fails.
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self { process, directory }
    }

    fn ready_file(&self) -> Option<ReadyFile> {
        let text = std::fs::read(self.directory.join("ready.json")).ok()?;
        Some(serde_json::from_slice(&text).expect("the file is replaced as a whole"))
    }

    /// Waits for the ready file to be as wanted.
    async fn ready(&self, wanted: impl Fn(&ReadyFile) -> bool) -> ReadyFile {
        until("the ready file", || self.ready_file().filter(&wanted)).await
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Dev<'_> {
    fn drop(&mut self) {
        // The nodes end with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A port from which on, and 100 further on, nobody listens.
fn free_base_port(nodes: usize) -> u16 {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    loop {
        let drawn = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let ports = (0..nodes as u16).flat_map(|i| [drawn.checked_add(i), drawn.checked_add(100 + i)]);
        if ports.clone().all(|port| port.is_some_and(is_free)) {
            return drawn;
        }
    }
}

fn is_alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// The processes whose command line names this directory: nodes and guardians.
fn processes_of(directory: &Path) -> Vec<i32> {
    let name = directory.to_str().unwrap();
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(name)
    })
    .collect()
}

fn client(node: &ReadyNode) -> Client {
    let address = node.url.trim_start_matches("http://").to_owned();
    let options = ClientOptions { timeout: PATIENCE, ..ClientOptions::default() };
    Client::with_options(vec![address], options).unwrap()
}

async fn put(node: &ReadyNode, name: &str, value: &'static str) {
    client(node).put_variable(name, value, Precondition::default()).await.unwrap();
}

async fn get(node: &ReadyNode, name: &str) -> bytes::Bytes {
    client(node).get_variable(name, ReadOptions::default()).await.unwrap().value
}

#[tokio::test]
async fn a_cluster_starts_heals_and_ends_with_its_supervisor() {
    let directory = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(directory.path(), 3, &[]);
    let first = dev.ready(|_| true).await;
    assert_eq!(first.nodes.iter().map(|node| node.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(
        first.nodes.iter().all(|node| is_alive(node.pid) && node.data_dir.join("capstan.toml").is_file())
    );
    put(&first.nodes[0], "greeting", "hello").await;
    assert_eq!(get(&first.nodes[1], "greeting").await, "hello");

    let killed = first.nodes[0].pid;
    kill(Pid::from_raw(killed), Signal::SIGKILL).unwrap();
    let second = dev.ready(|file| file.nodes[0].pid != killed).await;
    assert_eq!(second.nodes[1].pid, first.nodes[1].pid, "the others live on");
    put(&second.nodes[2], "greeting", "again").await;
    assert_eq!(get(&second.nodes[0], "greeting").await, "again", "the node is back and has caught up");

    dev.signal(Signal::SIGKILL);
    dev.process.wait().unwrap();
    until("the end of all nodes and guardians", || processes_of(dev.directory).is_empty().then_some(()))
        .await;
}

#[tokio::test]
async fn a_dead_node_stays_dead_when_asked_and_a_signal_stops_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(directory.path(), 3, &["--no-restart"]);
    let ready = dev.ready(|_| true).await;
    let dead = ready.nodes[2].pid;
    kill(Pid::from_raw(dead), Signal::SIGKILL).unwrap();
    until("the node's end", || (!is_alive(dead)).then_some(())).await;
    put(&ready.nodes[0], "greeting", "hello").await;
    assert_eq!(dev.ready_file().unwrap().nodes[2].pid, dead, "nothing was started in its place");

    dev.signal(Signal::SIGTERM);
    let status = until("the supervisor's end", || dev.process.try_wait().unwrap()).await;
    assert!(status.success(), "{status}");
    assert_eq!(processes_of(dev.directory), Vec::<i32>::new(), "it waits for its nodes");
}

#[tokio::test]
async fn what_one_run_stored_the_next_one_finds() {
    let directory = tempfile::tempdir().unwrap();
    for run in ["first", "second"] {
        let mut dev = Dev::start(directory.path(), 1, &[]);
        let node = dev.ready(|_| true).await.nodes.remove(0);
        if run == "second" {
            assert_eq!(get(&node, "run").await, "first");
        }
        put(&node, "run", run).await;
        dev.signal(Signal::SIGINT);
        let status = until("the supervisor's end", || dev.process.try_wait().unwrap()).await;
        assert!(status.success(), "{status}");
        std::fs::remove_file(directory.path().join("ready.json")).unwrap();
    }
}

#[test]
fn a_taken_port_is_named_before_anything_is_written() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_capstan"))
        .args(["dev", "--nodes", "1", "--base-port", &port.to_string(), "--data"])
        .arg(directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(&port.to_string()), "{text}");
    assert_eq!(output.status.code(), Some(1));
    assert!(!directory.path().join("n1").exists());
}

#[tokio::test]
async fn who_may_call_is_the_same_at_all_nodes() {
    let directory = tempfile::tempdir().unwrap();
    let variables = [
        ("CAPSTAN_RECEPTOR_USERNAME", "operator"),
        ("CAPSTAN_RECEPTOR_PASSWORD", "secret"),
        // Meant for one node alone.
        ("CAPSTAN_NODE_ID", "7"),
    ];
    let dev = Dev::start_with(directory.path(), 2, &[], &variables);
    for node in &dev.ready(|_| true).await.nodes {
        let stranger = client(node);
        let refused = stranger.domains().await.unwrap_err();
        assert_eq!(refused.status(), Some(401), "node {}", node.id);
        let known = stranger.with_credentials("operator", "secret");
        assert_eq!(known.domains().await.unwrap(), Vec::<String>::new(), "node {}", node.id);
    }
}
