//! Requests started on one node and looked at on others, while nodes stop and die.

use std::{
    fs,
    path::{Path, PathBuf},
};

use capstan_client::{
    ReadOptions,
    spin_cycle::{CreateRequest, JobLogEntry, Request, State},
};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{Cluster, Rounds, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_started_on_one_node_are_read_complete_on_another() {
    let rounds = Rounds::or(3);
    let mut cluster = Cluster::start().await;
    for round in 0..rounds.count as u64 {
        let (starter, reader) = (round % 3 + 1, (round + 1 + round / 3 % 2) % 3 + 1);
        let test = start(&mut cluster, starter, "test", json!({ "sleepTime": "20" })).await;
        let logs = cluster.directory.path().join(format!("logs-{round}"));
        fs::create_dir(&logs).unwrap();
        fs::write(logs.join("a.log"), format!("line of round {round}\n")).unwrap();
        let pack = start(&mut cluster, starter, "pack-logs", json!({ "dir": logs.to_str().unwrap() })).await;

        let test = ended(&mut cluster, reader, &test).await;
        assert_eq!((test.state, test.total_jobs, test.finished_jobs), (State::Complete, 15, 15));
        let log = log(&mut cluster, reader, &test.id).await;
        assert_eq!(log.len(), 15, "one entry for each job: {log:?}");

        let pack = ended(&mut cluster, reader, &pack).await;
        assert_eq!((pack.state, pack.finished_jobs), (State::Complete, pack.total_jobs));
        assert!(logs.with_extension("logs.tar.gz").is_file());
    }
    println!("{} times test and pack-logs, started on one node, read complete on another", rounds.count);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_on_one_node_ends_the_processes_of_another() {
    let mut cluster = Cluster::start().await;
    let held = Held::start(&mut cluster, "held").await;
    let other = cluster.others(held.owner)[0];
    cluster.node(other).client().stop_request(&held.id).await.unwrap();
    held.processes_end().await;
    for node in 1..=3 {
        let request = ended(&mut cluster, node, &held.id).await;
        assert_eq!(request.state, State::Stopped, "{request:?}");
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_tells_what_a_job_says_of_itself_unless_its_owner_is_silent() {
    let mut cluster = Cluster::start().await;
    let held = Held::start(&mut cluster, "held").await;
    let others = cluster.others(held.owner);
    for node in [held.owner, others[0], others[1]] {
        let told = running(&mut cluster, node, &held.id).await;
        assert_eq!(told, [("hold".to_owned(), "holding".to_owned())], "node {node}");
    }
    cluster.node(held.owner).pause();
    let told = running(&mut cluster, others[0], &held.id).await;
    cluster.node(held.owner).signal(Signal::SIGCONT);
    assert_eq!(told, [("hold".to_owned(), String::new())], "the job is shown, without its words");
    cluster.end().await;
}

/// The names of the jobs that run, each with what it says.
async fn running(cluster: &mut Cluster, node: u64, id: &str) -> Vec<(String, String)> {
    let status = cluster.node(node).client().running(Some(id), ReadOptions::default()).await.unwrap();
    status.jobs.into_iter().map(|job| (job.name, job.status)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_die_with_a_killed_owner_and_its_request_goes_on_as_its_retries_allow() {
    for (kind, expected, tries) in [("held", State::Fail, 1), ("held-again", State::Complete, 2)] {
        let mut cluster = Cluster::start().await;
        let held = Held::start(&mut cluster, kind).await;
        let other = cluster.others(held.owner)[0];
        cluster.node(held.owner).kill();
        held.processes_end().await;

        cluster.node(held.owner).start();
        let request = ended(&mut cluster, other, &held.id).await;
        let entries = log(&mut cluster, other, &held.id).await;
        let of_job: Vec<_> = entries.iter().filter(|entry| entry.name == "hold").collect();
        assert_eq!((request.state, of_job.len()), (expected, tries), "{entries:?}");
        let lost = format!("node {} was lost while the job ran", held.owner);
        assert_eq!((of_job[0].state, &*of_job[0].error), (State::Fail, &*lost));
        println!("{kind}: owner killed and started, {}, tries: {tries}, the first: {lost:?}", request.state);
        cluster.all_ready().await;
        cluster.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_all_told_to_stop_end_their_processes_and_go_on_when_started() {
    let mut cluster = Cluster::start().await;
    let held = Held::start(&mut cluster, "held-again").await;
    for node in &cluster.nodes {
        node.signal(Signal::SIGTERM);
    }
    for node in &mut cluster.nodes {
        let status = node.exit().await;
        assert!(status.success(), "node {} ended with {status}", node.id);
    }
    held.processes_end().await;
    for node in &mut cluster.nodes {
        node.start();
    }
    cluster.all_ready().await;
    let request = ended(&mut cluster, 1, &held.id).await;
    assert_eq!(request.state, State::Complete, "{:?}", log(&mut cluster, 2, &held.id).await);
    cluster.end().await;
}

/// A request whose job has started and stays.
struct Held {
    id: String,
    /// The node that runs it.
    owner: u64,
    /// Its process, and a child of that.
    processes: Vec<PathBuf>,
}

impl Held {
    async fn start(cluster: &mut Cluster, kind: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/hold.sh");
        let folder = cluster.directory.path().to_owned();
        let args = format!("{} {}", script.display(), folder.display());
        let id = start(cluster, 1, kind, json!({ "args": args })).await;
        let pids = until("the job to start", async || fs::read_to_string(folder.join("pids")).ok()).await;
        let processes: Vec<_> = pids.split_whitespace().map(|pid| Path::new("/proc").join(pid)).collect();
        assert!(processes.len() == 2 && processes.iter().all(|process| process.exists()), "{processes:?}");
        let request = cluster.node(2).client().request(&id, ReadOptions::default()).await.unwrap();
        let runs_it = |node: &&crate::harness::Node| request.jr_url.contains(&node.http.to_string());
        let owner = cluster.nodes.iter().find(runs_it).unwrap_or_else(|| panic!("{request:?}")).id;
        Self { id, owner, processes }
    }

    async fn processes_end(&self) {
        let gone = async || self.processes.iter().all(|process| !process.exists()).then_some(());
        until("the job's processes to end", gone).await;
    }
}

async fn start(cluster: &mut Cluster, node: u64, kind: &str, args: serde_json::Value) -> String {
    let create = CreateRequest { kind: kind.to_owned(), args: args.as_object().cloned() };
    cluster.node(node).client().create_request(&create).await.unwrap().id
}

/// The request as this node shows it, once it has ended.
async fn ended(cluster: &mut Cluster, node: u64, id: &str) -> Request {
    let client = cluster.node(node).client();
    until("a request to end", async || {
        let request = client.request(id, ReadOptions::default()).await.unwrap();
        request.state.is_final().then_some(request)
    })
    .await
}

async fn log(cluster: &mut Cluster, node: u64, id: &str) -> Vec<JobLogEntry> {
    cluster.node(node).client().request_log(id, ReadOptions::default()).await.unwrap()
}
