//! Golden transcripts: every `.txt` here shows how a part of the surface answers.
//!
//! A line is a call: method, path, `body=` or `bytes=` (so many), and headers as `Name=value`. The output is the status, the
//! headers in order and the body. Moments are shown as `<time>`. Jobs run when the script says so:
//! `finish JOB` ends its try, `retry` starts the next of the one that failed; [`cells::act`] says how LRPs and tasks come to run.
//! `follow NAME PATH` opens a stream of events, with headers as a call has them, and `events NAME COUNT` shows what comes next of it, with
//! the numbers of log entries hidden. `wrote KEY NODE TEXT` adds a line to the output of an index on a node, `complained` to its standard
//! error.
//! `UPDATE_GOLDENFILES=1` records; read what was recorded.

use std::{collections::BTreeMap, error::Error, fmt::Write, path::Path, sync::atomic::Ordering};

use bytes::Bytes;
use capstan_api::{Access, Credentials};
use capstan_model::{
    command::Command as Proposal,
    rejection::Rejection,
    time::Timestamp,
    workflow::{
        command::{FinishTry, StartRetry, TryEnd, TryReport},
        json::JsonMap,
        output::{Output, Tail},
    },
};
use capstan_raft_store::{handle::ProposeOptions, peer::OutputStream};
use goldenscript::{Command, Context};
use http::{HeaderMap, Request, Response};
use tokio::runtime::Runtime;

use crate::{cells, node::TestNode, streams::Blocks};

/// Runs one script against one node.
struct Script {
    runtime: Runtime,
    node: TestNode,
    streams: BTreeMap<String, Blocks>,
}

#[test]
fn variables() {
    run("variables");
}

#[test]
fn specs() {
    run("specs");
}

#[test]
fn conditions() {
    run("conditions");
}

#[test]
fn idempotency() {
    run("idempotency");
}

#[test]
fn malformed_calls() {
    run("malformed_calls");
}

#[test]
fn routes() {
    run("routes");
}

#[test]
fn requests() {
    run("requests");
}

#[test]
fn refused_requests() {
    run("refused_requests");
}

#[test]
fn request_lists() {
    run("request_lists");
}

#[test]
fn node_state() {
    run("node_state");
}

#[test]
fn desired_lrps() {
    run("desired_lrps");
}

#[test]
fn refused_lrps() {
    run("refused_lrps");
}

#[test]
fn actual_lrps() {
    run("actual_lrps");
}

#[test]
fn domains_and_cells() {
    run("domains_and_cells");
}

#[test]
fn lrp_events() {
    run("lrp_events");
}

#[test]
fn cluster_events() {
    run("cluster_events");
}

#[test]
fn instance_output() {
    run("instance_output");
}

#[test]
fn cells_and_explanations() {
    run("cells_and_explanations");
}

#[test]
fn tasks() {
    run("tasks");
}

#[test]
fn receptor_routes() {
    run("receptor_routes");
}

#[test]
fn receptor_access() {
    let credentials = Credentials { username: "u".to_owned(), password: "p".to_owned() };
    run_guarded("receptor_access", Access { credentials: Some(credentials), cors: true });
}

fn run(script: &str) {
    run_guarded(script, Access::default());
}

fn run_guarded(script: &str, access: Access) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let node = runtime.block_on(TestNode::guarded(access));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http").join(script).with_extension("txt");
    goldenscript::run(&mut Script { runtime, node, streams: BTreeMap::new() }, path).unwrap();
}

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        match command.name.as_str() {
            "finish" => self.finish(command),
            "retry" => self.retry(),
            "drain" => {
                self.node.draining.store(true, Ordering::Relaxed);
                Ok(String::new())
            }
            "follow" => self.follow(command),
            "events" => self.events(command),
            "wrote" => self.write(command, OutputStream::Stdout),
            "complained" => self.write(command, OutputStream::Stderr),
            "announce" | "place" | "unplaced" | "run" | "crash" | "gone" | "do" | "done" | "failed" => {
                self.runtime.block_on(cells::act(&self.node.cluster, command))?;
                Ok(String::new())
            }
            method if method.bytes().all(|b| b.is_ascii_uppercase()) => self.call(method, command),
            other => Err(format!("unknown command {other}").into()),
        }
    }
}

