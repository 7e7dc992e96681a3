//! The jobs against a node that answers from a script.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// What the next call must begin with, and what it is answered: status and body.
type Expected = (&'static str, u16, String);

/// A node, and the calls it was sent.
struct Node {
    client: Client,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Node {
    /// Starts a node that answers these calls in this order. The last one it answers again and again.
    async fn start(script: Vec<Expected>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        tokio::spawn(async move {
            let mut script = script.into_iter();
            let mut last = None;
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut call = Vec::new();
                while !is_whole(&call) {
                    assert!(stream.read_buf(&mut call).await.unwrap() > 0, "the call ended in its middle");
                }
                let call = String::from_utf8(call).unwrap();
                let (begin, status, body) = script.next().or(last.clone()).unwrap();
                // A call that was not expected is told to who made it.
                let (status, body) = if call.starts_with(begin) {
                    (status, body.clone())
                } else {
                    (418, format!("not {begin}: {call}"))
                };
                last = Some((begin, status, body.clone()));
                seen.lock().unwrap().push(call);
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all((head + &body).as_bytes()).await.unwrap();
                stream.shutdown().await.ok();
            }
        });
        Self { client: Client::new(vec![address]).unwrap(), calls }
    }

    /// The body of one of the calls.
    fn body(&self, call: usize) -> Value {
        let text = self.calls.lock().unwrap()[call].clone();
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

fn is_whole(call: &[u8]) -> bool {
    let text = String::from_utf8_lossy(call);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// Remembers what was told.
#[derive(Default)]
struct Notes(Vec<String>);

impl Report for Notes {
    fn done(&mut self, what: &str) {
        self.0.push(what.to_owned());
    }

    fn status(&mut self, how_far: &str) {
        self.0.push(format!("status {how_far}"));
    }
}

async fn followed(node: &Node, order: &Order) -> (Result<(), String>, Vec<String>) {
    let mut notes = Notes::default();
    let result = follow(&node.client, order, &mut notes).await;
    (result, notes.0)
}

const DESIRED: &str = "GET /v1/desired_lrps/p ";
const INSTANCES: &str = "GET /v1/actual_lrps/p ";
const REMOVE: &str = "DELETE /v1/desired_lrps/p ";
const UPDATE: &str = "PUT /v1/desired_lrps/p ";

fn manifest(memory_mb: u32) -> Value {
    json!({"process_guid": "p", "domain": "d", "rootfs": "preloaded:host", "instances": 2, "memory_mb": memory_mb,
        "action": {"run": {"path": "a", "user": "u"}}, "routes": {"r": 1}})
}

fn there(memory_mb: u32) -> String {
    let mut lrp = manifest(memory_mb);
    lrp["instances"] = 7.into();
    lrp["routes"] = json!({});
    lrp["modification_tag"] = json!({"epoch": "e", "index": 4});
    lrp.to_string()
}

fn instance(index: u32, state: &str, why: &str) -> Value {
    let (crashed, unclaimed) = (state == "CRASHED", state == "UNCLAIMED");
    json!({"process_guid": "p", "instance_guid": "", "cell_id": "", "domain": "d", "index": index, "address": "",
        "ports": null, "state": state, "crash_count": if crashed { 3 } else { 0 },
        "crash_reason": if crashed { why } else { "" }, "placement_error": if unclaimed { why } else { "" },
        "since": 1, "evacuating": false, "modification_tag": {"epoch": "e", "index": 0}})
}

fn list(of: &[Value]) -> String {
    Value::from(of.to_vec()).to_string()
}

fn order_to_desire() -> Order {
    let create: DesiredLrpCreate = serde_json::from_str(&manifest(64).to_string()).unwrap();
    Order::Desire { lrp: serde_json::to_string(&create).unwrap() }
}

fn order_to_wait(timeout_ms: u64, on_failure: OnFailure) -> Order {
    Order::WaitRunning { process_guid: "p".to_owned(), timeout_ms, stable_ms: Some(0), on_failure }
}

#[tokio::test]
async fn what_is_desired_already_is_brought_to_what_is_wanted() {
    let node = Node::start(vec![
        ("POST /v1/desired_lrps ", 409, "{}".to_owned()),
        (DESIRED, 200, there(64)),
        (UPDATE, 204, String::new()),
    ])
    .await;
    let (result, notes) = followed(&node, &order_to_desire()).await;
    assert_eq!((result, notes), (Ok(()), vec!["p was desired already".to_owned()]));
    assert_eq!(node.body(0)["process_guid"], "p");
    assert_eq!(node.body(2), json!({"instances": 2, "routes": {"r": 1}, "annotation": ""}));
}

#[tokio::test]
async fn something_else_of_that_name_is_left_alone() {
    let script = vec![("POST /v1/desired_lrps ", 409, "{}".to_owned()), (DESIRED, 200, there(128))];
    let (result, _) = followed(&Node::start(script).await, &order_to_desire()).await;
    assert!(result.unwrap_err().contains("is something else"));
}

#[tokio::test]
async fn a_wait_ends_when_all_instances_run() {
    let node = Node::start(vec![
        (DESIRED, 200, there(64).replace("\"instances\":7", "\"instances\":1")),
        (INSTANCES, 200, list(&[instance(0, "CLAIMED", "")])),
        // A leader is lost, and another found.
        (DESIRED, 429, "{}".to_owned()),
        (DESIRED, 200, there(64).replace("\"instances\":7", "\"instances\":1")),
        (INSTANCES, 200, list(&[instance(0, "RUNNING", "")])),
    ])
    .await;
    let (result, notes) = followed(&node, &order_to_wait(60_000, OnFailure::Delete)).await;
    let expected = ["status 0 of 1 running, 1 starting", "status 1 of 1 running", "p: 1 of 1 running"];
    assert_eq!((result, notes), (Ok(()), expected.map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn what_nothing_monitors_must_go_on_running() {
    let wanted = |monitor: Value| {
        let mut lrp = manifest(64);
        lrp["instances"] = 1.into();
        lrp["modification_tag"] = json!({"epoch": "e", "index": 0});
        lrp["monitor"] = monitor;
        lrp.to_string()
    };
    let running = |instance_guid: &str| {
        let mut lrp = instance(0, "RUNNING", "");
        lrp["instance_guid"] = instance_guid.into();
        list(&[lrp])
    };
    let order = |stable_ms| Order::WaitRunning {
        process_guid: "p".to_owned(),
        timeout_ms: 2_000,
        stable_ms,
        on_failure: OnFailure::Keep,
    };
    // It is started, dies, is started again: three times in all.
    let deaths = || ["a", "b", "c"].map(running).into_iter();
    let script = |monitor: Value| {
        let looks = deaths().chain([list(&[instance(0, "CRASHED", "no")])]);
        looks.flat_map(|seen| [(DESIRED, 200, wanted(monitor.clone())), (INSTANCES, 200, seen)]).collect()
    };
    let monitor = json!({"run": {"path": "m", "user": "u"}});
    let crashed = || Err("index 0 has crashed 3 times: no".to_owned());
    let cases = [
        (Value::Null, None, crashed()),
        (Value::Null, Some(0), Ok(())),
        (monitor.clone(), None, Ok(())),
        (monitor, Some(500), crashed()),
    ];
    for (monitor, stable_ms, expected) in cases {
        let node = Node::start(script(monitor)).await;
        let (result, _) = followed(&node, &order(stable_ms)).await;
        assert_eq!(result, expected, "stable for {stable_ms:?} ms");
    }

    // The same one all the time; and not for long enough before the time is up.
    let script = || {
        let looks = std::iter::repeat_n(running("a"), 200);
        looks.flat_map(|seen| [(DESIRED, 200, wanted(Value::Null)), (INSTANCES, 200, seen)]).collect()
    };
    let (result, _) = followed(&Node::start(script()).await, &order(Some(200))).await;
    assert_eq!(result, Ok(()));
    let (result, _) = followed(&Node::start(script()).await, &order(Some(1_999_000))).await;
    assert_eq!(result, Err("p after 2s: 1 of 1 running; not for long enough".to_owned()));
}

#[tokio::test]
async fn what_crashes_is_taken_back_if_that_is_wanted() {
    let script = |more: &[Expected]| {
        let seen = [
            (DESIRED, 200, there(64)),
            (INSTANCES, 200, list(&[instance(1, "CRASHED", "Exited with status 1")])),
        ];
        [&seen[..], more].concat()
    };
    let kept = Node::start(script(&[])).await;
    let (result, _) = followed(&kept, &order_to_wait(60_000, OnFailure::Keep)).await;
    let reason = "index 1 has crashed 3 times: Exited with status 1";
    assert_eq!(result, Err(reason.to_owned()));

    let removed = Node::start(script(&[(REMOVE, 204, String::new())])).await;
    let (result, _) = followed(&removed, &order_to_wait(60_000, OnFailure::Delete)).await;
    assert_eq!(result, Err(format!("{reason}; p was taken back")));

    let stuck = Node::start(script(&[(REMOVE, 500, "{\"message\":\"no\"}".to_owned())])).await;
    let (result, _) = followed(&stuck, &order_to_wait(60_000, OnFailure::Delete)).await;
    assert!(result.unwrap_err().starts_with(&format!("{reason}; p could not be taken back: no (HTTP 500")));
}

#[tokio::test]
async fn a_wait_that_is_over_says_what_keeps_each_instance() {
    let found = [instance(0, "RUNNING", ""), instance(1, "CLAIMED", ""), instance(2, "UNCLAIMED", "no room")];
    let node = Node::start(vec![
        (DESIRED, 200, there(64).replace("\"instances\":7", "\"instances\":3")),
        (INSTANCES, 200, list(&found)),
    ])
    .await;
    let (result, _) = followed(&node, &order_to_wait(0, OnFailure::Keep)).await;
    let expected = "p after 0ns: 1 of 3 running, 1 starting, 1 waiting for a cell; index 1 is not healthy yet; \
        index 2 finds no cell: no room";
    assert_eq!(result, Err(expected.to_owned()));
}

#[tokio::test]
async fn a_delete_waits_until_it_is_gone_and_does_no_more_the_second_time() {
    let order = Order::Delete { process_guid: "p".to_owned(), timeout_ms: 60_000 };
    let node = Node::start(vec![
        (REMOVE, 204, String::new()),
        (INSTANCES, 200, list(&[instance(0, "RUNNING", "")])),
        (INSTANCES, 200, "[]".to_owned()),
        (REMOVE, 404, "{}".to_owned()),
        (INSTANCES, 200, "[]".to_owned()),
    ])
    .await;
    let (result, notes) = followed(&node, &order).await;
    let expected = [
        "p is not desired any more",
        "status 0 of 0 running, 1 stopping",
        "status 0 of 0 running",
        "p is gone",
    ];
    assert_eq!((result, notes), (Ok(()), expected.map(str::to_owned).to_vec()));
    let (result, notes) = followed(&node, &order).await;
    assert_eq!((result, &*notes[0]), (Ok(()), "p was not desired"));
}
