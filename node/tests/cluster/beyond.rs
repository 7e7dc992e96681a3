//! What requests can beyond Spin Cycle's, with real processes and nodes that die.

use std::{fs, path::Path, time::Duration};

use capstan_client::{
    ReadOptions,
    cluster::{Decide, RequestDetail},
    spin_cycle::{CreateRequest, JobLogEntry, State},
};
use serde_json::{Map, Value, json};

use crate::harness::{Cluster, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_try_that_is_out_of_time_is_stopped_and_the_next_one_runs() {
    let mut cluster = Cluster::start().await;
    let args = json!({ "args": hold(&cluster) });
    let id = start(&mut cluster, "timed", args).await;
    let request = ended(&mut cluster, 2, &id).await;
    let log = log_of(&mut cluster, &id, "hold").await;
    assert_eq!((request.state.as_str(), log.len()), ("COMPLETE", 2), "{log:?}");
    assert_eq!((log[0].state, log[0].error.as_str()), (State::Fail, "timed out after 1s"));
    let took = Duration::from_nanos(u64::try_from(log[0].finished_at - log[0].started_at).unwrap());
    assert!(took >= Duration::from_millis(900), "{took:?}");
    assert_eq!(request.jobs.iter().find(|job| job.name == "hold").unwrap().timeout.as_deref(), Some("1s"));
    println!("a try with a timeout of 1 s was over after {} ms", took.as_millis());
    no_process_is_left(&cluster).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_out_of_time_has_failed_and_says_so() {
    let mut cluster = Cluster::start().await;
    let args = json!({ "args": hold(&cluster) });
    let id = start(&mut cluster, "timed-request", args).await;
    let request = ended(&mut cluster, 3, &id).await;
    assert_eq!((request.state.as_str(), request.timeout.as_deref()), ("FAIL", Some("1s")));
    assert!(request.timed_out_at.is_some_and(|at| at >= request.started_at.unwrap()), "{request:?}");
    let log = log_of(&mut cluster, &id, "hold").await;
    assert_eq!(log[0].error, "the request timed out after 1s", "{log:?}");
    no_process_is_left(&cluster).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_outlives_its_owner_and_is_decided_through_any_node() {
    let mut cluster = Cluster::start().await;
    let id = start(&mut cluster, "asking", json!({})).await;
    let waits = shown(&mut cluster, 1, &id).await;
    let [awaited] = &waits.awaiting[..] else { panic!("{waits:?}") };
    assert_eq!((awaited.name.as_str(), awaited.message.as_str()), ("ask", "Go on?"));
    assert!(awaited.deadline.is_some_and(|deadline| deadline > awaited.since));
    let owner = waits.node.unwrap();
    cluster.node(owner).kill();
    let other = cluster.others(owner)[0];
    until("another owner", async || {
        let now = shown(&mut cluster, other, &id).await;
        now.node.is_some_and(|node| node != owner).then_some(())
    })
    .await;
    let client = cluster.node(other).client();
    let refused = client.decide_approval(&id, "zzzz", true, &Decide::default()).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("these do: {} (ask, try 1)", awaited.job_id)), "{refused}");
    let decide = Decide { comment: "looks good".to_owned(), ..Decide::default() };
    client.decide_approval(&id, &awaited.job_id, true, &decide).await.unwrap();
    let request = ended(&mut cluster, other, &id).await;
    assert_eq!(request.state, "COMPLETE");
    let [decision] = &request.decisions[..] else { panic!("{request:?}") };
    assert_eq!((decision.approved, decision.try_no, decision.comment.as_str()), (true, 1, "looks good"));
    let again = client.decide_approval(&id, &awaited.job_id, true, &decide).await.unwrap_err();
    assert!(again.to_string().contains("has ended as COMPLETE"), "{again}");

    let id = start_on(&mut cluster, other, "asking", json!({})).await;
    let job = shown(&mut cluster, other, &id).await.awaiting[0].job_id.clone();
    client.decide_approval(&id, &job, false, &Decide::default()).await.unwrap();
    assert_eq!(ended(&mut cluster, other, &id).await.state, "FAIL");
    let log = client.job_log(&id, &job, ReadOptions::default()).await.unwrap();
    assert_eq!((log.state, log.error.as_str()), (State::Fail, "rejected"));
    cluster.node(owner).start();
    cluster.all_ready().await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_request_starts_nothing_also_after_its_nodes_were_killed() {
    let mut cluster = Cluster::start().await;
    let id = start(&mut cluster, "in-steps", json!({ "first": "500" })).await;
    let paused = cluster.node(2).client().pause_request(&id).await.unwrap();
    assert!(paused.paused.is_some(), "{paused:?}");
    until("the first step to end", async || {
        (state_of(&shown(&mut cluster, 3, &id).await, "first") == "COMPLETE").then_some(())
    })
    .await;
    for node in &mut cluster.nodes {
        node.kill();
    }
    for node in &mut cluster.nodes {
        node.start();
    }
    cluster.all_ready().await;
    let kept = until("an owner", async || {
        let request = shown(&mut cluster, 1, &id).await;
        request.node.is_some().then_some(request)
    })
    .await;
    assert_eq!(kept.paused, paused.paused);
    assert_eq!((kept.state.as_str(), state_of(&kept, "second")), ("RUNNING", "PENDING"));
    cluster.node(3).client().resume_request(&id).await.unwrap();
    assert_eq!(ended(&mut cluster, 2, &id).await.state, "COMPLETE");
    let late = cluster.node(1).client().pause_request(&id).await.unwrap_err();
    assert!(late.to_string().contains("has ended as COMPLETE"), "{late}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_request_is_gone_on_with_and_what_was_complete_does_not_run_again() {
    let mut cluster = Cluster::start().await;
    let folder = cluster.directory.path().to_owned();
    let script = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        format!("{} {}", path.display(), folder.display())
    };
    let noting = script("note.sh", "echo ran >>\"$1/ran\"\n");
    let needing = script("need.sh", "test -e \"$1/needed\"\n");
    let patient = script("patient.sh", "exit 0\n");
    let args = json!({ "noting": noting, "needing": needing });

    let client = cluster.node(2).client();
    let create = |args: Value| CreateRequest { kind: "broken".to_owned(), args: args.as_object().cloned() };
    let planned = client.dry_run(&create(args.clone())).await.unwrap();
    assert_eq!((planned.total_jobs, planned.types["shell-command"]), (6, 2));
    let nothing = client.requests(&Default::default(), ReadOptions::default()).await.unwrap();
    assert_eq!(nothing, [], "a dry run stores nothing");
    assert!(!folder.join("ran").exists(), "and runs nothing");

    let id = start(&mut cluster, "broken", args).await;
    let early = client.retry_request(&id, Map::new()).await;
    assert_eq!(ended(&mut cluster, 2, &id).await.state, "FAIL");
    if let Err(early) = early {
        assert!(early.to_string().contains("has not ended"), "{early}");
    }

    let other = |args: Value| args.as_object().cloned().unwrap();
    let refused = client.retry_request(&id, other(json!({ "noting": patient }))).await.unwrap_err();
    assert!(
        refused.to_string().contains("broken/note is complete, but would have another value of args"),
        "{refused}"
    );
    let preview = client.preview_retry(&id, other(json!({ "needing": patient }))).await.unwrap();
    let kept: Vec<&str> = preview.jobs.iter().filter(|job| job.kept).map(|job| job.name.as_str()).collect();
    assert_eq!(kept, ["request_broken_begin", "broken_begin", "note"]);

    let retry = client.retry_request(&id, other(json!({ "needing": patient }))).await.unwrap();
    assert_eq!(
        (retry.retry_of.as_deref(), ended(&mut cluster, 3, &retry.id).await.state.as_str()),
        (Some(&*id), "COMPLETE")
    );
    fs::write(folder.join("needed"), "").unwrap();
    let same = client.retry_request(&id, Map::new()).await.unwrap();
    assert_eq!(ended(&mut cluster, 1, &same.id).await.state, "COMPLETE");
    assert_eq!(fs::read_to_string(folder.join("ran")).unwrap(), "ran\n", "it ran once");
    let retried = shown(&mut cluster, 1, &id).await.retried_by;
    assert!(retried.contains(&retry.id) && retried.contains(&same.id), "{retried:?}");
    let over = client.retry_request(&same.id, Map::new()).await.unwrap_err();
    assert!(over.to_string().contains("is complete: nothing of it is left to run"), "{over}");
    cluster.end().await;
}

/// The script that stays in its first try, and ends well in its second.
fn hold(cluster: &Cluster) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/hold.sh");
    format!("{} {}", script.display(), cluster.directory.path().display())
}

/// Waits until neither the held process nor its child is there.
async fn no_process_is_left(cluster: &Cluster) {
    let pids = fs::read_to_string(cluster.directory.path().join("pids")).unwrap();
    let gone = |pid: &str| !Path::new("/proc").join(pid).exists();
    until("the job's processes to end", async || pids.split_whitespace().all(gone).then_some(())).await;
}

fn state_of<'a>(request: &'a RequestDetail, job: &str) -> &'a str {
    &request.jobs.iter().find(|found| found.name == job).unwrap().state
}

async fn start(cluster: &mut Cluster, kind: &str, args: Value) -> String {
    start_on(cluster, 1, kind, args).await
}

async fn start_on(cluster: &mut Cluster, node: u64, kind: &str, args: Value) -> String {
    let create = CreateRequest { kind: kind.to_owned(), args: args.as_object().cloned() };
    cluster.node(node).client().create_request(&create).await.unwrap().id
}

async fn shown(cluster: &mut Cluster, node: u64, id: &str) -> RequestDetail {
    cluster.node(node).client().request_detail(id, ReadOptions::default()).await.unwrap()
}

async fn ended(cluster: &mut Cluster, node: u64, id: &str) -> RequestDetail {
    until("a request to end", async || {
        let request = shown(cluster, node, id).await;
        request.finished_at.is_some().then_some(request)
    })
    .await
}

async fn log_of(cluster: &mut Cluster, id: &str, job: &str) -> Vec<JobLogEntry> {
    let log = cluster.node(1).client().request_log(id, ReadOptions::default()).await.unwrap();
    log.into_iter().filter(|entry| entry.name == job).collect()
}
