//! Calls to a node's HTTP API, whatever their paths, parameters, headers and bodies: each has an answer in the shape of its
//! surface, and none is a bug.

mod node;

use bytes::Bytes;
use capstan_api::AnswerBody;
use futures::StreamExt;
use http::{Request, Response, StatusCode, Uri, header::RETRY_AFTER};

use self::node::Node;
use crate::{Seed, Target, Verdict, runtime};

pub(crate) const TARGET: Target = Target { name: "http_api", run, seeds };

/// How many calls of one input are made.
const CALLS_MAX: usize = 10;
/// Ends a call in an input.
const END: u8 = 0;
/// Stands for the request that was created last.
const NEWEST: &str = "{id}";

/// An input is one call after another: a line with method and path, lines with headers, an empty line, a body.
fn run(input: &[u8]) -> Verdict {
    runtime::block_on(async {
        let node = Node::start().await;
        let mut newest = None;
        let mut understood = false;
        for call in input.split(|byte| *byte == END).take(CALLS_MAX) {
            let Some(call) = parse(call, newest.as_deref()) else { continue };
            let shown = format!("{} {}", call.method(), call.uri());
            let answer = whole(node.api.open(call).await).await;
            check(&shown, &answer);
            understood |= answer.status().is_success();
            newest = created(&answer).or(newest);
        }
        Verdict::of(understood)
    })
}

/// Reads one call, if the parts of it could have come over a connection.
fn parse(call: &[u8], newest: Option<&str>) -> Option<Request<Bytes>> {
    let (head, body) = match call.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&call[..at], &call[at + 2..]),
        None => (call, &b""[..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, path) = first.split_once(' ')?;
    let path = newest.map_or_else(|| path.to_owned(), |newest| path.replace(NEWEST, newest));
    let uri = path.parse::<Uri>().ok().filter(|uri| uri.path().starts_with('/'))?;
    let mut request = Request::builder().method(method).uri(uri);
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..at], line[at + 1..].trim_ascii());
    }
    request.body(Bytes::copy_from_slice(body)).ok()
}

/// Reads the body, but of a stream nothing: it would go on for ever.
async fn whole(answer: Response<AnswerBody>) -> Response<Bytes> {
    let (parts, mut body) = answer.into_parts();
    let piece = if body.is_whole() { body.next().await } else { None };
    let bytes = piece.transpose().expect("what is whole is not broken off").unwrap_or_default();
    Response::from_parts(parts, bytes)
}

/// Nothing that a caller sends is a bug of the node's, and what passes says so.
fn check(call: &str, answer: &Response<Bytes>) {
    let status = answer.status();
    if status.is_server_error() {
        let passes = status == StatusCode::SERVICE_UNAVAILABLE && answer.headers().contains_key(RETRY_AFTER);
        assert!(passes, "{call}: {status}: {:?}", answer.body());
    }
    if !status.is_success() && !call.starts_with("HEAD ") {
        assert!(!answer.body().is_empty(), "{call}: {status} without a word");
    }
}

/// The id of the request that an answer says was created.
fn created(answer: &Response<Bytes>) -> Option<String> {
    let location = answer.headers().get(http::header::LOCATION)?.to_str().ok()?;
    location.rsplit('/').next().map(str::to_owned)
}

