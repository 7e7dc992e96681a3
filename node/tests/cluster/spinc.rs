//! `spinc`, Spin Cycle's own client, command by command: the calls it makes, and its answers read as strictly as Go reads them.
//!
//! It takes 200 and 201 for success and nothing else, gives each call five seconds, and has a Go type for each member it
//! prints: a text where it expects a number ends it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::harness::{Cluster, until, wire::Wire};

/// What one call of spinc's may take.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RequestSpec {
    name: String,
    args: Vec<RequestArg>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RequestArg {
    pos: i64,
    name: String,
    desc: String,
    r#type: String,
    given: bool,
    /// spinc prints it with a type assertion to string, and dies of anything else.
    default: Option<String>,
    value: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    id: String,
    r#type: String,
    state: u8,
    user: String,
    #[serde(default)]
    args: Vec<RequestArg>,
    created_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
    #[serde(default, rename = "JobChain")]
    job_chain: Option<Value>,
    total_jobs: u64,
    finished_jobs: u64,
    #[serde(default, rename = "jrURL")]
    jr_url: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JobLog {
    request_id: String,
    job_id: String,
    r#try: u64,
    name: String,
    r#type: String,
    started_at: i64,
    finished_at: i64,
    state: u8,
    exit: i64,
    error: String,
    stdout: String,
    stderr: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunningStatus {
    jobs: Vec<JobStatus>,
    requests: BTreeMap<String, Request>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JobStatus {
    request_id: String,
    job_id: String,
    r#type: String,
    name: String,
    started_at: i64,
    state: u8,
    #[serde(default)]
    status: String,
    r#try: u64,
}

/// States as spinc knows them, by number.
const RUNNING: u8 = 2;
const COMPLETE: u8 = 3;
const STOPPED: u8 = 6;

/// One `spinc`, pointed at one node.
struct Spinc(Wire);

impl Spinc {
    /// Makes a call as Go's HTTP client does.
    async fn call(&mut self, method: &str, path: &str, body: Option<Value>) -> Vec<u8> {
        let asked = Instant::now();
        let headers = [
            ("User-Agent", "Go-http-client/1.1"),
            ("Accept-Encoding", "gzip"),
            ("Content-Type", "application/json; charset=utf-8"),
        ];
        let text = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let sent = if text.is_empty() { &headers[..2] } else { &headers[..] };
        let answer = self.0.call(method, path, sent, &text).await.unwrap();
        assert!(matches!(answer.status, 200 | 201), "{method} {path}: {answer:?}");
        assert!(asked.elapsed() < TIMEOUT, "{method} {path} took {:?}", asked.elapsed());
        assert_eq!(answer.header("x-spincycle-version"), Some("2.1.1"));
        assert_eq!(answer.header("content-encoding"), None, "nothing is compressed that need not be");
        answer.body
    }

    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> T {
        let body = self.call("GET", path, None).await;
        serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{path}: {error} in {}", String::from_utf8_lossy(&body)))
    }

    async fn request(&mut self, id: &str) -> Request {
        self.get(&format!("/api/v1/requests/{id}")).await
    }

    /// `spinc start NAME k=v`, its args all texts.
    async fn start(&mut self, name: &str, args: Value) -> String {
        let list: Vec<RequestSpec> = self.get("/api/v1/request-list").await;
        assert!(list.iter().any(|request| request.name == name), "Unknown request: {name}");
        let body = self.call("POST", "/api/v1/requests", Some(json!({ "type": name, "args": args }))).await;
        serde_json::from_slice::<Request>(&body).unwrap().id
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spinc_works_against_any_node_unchanged() {
    let mut cluster = Cluster::start().await;
    let mut spinc = [1, 2, 3].map(|node| Spinc(Wire::to(cluster.node(node).http)));

    // spinc; spinc help test
    let list: Vec<RequestSpec> = spinc[0].get("/api/v1/request-list").await;
    let names: Vec<_> = list.iter().map(|request| request.name.as_str()).collect();
    assert!(names.is_sorted() && names.contains(&"test"), "{names:?}");
    let arg = &list.iter().find(|request| request.name == "test").unwrap().args[0];
    assert_eq!((&*arg.name, &*arg.r#type, arg.default.as_deref()), ("sleepTime", "optional", Some("1000")));
    assert_eq!((arg.pos, arg.given, &arg.value), (0, false, &Value::Null));

    // spinc start test sleepTime=700, then ps, status and running at another node
    let id = spinc[1].start("test", json!({ "sleepTime": "700" })).await;
    let status: RunningStatus = until("the sleeps to run", async || {
        let status: RunningStatus = spinc[2].get("/api/v1/status/running").await;
        status.jobs.iter().any(|job| job.request_id == id && job.name == "wait").then_some(status)
    })
    .await;
    let job = status.jobs.iter().find(|job| job.name == "wait").unwrap();
    assert_eq!((&*job.r#type, job.state, job.r#try, &*job.status), ("sleep", RUNNING, 1, "sleeping"));
    assert!(job.started_at > 0 && job.job_id.len() == 4, "{job:?}");
    assert_eq!((&*status.requests[&id].r#type, status.requests[&id].total_jobs), ("test", 15));
    let of_one: RunningStatus = spinc[0].get(&format!("/api/v1/status/running?requestId={id}")).await;
    assert!(of_one.jobs.iter().all(|job| job.request_id == id));
    let request = spinc[0].request(&id).await;
    assert_eq!(request.state, RUNNING);
    assert!(request.jr_url.starts_with("http://") && request.started_at.is_some(), "{request:?}");

    // spinc info and log, when it has ended
    let request = until("the request to end", async || {
        let request = spinc[2].request(&id).await;
        (request.state == COMPLETE).then_some(request)
    })
    .await;
    assert_eq!((request.finished_jobs, request.total_jobs, &*request.user), (15, 15, ""));
    assert!(request.finished_at.is_some() && request.jr_url.is_empty() && request.job_chain.is_some());
    assert!(request.created_at.ends_with('Z'), "{}", request.created_at);
    let given: Vec<_> = request.args.iter().map(|arg| (&*arg.name, arg.value.clone(), &*arg.desc)).collect();
    assert_eq!(given[0].0, "sleepTime");
    assert_eq!(given[0].1, "700");
    let log: Vec<JobLog> = spinc[0].get(&format!("/api/v1/requests/{id}/log")).await;
    assert_eq!(log.len(), 15);
    for entry in &log {
        assert_eq!((&*entry.request_id, entry.state, entry.exit, entry.r#try), (&*id, COMPLETE, 0, 1));
        assert!(entry.finished_at >= entry.started_at && entry.started_at > 0, "{entry:?}");
        assert!([&entry.error, &entry.stdout, &entry.stderr].iter().all(|text| text.is_empty()));
        assert!(!entry.job_id.is_empty() && !entry.name.is_empty() && !entry.r#type.is_empty());
    }

    // spinc stop
    let id = spinc[0].start("test", json!({ "sleepTime": "60000" })).await;
    let empty = spinc[2].call("PUT", &format!("/api/v1/requests/{id}/stop"), None).await;
    assert_eq!(empty, b"");
    assert_eq!(spinc[1].request(&id).await.state, STOPPED);

    // spinc find type=test states=complete,stopped limit=2; and one that finds nothing
    let found: Vec<Request> =
        spinc[1].get("/api/v1/requests?limit=2&state=COMPLETE&state=STOPPED&type=test").await;
    assert_eq!(found.iter().map(|request| request.state).collect::<Vec<_>>(), [STOPPED, COMPLETE]);
    let none: Vec<Request> = spinc[1].get("/api/v1/requests?limit=10&type=none").await;
    assert!(none.is_empty());
    let idle: RunningStatus = spinc[1].get("/api/v1/status/running").await;
    assert!(idle.jobs.is_empty() && idle.requests.is_empty());
    cluster.end().await;
}