impl Script {
    fn call(&self, method: &str, command: &Command) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let path = args.next_pos().ok_or("a call needs a path")?;
        let mut request = Request::builder().method(method).uri(path);
        let mut body = Bytes::new();
        while let Some((name, value)) = args.next_key() {
            match name {
                "body" => body = value.to_owned().into(),
                "bytes" => body = vec![b'x'; value.parse()?].into(),
                header => request = request.header(header, value),
            }
        }
        args.reject_next()?;
        let response = self.runtime.block_on(self.node.api.call(request.body(body)?));
        check_common_headers(path, response.headers());
        Ok(format!("{method} {path} → {}", shown(&response)))
    }

    /// Opens a stream of events.
    fn follow(&mut self, command: &Command) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let name = args.next_pos().ok_or("a stream needs a name")?;
        let path = args.next_pos().ok_or("a stream needs a path")?;
        let mut request = Request::get(path);
        while let Some((header, value)) = args.next_key() {
            request = request.header(header, value);
        }
        args.reject_next()?;
        let answer = self.runtime.block_on(self.node.api.open(request.body(Bytes::new())?));
        check_common_headers(path, answer.headers());
        let (parts, body) = answer.into_parts();
        let shown = shown(&Response::from_parts(parts, Bytes::new()));
        self.streams.insert(name.to_owned(), Blocks::new(body));
        Ok(format!("GET {path} → {shown}"))
    }

    /// Reads on from a stream.
    fn events(&mut self, command: &Command) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let stream = args.next_pos().and_then(|name| self.streams.get_mut(name)).ok_or("which stream")?;
        let count: usize = args.next_pos().ok_or("how many events")?.parse()?;
        args.reject_next()?;
        let mut text = String::new();
        for _ in 0..count {
            let event = self.runtime.block_on(stream.event());
            let (_, ordinal) = event.id.split_once('-').ok_or("an id has two numbers")?;
            writeln!(text, "<index>-{ordinal} {}\n  {}", event.name, masked(&event.data))?;
        }
        Ok(text)
    }

    fn write(&self, command: &Command, stream: OutputStream) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let key = cells::key(args.next_pos().ok_or("of which index")?)?;
        let node = args.next_pos().ok_or("on which node")?.parse()?;
        self.node.output.write(node, key, stream, args.next_pos().ok_or("what")?);
        args.reject_next()?;
        Ok(String::new())
    }

    /// Reports the end of the running try of a job.
    fn finish(&self, command: &Command) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let job = args.next_pos().ok_or("which job ends")?;
        let end = match args.next_pos() {
            None => TryEnd::Complete,
            Some("fail") => TryEnd::Failed,
            Some("stopped") => TryEnd::Stopped,
            Some(other) => return Err(format!("a try does not end {other}").into()),
        };
        args.reject_next()?;
        let view = self.node.cluster.view();
        let mut running = view.state().running_under(self.node.cluster.incarnation());
        let id = running.find(|running| *running.spec.name == *job).map(|running| running.id);
        let failed = end == TryEnd::Failed;
        let report = TryReport {
            end,
            exit: i64::from(failed),
            error: if failed { "exit status 1" } else { "" }.into(),
            stdout: Output::new(Tail { bytes: b"out <1>\n", dropped: 0 }, 1_024),
            stderr: Output::default(),
            started_at: Timestamp(1_000_000_000),
            finished_at: Timestamp(2_000_000_000),
            job_data: JsonMap::default(),
        };
        let finish = FinishTry { id: id.ok_or("no such job runs")?, report };
        self.propose(Proposal::FinishTry(Box::new(finish)))?;
        Ok(String::new())
    }

    /// Starts the next try of the one job that waits for it, as soon as log time has come there.
    fn retry(&self) -> Result<String, Box<dyn Error>> {
        let view = self.node.cluster.view();
        let waiting = view.state().requests.retries_under(self.node.cluster.incarnation()).next();
        let id = waiting.ok_or("no job waits for its next try")?.id;
        loop {
            match self.propose(Proposal::StartRetry(StartRetry { id })) {
                Err(Rejection::NothingDue { .. }) => {}
                other => return Ok(other.map(|()| String::new())?),
            }
        }
    }

    fn propose(&self, proposal: Proposal) -> Result<(), Rejection> {
        let committing = self.node.cluster.propose(proposal, ProposeOptions::progress());
        self.runtime.block_on(committing).unwrap().reply.map(drop)
    }
}

/// What holds for every answer: its log index, and Spin Cycle's version exactly on its part of the surface.
fn check_common_headers(path: &str, headers: &HeaderMap) {
    let index =
        headers.get("x-capstan-index").and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    assert!(index.is_some_and(|index| index > 0), "{path}: {headers:?}");
    let of_spin_cycle = path.starts_with("/api/") || path == "/api" || path == "/version";
    assert_eq!(headers.get("x-spincycle-version").is_some(), of_spin_cycle, "{path}");
}

fn shown(response: &Response<Bytes>) -> String {
    let mut text = format!("{}\n", response.status());
    let common = ["x-capstan-index", "x-spincycle-version"];
    let headers = response.headers().iter().filter(|(name, _)| !common.contains(&name.as_str()));
    let mut headers: Vec<_> =
        headers.map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap())).collect();
    headers.sort();
    text.extend(headers);
    let body = match std::str::from_utf8(response.body()) {
        Ok(body) if body.len() <= 8_192 => masked(body.strip_suffix('\n').unwrap_or(body)),
        _ => format!("<{} bytes>", response.body().len()),
    };
    if !body.is_empty() {
        writeln!(text, "{body}").unwrap();
    }
    text
}

/// Hides what the clock decides: quoted times, and numbers that are nanoseconds of this century.
fn masked(body: &str) -> String {
    let mut shown = String::new();
    let mut rest = body;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let moment = |c: char| c.is_ascii_digit() || matches!(c, '-' | 'T' | ':' | '.' | 'Z');
        let len = from.find(|c| !moment(c)).unwrap_or(from.len());
        let text = &from[..len];
        let is_time = text.starts_with("20") && text.as_bytes().get(10) == Some(&b'T') && text.ends_with('Z');
        let is_nanos = len == 19 && text.bytes().all(|b| b.is_ascii_digit());
        shown.push_str(before);
        shown.push_str(if is_time || is_nanos { "<time>" } else { text });
        rest = &from[len..];
    }
    shown + rest
}
