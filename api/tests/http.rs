//! Golden transcripts: every file in `http/` shows how a part of the surface answers, over a real cluster of one voter.
//!
//! A line is a call: method, path, `body=` or `bytes=` (so many), and headers as `Name=value`. The output is the status, the
//! headers in order and the body. What differs from run to run is shown as `<time>` and `<index>`. Jobs run when the script says so:
//! `finish JOB` ends the newest try of a job. `UPDATE_GOLDENFILES=1` records; read what was recorded.

mod common;

use std::{error::Error, fmt::Write, path::Path, sync::atomic::Ordering};

use bytes::Bytes;
use capstan_model::{
    command::Command as Proposal,
    time::Timestamp,
    workflow::command::{FinishTry, TryEnd, TryReport},
};
use capstan_raft_store::handle::ProposeOptions;
use common::TestNode;
use goldenscript::{Argument, Command, Context};
use http::{HeaderMap, Request, Response};
use tokio::runtime::Runtime;

/// Runs one script against one node.
struct Script {
    runtime: Runtime,
    node: TestNode,
}

#[test]
fn variables() {
    run("variables");
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

fn run(script: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let node = runtime.block_on(TestNode::start());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http").join(script);
    goldenscript::run(&mut Script { runtime, node }, path).unwrap();
}

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        match command.name.as_str() {
            "finish" => self.finish(command),
            "drain" => {
                self.node.draining.store(true, Ordering::Relaxed);
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

    /// Reports the end of the running try of a job of the newest request that has one of this name.
    fn finish(&self, command: &Command) -> Result<String, Box<dyn Error>> {
        let [Argument::Positional(job), end @ ..] = &command.args[..] else {
            return Err("finish JOB [fail]".into());
        };
        let end = if end.is_empty() { TryEnd::Complete } else { TryEnd::Failed };
        let view = self.node.cluster.view();
        let running = view.state().requests.running_under(self.node.cluster.incarnation());
        let id = running.filter(|running| *running.spec.name == **job).map(|running| running.id).last();
        let report = TryReport {
            end,
            exit: i64::from(end != TryEnd::Complete),
            error: "".into(),
            stdout: Default::default(),
            stderr: Default::default(),
            started_at: Timestamp(1_000_000_000),
            finished_at: Timestamp(2_000_000_000),
            job_data: Default::default(),
        };
        let finish = FinishTry { id: id.ok_or("no such job runs")?, report };
        let proposal = Proposal::FinishTry(Box::new(finish));
        let committed =
            self.runtime.block_on(self.node.cluster.propose(proposal, ProposeOptions::progress()))?;
        committed.reply?;
        Ok(String::new())
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
    match std::str::from_utf8(response.body()) {
        Ok("") => {}
        Ok(body) if body.len() <= 8_192 => {
            writeln!(text, "{}", masked(body.strip_suffix('\n').unwrap_or(body))).unwrap()
        }
        _ => writeln!(text, "<{} bytes>", response.body().len()).unwrap(),
    }
    text
}

/// Hides what the clock decides.
fn masked(body: &str) -> String {
    let mut shown = String::new();
    let mut rest = body;
    while let Some(at) = rest.find("\"20") {
        let (before, quoted) = rest.split_at(at + 1);
        let len = quoted.find('"').unwrap_or(quoted.len());
        let is_time = quoted.as_bytes().get(10) == Some(&b'T') && quoted[..len].ends_with('Z');
        shown.push_str(before);
        shown.push_str(if is_time { "<time>" } else { &quoted[..len] });
        rest = &quoted[len..];
    }
    shown + rest
}
