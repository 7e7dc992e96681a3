//! What is no proper call: every case is answered with what was wrong, or its connection closed, and harms nobody.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::time::{Instant, timeout};

use crate::{
    harness::{Cluster, wire::Wire},
    writers::Writers,
};

/// How long an answer may take, or a connection that gets none stay open.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How many connections are opened and left alone.
const IDLE: usize = 1_000;
/// How long the head of a call may take, as the server sees it, and how long until it looks.
const HEAD_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(2);

const VARIABLE: &str = "/cluster/v1/variables/a";
const REQUESTS: &str = "/api/v1/requests";
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// The end of a connection without an answer, where a case expects a status.
const CLOSED: u16 = 0;

struct Case {
    what: String,
    bytes: Vec<u8>,
    /// What may come back.
    expected: &'static [u16],
}

fn case(what: impl Into<String>, bytes: Vec<u8>, expected: &'static [u16]) -> Case {
    Case { what: what.into(), bytes, expected }
}

/// A call that is well framed at least.
fn call(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: capstan\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

fn chunked(method: &str, path: &str, headers: &str, bytes: usize) -> Vec<u8> {
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: capstan\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");
    let chunk = [b"1000\r\n", vec![b'x'; 0x1000].as_slice(), b"\r\n"].concat();
    [head.into_bytes(), chunk.repeat(bytes.div_ceil(0x1000)), b"0\r\n\r\n".to_vec()].concat()
}

fn bodies() -> Vec<Case> {
    let post = |body: &[u8]| call("POST", REQUESTS, &[JSON], body);
    let deep =
        [b"{\"type\":\"test\",\"args\":{\"sleepTime\":".as_slice(), &b"[".repeat(100_000), b"}}"].concat();
    let closed_deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let many = format!("{{\"type\":\"test\",\"args\":{{{}\"z\":1}}}}", "\"a\":1,".repeat(100_000));
    let long_name = format!("{{\"type\":\"{}\"}}", "t".repeat(100_000));
    let declared = |path: &str, bytes: u64| {
        let method = if path == REQUESTS { "POST" } else { "PUT" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: capstan\r\nContent-Length: {bytes}\r\nExpect: 100-continue\r\n"
        );
        format!("{head}Content-Type: application/json\r\n\r\n").into_bytes()
    };
    vec![
        case("a body that is no JSON", post(b"no json"), &[400]),
        case("JSON that ends early", post(b"{\"type\":\"test\""), &[400]),
        case("JSON of another shape", post(b"[1,2,3]"), &[400]),
        case("a type that is a number", post(b"{\"type\":7}"), &[400]),
        case("args that are a list", post(b"{\"type\":\"test\",\"args\":[]}"), &[400]),
        case("JSON 100,000 levels deep, never closed", post(&deep), &[400]),
        case("JSON 100,000 levels deep", post(&closed_deep), &[400]),
        case("100,000 args of one name, and one unknown", post(many.as_bytes()), &[201, 400]),
        case("an unknown type of 100,000 letters", post(long_name.as_bytes()), &[400]),
        case("NUL in the body", post(b"{\"type\":\"te\0st\"}"), &[400]),
        case("NUL as JSON writes it", post(b"{\"type\":\"te\\u0000st\"}"), &[400]),
        case("half a surrogate pair", post(b"{\"type\":\"\\ud800\"}"), &[400]),
        case("bytes that are not UTF-8", post(b"{\"type\":\"\xff\xfe\"}"), &[400]),
        case("no body", post(b""), &[400]),
        case("no content type", call("POST", REQUESTS, &[], b"{\"type\":\"test\"}"), &[415]),
        case("content type text", call("POST", REQUESTS, &[("Content-Type", "text/plain")], b"{}"), &[415]),
        case("a value of 64 KiB and one byte", call("PUT", VARIABLE, &[], &[0; 65_537]), &[413]),
        case("a value of 64 KiB and one byte, chunked", chunked("PUT", VARIABLE, "", 65_537), &[413]),
        case("a value of 100 TB, announced", declared(VARIABLE, 100_000_000_000_000), &[413]),
        case("a request of 2 MiB", call("POST", REQUESTS, &[JSON], &vec![b' '; 2 << 20]), &[413]),
        case(
            "a request of 2 MiB, chunked",
            chunked("POST", REQUESTS, "Content-Type: application/json\r\n", 2 << 20),
            &[413],
        ),
        case("a request of 100 TB, announced", declared(REQUESTS, 100_000_000_000_000), &[413]),
    ]
}

fn framing() -> Vec<Case> {
    let raw = |text: &str| text.as_bytes().to_vec();
    let long_path = call("GET", &format!("/{}", "a".repeat(20_000)), &[], b"");
    let long_header = call("GET", VARIABLE, &[("X-Long", &"a".repeat(1_000_000))], b"");
    let many_headers = call("GET", VARIABLE, &vec![("X-Many", "1"); 500], b"");
    vec![
        case("bytes that are no HTTP", vec![0xff, 0x00, 0x13, 0x37, 0x0d, 0x0a, 0x0d, 0x0a], &[400]),
        case(
            "a TLS greeting",
            vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03],
            &[400, CLOSED],
        ),
        case("the preface of HTTP/2", raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), &[400, CLOSED]),
        case("HTTP/3.7", raw("GET /health HTTP/3.7\r\n\r\n"), &[400]),
        case("no version", raw("GET /health\r\n\r\n"), &[400]),
        case(
            "NUL in the path",
            raw("GET /cluster/v1/variables/a\0b HTTP/1.1\r\nHost: capstan\r\n\r\n"),
            &[400],
        ),
        case("NUL in a header", raw("GET /health HTTP/1.1\r\nX: a\0b\r\n\r\n"), &[400]),
        case("a header without a colon", raw("GET /health HTTP/1.1\r\nnonsense\r\n\r\n"), &[400]),
        case("a path of 20,000 letters", long_path, &[414]),
        case("a header of a million letters", long_header, &[431]),
        case("500 headers", many_headers, &[431]),
        case(
            "a length that is a word",
            raw("PUT /cluster/v1/variables/a HTTP/1.1\r\nContent-Length: many\r\n\r\n"),
            &[400],
        ),
        case(
            "a negative length",
            raw("PUT /cluster/v1/variables/a HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
            &[400],
        ),
        case(
            "two lengths",
            raw("PUT /cluster/v1/variables/a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            &[400],
        ),
        case(
            "a chunk whose size is a word",
            raw("PUT /cluster/v1/variables/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n"),
            &[400],
        ),
        case(
            "a coding nobody knows",
            raw("PUT /cluster/v1/variables/a HTTP/1.1\r\nTransfer-Encoding: rot13\r\n\r\nabc"),
            &[400],
        ),
    ]
}

fn paths_and_methods() -> Vec<Case> {
    let mut cases = Vec::new();
    for prefix in [
        "/",
        "/nowhere",
        "/cluster",
        "/cluster/v1/nowhere",
        "/api",
        "/api/v1/nowhere",
        "/api/v9/requests",
        "/v1/nowhere",
        "/metrics/x",
        "//",
        "/cluster/v1/../v1/status",
    ] {
        cases.push(case(format!("GET {prefix}"), call("GET", prefix, &[], b""), &[404]));
    }
    for (method, path) in [
        ("POST", VARIABLE),
        ("PATCH", VARIABLE),
        ("DELETE", "/cluster/v1/status"),
        ("PUT", "/health"),
        ("POST", "/metrics"),
        ("PUT", REQUESTS),
        ("BREW", REQUESTS),
        ("OPTIONS", "/version"),
        ("TRACE", "/ready"),
    ] {
        cases.push(case(format!("{method} {path}"), call(method, path, &[], b""), &[405]));
    }
    let names =
        ["%", "%zz", "%f", "a%2Fb", "%00", "%ff", "%E2%82", "a%20b", "a,b", "%C3%A9", "..%2f..%2fetc"];
    for name in names {
        let path = format!("/cluster/v1/variables/{name}");
        cases.push(case(format!("PUT …/variables/{name}"), call("PUT", &path, &[], b"v"), &[400]));
    }
    let long = format!("/cluster/v1/variables/{}", "n".repeat(257));
    cases.push(case("a name of 257 letters", call("PUT", &long, &[], b"v"), &[400]));
    for id in ["x", "%00", "0123456789abcdefghijk", "ZZZZZZZZZZZZZZZZZZZZ", "%ff"] {
        let path = format!("{REQUESTS}/{id}");
        cases.push(case(format!("GET …/requests/{id}"), call("GET", &path, &[], b""), &[400, 404]));
    }
    for query in ["limit=0", "limit=-1", "limit=x", "limit=99999999999999999999", "consistency=sometimes"] {
        let path = format!("/cluster/v1/variables?{query}");
        cases.push(case(format!("GET …/variables?{query}"), call("GET", &path, &[], b""), &[400]));
    }
    for query in ["state=SLEEPING", "since=yesterday", "limit=x", "limit=1&offset=-1"] {
        let path = format!("{REQUESTS}?{query}");
        cases.push(case(format!("GET …/requests?{query}"), call("GET", &path, &[], b""), &[400]));
    }
    cases
}

fn headers() -> Vec<Case> {
    let put = |name: &str, value: &str| call("PUT", VARIABLE, &[(name, value)], b"v");
    let mut cases = Vec::new();
    for tag in ["7", "W/\"7\"", "\"7\", \"8\"", "*", "", "\"7"] {
        cases.push(case(format!("If-Match: {tag}"), put("If-Match", tag), &[400]));
    }
    for tag in ["\"99999999999999999999\"", "\"seven\"", "\"-1\""] {
        cases.push(case(format!("If-Match: {tag}"), put("If-Match", tag), &[412]));
    }
    cases.push(case("If-None-Match: \"7\"", put("If-None-Match", "\"7\""), &[400]));
    let both = call("PUT", VARIABLE, &[("If-Match", "\"1\""), ("If-None-Match", "*")], b"v");
    cases.push(case("If-Match and If-None-Match", both, &[400]));
    for index in ["x", "-1", "1.5", "18446744073709551616", ""] {
        let get = call("GET", VARIABLE, &[("X-Capstan-Index", index)], b"");
        cases.push(case(format!("X-Capstan-Index: {index}"), get, &[400]));
    }
    let far = call("GET", VARIABLE, &[("X-Capstan-Index", "18446744073709551615")], b"");
    cases.push(case("X-Capstan-Index: 2^64 - 1, which nobody reaches", far, &[503]));
    for (what, key) in [
        ("empty", String::new()),
        ("with a blank", "a b".into()),
        ("of 256 letters", "k".repeat(256)),
        ("not ASCII", "schlüssel".into()),
    ] {
        cases.push(case(format!("an Idempotency-Key {what}"), put("Idempotency-Key", &key), &[400]));
    }
    let twice = call("PUT", VARIABLE, &[("Idempotency-Key", "a"), ("Idempotency-Key", "b")], b"v");
    cases.push(case("two Idempotency-Keys", twice, &[400]));
    let key = ("Idempotency-Key", "the-same");
    cases.push(case("a key", call("PUT", VARIABLE, &[key], b"one"), &[200, 201]));
    cases.push(case("the same key and body", call("PUT", VARIABLE, &[key], b"one"), &[200, 201]));
    cases.push(case("the same key, another body", call("PUT", VARIABLE, &[key], b"two"), &[422]));
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_proper_call_is_told_why_and_harms_nobody() {
    let mut cluster = Cluster::start().await;
    put_variable(&mut cluster).await;
    let cases = [bodies(), framing(), paths_and_methods(), headers()];
    let mut wrong = Vec::new();
    println!("{:<50} | came back", "sent");
    for (number, case) in cases.into_iter().flatten().enumerate() {
        let node = number as u64 % 3 + 1;
        let (status, body) = answer_to(&mut cluster, node, &case.bytes).await;
        let shown = if status == CLOSED { "closed".to_owned() } else { format!("{status} {body}") };
        println!("{:<50} | {}", case.what, shown.trim_end().chars().take(150).collect::<String>());
        if !case.expected.contains(&status) {
            wrong.push(format!("{}: {shown}, expected {:?}", case.what, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    put_variable(&mut cluster).await;
    cluster.all_live_on().await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_and_slow_connections_keep_nobody_waiting() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let mut cluster = Cluster::start().await;
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        let mut wire = Wire::to(cluster.node(1).http);
        wire.send(b"").await.unwrap();
        idle.push(wire);
    }
    let mut slow = Wire::to(cluster.node(1).http);
    let begun = Instant::now();
    slow.send(b"GET /health HTTP/1.1\r\n").await.unwrap();

    let writers = Writers::start(&cluster, 8);
    writers.progress(500).await;
    // A letter now and then buys no time.
    let closed_after = loop {
        let sent = slow.send(b"X").await;
        let answer = timeout(Duration::from_millis(500), slow.answer(false)).await;
        if sent.is_err() || matches!(answer, Ok(Err(_))) {
            break begun.elapsed();
        }
        assert!(answer.is_err(), "half a call was answered: {answer:?}");
        assert!(begun.elapsed() < ANSWER_MAX, "a head that never ends is still waited for");
    };
    assert!(closed_after >= HEAD_MAX, "closed after {closed_after:?}");
    let summary = writers.stop_and_verify().await;
    println!(
        "{IDLE} idle connections to one node: {summary}; a head letter by letter: closed after {closed_after:.1?}, bound {:?}",
        HEAD_MAX + LOOK_EVERY
    );
    for wire in &mut idle {
        let answer = wire.call("GET", "/health", &[], b"").await.unwrap();
        assert_eq!(answer.status, 200);
    }
    cluster.end().await;
}

async fn put_variable(cluster: &mut Cluster) {
    let answer = Wire::to(cluster.node(1).http).call("PUT", VARIABLE, &[], b"value").await.unwrap();
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
}

/// What comes back on a connection of its own: status and body, or [`CLOSED`].
async fn answer_to(cluster: &mut Cluster, node: u64, bytes: &[u8]) -> (u16, String) {
    let mut wire = Wire::to(cluster.node(node).http);
    // A server may answer, and close, before it has read everything.
    let _ = wire.send(bytes).await;
    match timeout(ANSWER_MAX, wire.answer(false)).await.expect("an answer, or the end of the connection") {
        Ok(answer) => (answer.status, answer.text()),
        Err(_) => (CLOSED, String::new()),
    }
}
