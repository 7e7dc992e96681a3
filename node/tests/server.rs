//! `capstan server` as a supervisor meets it: one process, its signals and its exit codes.

#![expect(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for production code")]

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use capstan_client::{
    Client, ClientOptions, ReadOptions,
    cluster::{AuthChange, SpecText, SpecsContent, SpecsPush, TokenCreate},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// A user that may do nothing.
const NOBODY: u32 = 65_534;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A cluster of one.
struct Node {
    process: Child,
    http: SocketAddr,
}

impl Node {
    /// Starts node `id`, the only voter, on this data directory.
    fn start(id: u64, data: &Path, more: &[&str]) -> Self {
        let (mut command, http) = server(id, data, more);
        Self { process: command.stdin(Stdio::piped()).spawn().unwrap(), http }
    }

    fn client(&self) -> Client {
        Client::with_options(vec![self.http.to_string()], ClientOptions::default()).unwrap()
    }

    /// The names of the requests it knows.
    async fn request_names(&self) -> Vec<String> {
        self.client().request_list().await.unwrap().into_iter().map(|entry| entry.name).collect()
    }

    /// The cluster's specs, once there are any.
    async fn seeded(&self) -> SpecsContent {
        let (client, start) = (self.client(), Instant::now());
        loop {
            match client.specs_version("current", ReadOptions::default()).await {
                Ok(content) => return content,
                Err(error) => assert!(error.is_not_found() && start.elapsed() < PATIENCE, "{error}"),
            }
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

/// `capstan server` for node `id`, the only voter, on this data directory, and where it will serve.
fn server(id: u64, data: &Path, more: &[&str]) -> (Command, SocketAddr) {
    server_at(Path::new(env!("CARGO_BIN_EXE_capstan")), id, data, more)
}

/// As [`server`], the program being here.
fn server_at(program: &Path, id: u64, data: &Path, more: &[&str]) -> (Command, SocketAddr) {
    let [http, peer] = free_addresses();
    let mut command = Command::new(program);
    command
        .args(["server", "--node-id", &id.to_string(), "--voter", &format!("{id}={peer},{http}")])
        .arg("--data")
        .arg(data)
        .args(more);
    (command, http)
}

/// A folder in which everybody may do everything, and in it the program: the folder of the build may be closed to others.
fn open_folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let program = folder.path().join("capstan");
    std::fs::copy(env!("CARGO_BIN_EXE_capstan"), &program).unwrap();
    (folder, program)
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
async fn others_may_reach_it_once_it_asks_who_they_are() {
    let data = tempfile::tempdir().unwrap();
    let everywhere = |port: u16| format!("0.0.0.0:{port}");
    let [address, _] = free_addresses();
    let flags = ["--http-listen", &everywhere(address.port())];
    let (mut command, _) = server(1, data.path(), &flags);
    let refused = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&[refused.stdout, refused.stderr].concat()).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{said}");
    assert!(said.contains("auth is not required"), "{said}");

    let mut node = Node::start(1, data.path(), &[]);
    node.ready().await;
    let client = node.client();
    let root =
        TokenCreate { name: "root".to_owned(), roles: vec!["admin".to_owned()], expires_in_seconds: None };
    let root = client.create_token(&root).await.unwrap().token;
    let require = AuthChange { required: Some(true), ..AuthChange::default() };
    assert!(client.with_token(&root).unwrap().change_auth(&require).await.unwrap().required);
    node.signal(Signal::SIGTERM);
    assert!(node.ended().await.success());

    let (mut command, _) = server(1, data.path(), &flags);
    let mut node = Node { process: command.stdin(Stdio::piped()).spawn().unwrap(), http: address };
    node.ready().await;
    assert_eq!(node.client().auth().await.unwrap_err().status(), Some(401));
    let known = node.client().with_token(&root).unwrap();
    assert_eq!(known.auth().await.unwrap().caller.name, "root");
    assert_eq!(known.cluster_status().await.unwrap().alarms, Vec::<String>::new());
    let open = AuthChange { required: Some(false), ..AuthChange::default() };
    known.change_auth(&open).await.unwrap();
    let alarms = known.cluster_status().await.unwrap().alarms;
    assert!(alarms.iter().any(|alarm| alarm.contains("auth is required no longer")), "{alarms:?}");
}

#[tokio::test]
async fn who_has_the_data_directory_finds_a_way_back_in() {
    let data = tempfile::tempdir().unwrap();
    let mut node = Node::start(1, data.path(), &[]);
    node.ready().await;
    let client = node.client();
    let root =
        TokenCreate { name: "root".to_owned(), roles: vec!["ops".to_owned()], expires_in_seconds: None };
    let root = client.create_token(&root).await.unwrap().token;
    let require = AuthChange {
        required: Some(true),
        admin_roles: Some(vec!["ops".to_owned()]),
        ..AuthChange::default()
    };
    client.with_token(&root).unwrap().change_auth(&require).await.unwrap();
    node.signal(Signal::SIGTERM);
    assert!(node.ended().await.success());

    // The token is lost.
    drop(root);
    let (wanted, told) = (data.path().join("admin-token.wanted"), data.path().join("admin-token"));
    std::fs::write(&wanted, "").unwrap();
    let mut node = Node::start(1, data.path(), &[]);
    node.ready().await;
    let start = Instant::now();
    while wanted.exists() {
        assert!(start.elapsed() < PATIENCE, "no token is made");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    assert_eq!(std::fs::metadata(&told).unwrap().permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(&told).unwrap();
    let back = node.client().with_token(token.trim()).unwrap();
    let me = back.auth().await.unwrap().caller;
    assert_eq!((me.name.as_str(), me.roles), ("recovered", vec!["ops".to_owned()]));
    let listed = back.tokens().await.unwrap();
    let made = listed.iter().find(|made| Some(&made.id) == me.token.as_ref()).unwrap();
    assert_eq!((made.created_by.as_str(), &made.expires_at), ("data directory of node 1", &None));
    node.signal(Signal::SIGTERM);
    assert!(node.ended().await.success());

    // Once asked for, once made.
    let mut node = Node::start(1, data.path(), &[]);
    node.ready().await;
    let back = node.client().with_token(token.trim()).unwrap();
    assert_eq!(back.tokens().await.unwrap().len(), 2);
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

#[tokio::test]
async fn a_node_that_cannot_make_networks_and_is_to_says_so_and_exits_with_78() {
    let (folder, program) = open_folder();
    let (mut command, _) = server_at(&program, 1, &folder.path().join("data"), &["--cell-netns", "true"]);
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("capstan: cell.netns = true, but this node cannot make networks: "), "{said}");
    assert!(!folder.path().join("data").exists(), "it came to nothing");
}

#[tokio::test]
async fn a_node_that_may_not_limit_its_instances_says_so_once_and_its_cell_always() {
    if !geteuid().is_root() {
        return println!("NOT RUN: only root can be somebody who may surely make no control groups");
    }
    let (folder, program) = open_folder();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let (mut command, http) = server_at(&program, 1, &folder.path().join("data"), &[]);
    command.uid(NOBODY).gid(NOBODY).stdin(Stdio::piped()).stderr(log.try_clone().unwrap()).stdout(log);
    let mut node = Node { process: command.spawn().unwrap(), http };
    node.ready().await;
    let start = Instant::now();
    let cell = loop {
        if let Some(cell) = node.client().cell_statuses().await.unwrap().pop() {
            break cell;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for the cell");
        tokio::time::sleep(LOOK_EVERY).await;
    };
    assert!(!cell.isolation.own_network);
    let unlimited: Vec<_> = cell.isolation.unlimited.iter().map(|it| &*it.limit).collect();
    assert_eq!(unlimited, ["memory", "cpu"]);
    node.signal(Signal::SIGTERM);
    node.ended().await;
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    for unlimited in cell.isolation.unlimited {
        let words = format!("limit={} reason={}", unlimited.limit, unlimited.reason);
        let said = log.lines().filter(|line| line.contains("WARN") && line.contains(&words));
        assert_eq!(said.count(), 1, "{words} in {log}");
    }
}

const SPEC: &str = "sequences:\n  NAME:\n    request: true\n    args: {}\n    nodes:\n      one:\n        category: job\n        type: noop\n        args: []\n        sets: []\n        deps: []\n";

#[tokio::test]
async fn the_first_specs_are_those_of_the_directory_and_later_ones_are_pushed() {
    let (data, specs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let put = |name: &str, text: &str| std::fs::write(specs.path().join(name), text).unwrap();
    put("a.yaml", &SPEC.replace("NAME", "first"));
    let flags = ["--specs", specs.path().to_str().unwrap()];
    let mut node = Node::start(1, data.path(), &flags);
    node.ready().await;
    let client = node.client();
    let first = node.seeded().await;
    assert_eq!((first.version.number, &*first.version.pushed_by), (1, "specs.directory"));
    assert_eq!(node.request_names().await, ["first"]);
    assert_eq!(client.cluster_status().await.unwrap().specs.as_ref(), Some(&first.version.version));

    // Neither a signal nor a start takes what the directory says now.
    put("a.yaml", &SPEC.replace("NAME", "other"));
    node.signal(Signal::SIGHUP);
    let mut files = first.files;
    files.push(SpecText { path: "b.yaml".to_owned(), text: SPEC.replace("NAME", "second") });
    let pushed = client.push_specs(&SpecsPush { files }, Some(&first.version.version)).await.unwrap();
    assert!(pushed.changed);
    assert_eq!(node.request_names().await, ["first", "second"]);
    node.signal(Signal::SIGTERM);
    node.ended().await;
    let mut node = Node::start(1, data.path(), &flags);
    node.ready().await;
    assert_eq!(node.request_names().await, ["first", "second"]);
    assert_eq!(node.client().specs(ReadOptions::default()).await.unwrap().versions.len(), 2);
}
