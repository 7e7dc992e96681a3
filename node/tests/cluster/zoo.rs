//! Children that do not behave: what the log shows of them, and that nothing of them is left.

use std::{fs, path::Path};

use capstan_client::{
    ReadOptions,
    spin_cycle::{CreateRequest, JobLogEntry, State},
};
use serde_json::json;

use crate::harness::{Cluster, until};

/// One kind of child.
struct Animal {
    name: &'static str,
    /// For `sh`. One that is to be stopped makes the file `ready` in its working directory.
    script: &'static str,
    /// Whether its request is stopped once it runs.
    stopped: bool,
    state: State,
    exit: i64,
    error: &'static str,
    /// How its standard output begins.
    stdout: &'static str,
}

const ZOO: [Animal; 7] = [
    Animal {
        name: "exits at once",
        script: "exit 0",
        stopped: false,
        state: State::Complete,
        exit: 0,
        error: "",
        stdout: "",
    },
    Animal {
        name: "kills itself",
        script: "kill -KILL $$",
        stopped: false,
        state: State::Fail,
        exit: 137,
        error: "signal: killed",
        stdout: "",
    },
    Animal {
        name: "ignores SIGTERM",
        script: "trap '' TERM\necho here\n: >ready\nwhile :; do sleep 1; done",
        stopped: true,
        state: State::Fail,
        exit: 137,
        error: "did not stop in time and was killed",
        stdout: "here\n",
    },
    Animal {
        name: "heeds SIGTERM",
        script: "trap 'echo bye; exit 3' TERM\necho here\n: >ready\nwhile :; do sleep 0.1; done",
        stopped: true,
        state: State::Stopped,
        exit: 3,
        error: "exit status 3",
        stdout: "here\nbye\n",
    },
    Animal {
        name: "leaves a daemon behind",
        script: "(setsid sleep 600 >/dev/null 2>&1 &)\necho gone",
        stopped: false,
        state: State::Complete,
        exit: 0,
        error: "",
        stdout: "gone\n",
    },
    Animal {
        name: "leaves a child that holds its output",
        script: "sleep 600 &\necho held",
        stopped: false,
        state: State::Complete,
        exit: 0,
        error: "",
        stdout: "held\n",
    },
    Animal {
        name: "floods 1 GiB",
        script: "head -c 1073741824 /dev/zero | tr '\\0' x",
        stopped: false,
        state: State::Complete,
        exit: 0,
        error: "",
        stdout: "[1073676288 bytes were cut here]\nxxx",
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_child_does_its_log_tells_it_and_nothing_is_left() {
    let mut cluster = Cluster::start().await;
    for (number, animal) in ZOO.iter().enumerate() {
        let entry = run(&mut cluster, number, animal).await;
        assert_eq!(
            (entry.state, entry.exit, entry.error.as_str()),
            (animal.state, animal.exit, animal.error),
            "{}: {entry:?}",
            animal.name
        );
        assert!(entry.stdout.starts_with(animal.stdout), "{}: {:?}", animal.name, entry.stdout.get(..80));
        none_left(cluster.directory.path()).await;
        println!(
            "{:<38} {} exit {:>3} {:?}, {} bytes of output kept, no process left",
            animal.name,
            entry.state,
            entry.exit,
            entry.error,
            entry.stdout.len()
        );
    }
    cluster.end().await;
}

async fn run(cluster: &mut Cluster, number: usize, animal: &Animal) -> JobLogEntry {
    let script = cluster.directory.path().join(format!("animal-{number}.sh"));
    fs::write(&script, animal.script).unwrap();
    let args = json!({ "args": script.to_str() }).as_object().cloned();
    let client = cluster.node(number as u64 % 3 + 1).client();
    let id = client.create_request(&CreateRequest { kind: "held".to_owned(), args }).await.unwrap().id;
    if animal.stopped {
        until("the child to run", async || is_ready(cluster, &id).then_some(())).await;
        client.stop_request(&id).await.unwrap();
    }
    until("a request to end", async || {
        let request = client.request(&id, ReadOptions::default()).await.unwrap();
        request.state.is_final().then_some(())
    })
    .await;
    let log = client.request_log(&id, ReadOptions::default()).await.unwrap();
    log.into_iter().find(|entry| entry.name == "hold").expect("the job has a log entry")
}

/// Whether a process of this request has made its file.
fn is_ready(cluster: &Cluster, request: &str) -> bool {
    let folders = cluster.nodes.iter().filter_map(|node| fs::read_dir(node.data.join("jobs")).ok());
    folders.flatten().flatten().any(|folder| {
        folder.file_name().to_string_lossy().starts_with(request) && folder.path().join("ready").exists()
    })
}

/// Waits until no process is marked as a job of nodes below this directory.
async fn none_left(directory: &Path) {
    until("no process to be left", async || marked(directory).is_empty().then_some(())).await;
}

/// The processes whose environment says that they belong to a job of these nodes.
fn marked(directory: &Path) -> Vec<String> {
    let directory = directory.canonicalize().unwrap();
    let of_job = |environment: &str| {
        let mark = environment.split('\0').find_map(|entry| entry.strip_prefix("CAPSTAN_NODE_DIR="));
        mark.is_some_and(|mark| mark.contains(directory.to_str().unwrap()))
            && environment.contains("CAPSTAN_REQUEST_ID=")
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let environment = |entry: &fs::DirEntry| fs::read(entry.path().join("environ")).unwrap_or_default();
    entries
        .filter(|entry| of_job(&String::from_utf8_lossy(&environment(entry))))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
