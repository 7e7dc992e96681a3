//! Long-running processes and tasks on real nodes: instances that answer, and are there again whatever is killed.

use std::time::Duration;

use capstan_client::receptor::{ActualLrp, ActualLrpState, Task, TaskState};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use crate::harness::{
    Cluster, PATIENCE,
    lrps::{GUID, actual, actual_at, all_dead, call, desire, node_of, pid, pids, running, script, serving},
    until,
    wire::Wire,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_is_there_again_whatever_is_killed() {
    let mut cluster = Cluster::start().await;
    desire(&mut cluster, &serving(1)).await;
    let first = running(&mut cluster, 1, |_| true).await.remove(0);
    let first_pid = pid(&first).await;

    kill(Pid::from_raw(first_pid), Signal::SIGKILL).unwrap();
    let second = running(&mut cluster, 1, |lrp| lrp.instance_guid != first.instance_guid).await.remove(0);
    assert_eq!((second.crash_count, &*second.crash_reason), (1, "Exited with status 137"));
    assert_eq!(second.modification_tag.epoch, first.modification_tag.epoch);
    let second_pid = pid(&second).await;
    assert_ne!(second_pid, first_pid);

    let node = node_of(&second);
    cluster.node(node).kill();
    let third = running(&mut cluster, 1, |lrp| lrp.cell_id != second.cell_id).await.remove(0);
    assert_eq!(third.crash_count, 0, "a lost cell is no crash");
    assert_ne!(third.modification_tag.epoch, second.modification_tag.epoch);
    let third_pid = pid(&third).await;
    all_dead(&[second_pid]).await;
    cluster.node(node).start();
    cluster.all_ready().await;

    let path = format!("/v1/actual_lrps/{GUID}/index/0");
    call(&mut cluster, "DELETE", &path, &Value::Null, 204).await;
    let fourth = running(&mut cluster, 1, |lrp| lrp.instance_guid != third.instance_guid).await.remove(0);
    assert_eq!(fourth.crash_count, 0, "nor is one that its owner killed");
    assert_ne!(pid(&fourth).await, third_pid);
    all_dead(&[third_pid]).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_are_as_many_as_desired_and_leave_no_process() {
    let mut cluster = Cluster::start().await;
    desire(&mut cluster, &serving(1)).await;
    running(&mut cluster, 1, |_| true).await;
    let path = format!("/v1/desired_lrps/{GUID}");

    call(&mut cluster, "PUT", &path, &json!({ "instances": 3 }), 204).await;
    let three = running(&mut cluster, 3, |_| true).await;
    let mut nodes: Vec<u64> = three.iter().map(node_of).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, [1, 2, 3], "each on a cell of its own");
    let of_three = pids(&three).await;

    call(&mut cluster, "PUT", &path, &json!({ "instances": 1 }), 204).await;
    let left = running(&mut cluster, 1, |_| true).await.remove(0);
    assert_eq!(left.instance_guid, three[0].instance_guid, "the others were retired");
    all_dead(&of_three[1..]).await;

    call(&mut cluster, "DELETE", &path, &Value::Null, 204).await;
    until("the end of all", async || actual(&mut cluster).await.is_empty().then_some(())).await;
    all_dead(&of_three).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_cell_keeps_an_instance_until_another_runs() {
    let mut cluster = Cluster::start().await;
    desire(&mut cluster, &serving(1)).await;
    let first = running(&mut cluster, 1, |_| true).await.remove(0);
    let first_pid = pid(&first).await;

    let node = node_of(&first);
    call(&mut cluster, "POST", &format!("/cluster/v1/nodes/{node}/drain"), &Value::Null, 202).await;
    let second = until("another instance", async || {
        let shown = actual(&mut cluster).await.into_iter().next()?;
        assert_eq!(shown.state, ActualLrpState::Running, "somebody can always be reached: {shown:?}");
        let is_other = shown.instance_guid != first.instance_guid;
        assert!(!(shown.evacuating && is_other), "only the first is evacuated: {shown:?}");
        is_other.then_some(shown)
    })
    .await;
    assert_ne!(node_of(&second), node);
    pid(&second).await;
    all_dead(&[first_pid]).await;

    // A node that stops does the same by itself.
    let node = node_of(&second);
    cluster.node(node).signal(Signal::SIGTERM);
    assert!(cluster.node(node).exit().await.success());
    let third = running(&mut cluster, 1, |_| true).await.remove(0);
    assert_ne!(third.instance_guid, second.instance_guid, "it was handed over before the node ended");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cell_that_stood_still_gives_up_what_runs_elsewhere_by_then() {
    let mut cluster = Cluster::start().await;
    desire(&mut cluster, &serving(1)).await;
    let first = running(&mut cluster, 1, |_| true).await.remove(0);
    let first_pid = pid(&first).await;

    let node = node_of(&first);
    let asked = cluster.others(node)[0];
    cluster.node(node).signal(Signal::SIGSTOP);
    let second = until("another instance", async || {
        let found = actual_at(cluster.node(asked).http).await.into_iter().next()?;
        let is_other = found.state == ActualLrpState::Running && found.cell_id != first.cell_id;
        is_other.then_some(found)
    })
    .await;
    pid(&second).await;
    assert_eq!(kill(Pid::from_raw(first_pid), None), Ok(()), "the guardian of a cell lets its instances be");

    cluster.node(node).signal(Signal::SIGCONT);
    all_dead(&[first_pid]).await;
    let left = running(&mut cluster, 1, |_| true).await.remove(0);
    assert_eq!(left, second, "the other runs on");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_run_says_why() {
    let mut cluster = Cluster::start().await;
    let mut body = serving(1);
    body["memory_mb"] = json!(1 << 30);
    desire(&mut cluster, &body).await;
    let unplaced = until("an error", async || {
        actual(&mut cluster).await.into_iter().find(|lrp| !lrp.placement_error.is_empty())
    })
    .await;
    assert_eq!(unplaced.state, ActualLrpState::Unclaimed);
    assert_eq!(unplaced.placement_error, "insufficient resources: memory");
    call(&mut cluster, "DELETE", &format!("/v1/desired_lrps/{GUID}"), &Value::Null, 204).await;

    let mut body = serving(1);
    body["action"] = script("exit 17");
    desire(&mut cluster, &body).await;
    let crashed = until("the third crash", async || {
        actual(&mut cluster).await.into_iter().find(|lrp| lrp.state == ActualLrpState::Crashed)
    })
    .await;
    assert_eq!((crashed.crash_count, &*crashed.crash_reason), (3, "Exited with status 17"));
    assert_eq!((&*crashed.instance_guid, &*crashed.cell_id), ("", ""));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_done_once_and_has_a_result() {
    let mut cluster = Cluster::start().await;
    let result = cluster.directory.path().join("result");
    let task = |guid: &str, text: &str| {
        json!({
            "task_guid": guid,
            "domain": "tests",
            "rootfs": "preloaded:host",
            "action": script(text),
            "result_file": result,
        })
    };
    let count = cluster.directory.path().join("count");
    let works = format!("echo once >> {}; printf 42 > {}", count.display(), result.display());
    for (guid, text) in [("works", &*works), ("fails", "exit 3"), ("waits", "sleep 1000")] {
        call(&mut cluster, "POST", "/v1/tasks", &task(guid, text), 201).await;
    }
    let done = completed(&mut cluster, "works").await;
    assert_eq!((done.failed, &*done.failure_reason, &*done.result), (false, "", "42"));
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "once\n");
    let failed = completed(&mut cluster, "fails").await;
    assert_eq!((failed.failed, &*failed.failure_reason), (true, "Exited with status 3"));

    call(&mut cluster, "POST", "/v1/tasks/waits/cancel", &Value::Null, 200).await;
    let cancelled = completed(&mut cluster, "waits").await;
    assert_eq!((cancelled.failed, &*cancelled.failure_reason), (true, "task was cancelled"));
    call(&mut cluster, "DELETE", "/v1/tasks/works", &Value::Null, 200).await;
    call(&mut cluster, "GET", "/v1/tasks/works", &Value::Null, 404).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asked_for_it_is_told_of_the_end_of_a_task() {
    let mut cluster = Cluster::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/done?of=it", listener.local_addr().unwrap());
    let task = json!({
        "task_guid": "told",
        "domain": "tests",
        "rootfs": "preloaded:host",
        "action": script("exit 4"),
        "annotation": "mine",
        "completion_callback_url": url,
    });
    call(&mut cluster, "POST", "/v1/tasks", &task, 201).await;
    for status in ["503 Service Unavailable", "200 OK"] {
        let (head, told) = timeout(PATIENCE, answer_one_call(&listener, status)).await.expect("nobody calls");
        assert!(head.starts_with("POST /done?of=it HTTP/1.1"), "{head}");
        let expected = ("told", true, "Exited with status 4", "", "mine");
        let text = |name: &str| told[name].as_str().unwrap();
        let sent = (
            text("task_guid"),
            told["failed"] == json!(true),
            text("failure_reason"),
            text("result"),
            text("annotation"),
        );
        assert_eq!(sent, expected);
        assert!(told["created_at"].as_u64().is_some_and(|nanos| nanos > 1_700_000_000_000_000_000), "{told}");
    }
    until("the end of a task that was resolved", async || {
        let path = "/v1/tasks/told";
        let answer = Wire::to(cluster.running().http).call("GET", path, &[], b"").await.unwrap();
        (answer.status == 404).then_some(())
    })
    .await;
    cluster.end().await;
}

/// Takes one call with a JSON body and answers it; returns its head and its body.
async fn answer_one_call(listener: &TcpListener, status: &str) -> (String, Value) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "a call cut short");
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if let Ok(body) = serde_json::from_str(body) {
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            return (head.to_owned(), body);
        }
    }
}

pub(crate) async fn completed(cluster: &mut Cluster, guid: &str) -> Task {
    let path = format!("/v1/tasks/{guid}");
    until("the end of a task", async || {
        let task = call(cluster, "GET", &path, &Value::Null, 200).await;
        let task: Task = serde_json::from_value(task).unwrap();
        (task.state == TaskState::Completed).then_some(task)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_started_again_begins_without_the_instances_of_its_last_life() {
    let mut cluster = Cluster::start().await;
    desire(&mut cluster, &serving(3)).await;
    let before = running(&mut cluster, 3, |_| true).await;
    let lost = before[0].clone();
    let (lost_pid, node) = (pid(&lost).await, node_of(&lost));
    cluster.node(node).kill();
    // At once: nobody has missed it yet, and its guardian may still be at work.
    cluster.node(node).start();
    let new = |lrp: &ActualLrp| lrp.index != lost.index || lrp.instance_guid != lost.instance_guid;
    let after = running(&mut cluster, 3, new).await;
    all_dead(&[lost_pid]).await;
    let other = after.iter().find(|lrp| lrp.index == lost.index).unwrap();
    assert_eq!(other.crash_count, 0, "a lost life is no crash");
    assert_ne!(other.modification_tag.epoch, lost.modification_tag.epoch);
    pid(other).await;
    for lrp in before.iter().filter(|lrp| node_of(lrp) != node) {
        let same = after.iter().find(|other| other.index == lrp.index).unwrap();
        assert_eq!(same.instance_guid, lrp.instance_guid, "what ran elsewhere runs on");
    }
    cluster.all_ready().await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_whose_leader_is_killed_is_there_again() {
    let mut cluster = Cluster::start().await;
    desire(&mut cluster, &serving(3)).await;
    let before = running(&mut cluster, 3, |_| true).await;
    let leader = cluster.leader().await;
    let spared: Vec<_> = before.iter().filter(|lrp| node_of(lrp) != leader).cloned().collect();
    let killed = std::time::Instant::now();
    cluster.node(leader).kill();
    let after = running(&mut cluster, 3, |lrp| node_of(lrp) != leader).await;
    println!("three instances again {} ms after the leader was killed", killed.elapsed().as_millis());
    for lrp in spared {
        let same = after.iter().find(|other| other.index == lrp.index).unwrap();
        assert_eq!(same.instance_guid, lrp.instance_guid, "what ran elsewhere runs on");
    }
    assert!(killed.elapsed() > Duration::from_secs(1), "nobody is lost before it was silent");
    cluster.end().await;
}