fn seeds() -> Vec<Seed> {
    let json = "Content-Type: application/json";
    let post = |body: &str| format!("POST /api/v1/requests\n{json}\n\n{body}");
    let create = post(r#"{"type":"sleeper","args":{"ms":"5","note":null}}"#);
    let expanded = post(r#"{"type":"expanded","args":{"l":["a","b"]}}"#);
    let desire = "POST /v1/desired_lrps\n\n".to_owned()
        + r#"{"process_guid":"p","domain":"d","rootfs":"preloaded:x","instances":1,"env":[{"name":"A","value":"<"}],
"setup":{"serial":{"actions":[{"download":{"from":"f","to":"t","user":"u"}},{"try":{"action":{"upload":{"from":"f","to":"t","user":"u"}}}}]}},
"action":{"run":{"path":"p","args":["a"],"user":"u","resource_limits":{"nofile":1}},"parallel":{"actions":[null]}},
"monitor":{"timeout":{"action":{"emit_progress":{"action":{"run":{"path":"p","user":"u"}}}},"timeout":1}},
"start_timeout":1,"disk_mb":1,"memory_mb":1,"cpu_weight":100,"privileged":true,"ports":[1,65535],"routes":{"r":{"a": [1e5]}},
"egress_rules":[{"protocol":"tcp","destinations":["1.1.1.1-2.2.2.2","::/0"],"port_range":{"start":1,"end":2}},{"protocol":"icmp","destinations":["::1"],"icmp_info":{"type":-1,"code":0}}]}"#;
    let task = "POST /v1/tasks\n\n".to_owned()
        + r#"{"TASK_GUID":"t","domain":"d","rootfs":"docker:///x","action":{"run":{"path":"p","user":"u"}},"completion_callback_url":"/cb"}"#;
    let calls = |name, calls: &[&str]| Seed::new(name, calls.join("\0"));
    vec![
        calls(
            "variables",
            &[
                "PUT /cluster/v1/variables/a\nIf-None-Match: *\nIdempotency-Key: k\n\nvalue",
                "PUT /cluster/v1/variables/a\nIf-Match: \"1\"\n\nother",
                "GET /cluster/v1/variables/a\nX-Capstan-Index: 3",
                "GET /cluster/v1/variables?prefix=a&limit=10&after=%61",
                "DELETE /cluster/v1/variables/a",
            ],
        ),
        calls(
            "request",
            &[
                &create,
                "GET /api/v1/requests/{id}",
                "GET /api/v1/requests/{id}/job-chain",
                "GET /api/v1/requests/{id}/log",
                "GET /api/v1/requests/{id}/log/a0B1",
                "GET /api/v1/status/running?requestId={id}",
                "PUT /api/v1/requests/{id}/stop",
                "PUT /api/v1/requests/{id}/start",
            ],
        ),
        calls(
            "history",
            &[
                &create,
                "GET /api/v1/requests?arg=host%3Ddb7&since=2026-11-20T14:16:53Z&limit=1&after=7-9m4e2mr0ui3e8a215n4g",
                "GET /cluster/v1/requests/export?logs=true&until=2026-11-20T14:16:53Z",
                "GET /cluster/v1/settings",
                "PUT /cluster/v1/settings/archive_days\n\n7",
            ],
        ),
        calls(
            "expanded",
            &[
                &expanded,
                "GET /api/v1/requests/{id}/job-chain",
                "GET /api/v1/requests?type=expanded&state=RUNNING&limit=2&offset=0",
            ],
        ),
        calls(
            "lists",
            &[
                &create,
                "GET /api/v1/requests?state=PENDING&state=RUNNING&user=&args=ms%3D5&since=2020-01-02T03:04:05Z&until=2030-01-01T00:00:00.5Z",
                "GET /api/v1/requests?limit=1&offset=1",
                "GET /api/v1/request-list",
            ],
        ),
        calls(
            "lrps",
            &[
                &desire,
                "GET /v1/desired_lrps/p",
                "PUT /v1/desired_lrps/p\nIf-Match: *\n\n{\"instances\":2,\"routes\":{\"r\":[ 1 ]},\"annotation\":null}",
                "GET /v1/desired_lrps?domain=d&limit=1&after=a",
                "GET /v1/actual_lrps?limit=1&after=p/0",
                "GET /v1/actual_lrps/p/index/+1",
                "GET /v1/actual_lrps/p/index/0/logs?tail=5&stream=stderr&since=2020-01-02T03:04:05Z",
                "GET /v1/events\nLast-Event-ID: 999-0",
                "DELETE /v1/actual_lrps/p/index/0\n\nnull",
                "DELETE /v1/desired_lrps/p",
            ],
        ),
        calls(
            "tasks",
            &[
                &task,
                "GET /v1/tasks/t",
                "GET /v1/tasks?domain=d",
                "POST /v1/tasks/t/cancel",
                "DELETE /v1/tasks/t",
                "PUT /v1/domains/d\nCache-Control: max-age=60",
                "GET /v1/domains",
                "GET /cluster/v1/events?kind=task,lrp\nLast-Event-ID: 1-0",
                "POST /v1/auth_cookie\nAuthorization: Basic dTpw",
            ],
        ),
        calls(
            "node",
            &[
                "GET /health",
                "GET /ready",
                "GET /metrics",
                "GET /version",
                "GET /cluster/v1/status",
                "POST /cluster/v1/nodes/1/drain",
                "POST /cluster/v1/nodes/1/undrain",
            ],
        ),
        calls(
            "form",
            &["POST /api/v1/requests\nContent-Type: application/x-www-form-urlencoded\n\ntype=one&x=1"],
        ),
    ]
}
