//! The bytes of what is stored or sent about requests, held against `golden/workflow.txt`.
//!
//! A shipped version is never edited: a line that changes means that old logs and disks can no longer be
//! read. New variants add lines; `CAPSTAN_GOLDEN=1` writes the file anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
mod golden_common;
mod workflow_common;

use std::sync::Arc;

use bytes::Bytes;
use capstan_model::{
    command::{Command, Stored},
    ids::{Epoch, Incarnation, RequestId, TryNo},
    rows::Table,
    spec::Specs,
    time::Timestamp,
    workflow::{
        command::{CreateRequest, FinishTry, StartRetry, StopRequest, TryEnd, TryId, TryReport},
        json::{JsonMap, JsonText},
        output::{Output, Tail},
    },
};
use common::{Replica, command_id, entry, incarnation, joined, sealed};
use golden_common::{compare, hex};
use workflow_common::build;

const SPECS: &str = "
sequences:
  R:
    request: true
    args:
      required: [{name: host, desc: where}]
      optional: [{name: n, default: 1}]
      static: [{name: s, default: 2}]
    nodes:
      a: {category: job, type: shell-command, args: [{expected: host}], retry: 2, retryWait: 3s}
      b: {category: sequence, type: S, deps: [a]}
      c: {category: job, type: shell-command}
      d: {category: job, type: shell-command}
  S: {nodes: {e: {category: job, type: sleep}}}
  P:
    request: true
    args: {required: [{name: l}]}
    nodes:
      p: {category: sequence, type: T, each: ['l:x'], parallel: 1, retry: 2}
  T: {nodes: {f: {category: job, type: sleep}, g: {category: job, type: sleep}}}
";

#[test]
fn stored_bytes_of_requests_are_as_shipped() {
    let mut lines: Vec<String> = commands().into_iter().map(line).collect();
    for end in [TryEnd::Complete, TryEnd::Failed, TryEnd::Unknown, TryEnd::Stopped, TryEnd::KilledStopping] {
        lines.push(line(Command::FinishTry(Box::new(FinishTry {
            id: try_id(1, "0004"),
            report: report(end),
        }))));
    }
    for (key, value) in rows() {
        lines.push(format!("row {} = {}", hex(&key), hex(&value)));
    }
    compare("workflow.txt", &(lines.join("\n") + "\n"));
}

/// One of each command about requests.
fn commands() -> Vec<Command> {
    let id = try_id(1, "0004");
    vec![
        Command::CreateRequest(create(1)),
        Command::FinishTry(Box::new(FinishTry { id, report: full_report() })),
        Command::StartRetry(StartRetry { id }),
        Command::StopRequest(StopRequest { request: id.request }),
    ]
}

/// Requests with jobs in every phase, one that is stopped, one that has ended, and one with a failing sequence among expansions;
/// then what changes when their owner is gone.
fn rows() -> Vec<(Bytes, Bytes)> {
    let mut replica = Replica::default();
    let mut seq = 0;
    let mut apply = |command| {
        seq += 1;
        let index = replica.state.index() + 1;
        let applied = replica
            .apply(index, &entry(10 + index, vec![], vec![sealed(command_id(1, 1, seq), None, command)]));
        applied.replies[0].1.clone().unwrap();
    };
    let finish = |request, job: &str, report| {
        Command::FinishTry(Box::new(FinishTry { id: try_id(request, job), report }))
    };
    let finish_second = |request, job: &str, report| {
        let id = TryId { try_no: TryNo(2), ..try_id(request, job) };
        Command::FinishTry(Box::new(FinishTry { id, report }))
    };
    let mut node = joined(1, 1);
    node.slots = 3;
    apply(Command::NodeJoined(node));
    apply(Command::CreateRequest(create(1)));
    apply(finish(1, "0004", TryReport { end: TryEnd::Failed, ..full_report() }));
    apply(finish(1, "0005", report(TryEnd::Complete)));
    apply(finish(1, "0006", report(TryEnd::Failed)));
    apply(Command::CreateRequest(create(2)));
    apply(Command::CreateRequest(create(3)));
    apply(Command::StopRequest(StopRequest { request: request(2) }));
    apply(finish(2, "0004", report(TryEnd::Stopped)));
    apply(Command::CreateRequest(create(4)));
    apply(Command::StopRequest(StopRequest { request: request(4) }));
    apply(Command::CreateRequest(create_expanded(5)));
    apply(finish(5, "0016", report(TryEnd::Failed)));
    apply(finish(5, "0017", report(TryEnd::Complete)));
    apply(finish_second(5, "0016", report(TryEnd::Failed)));
    let mut unable = joined(1, 2);
    unable.job_types.clear();
    let owned = of_requests(&replica);
    let index = replica.state.index() + 1;
    let join = sealed(command_id(1, 1, 99), None, Command::NodeJoined(unable));
    replica.apply(index, &entry(30, vec![], vec![join]));
    let after: Vec<_> = of_requests(&replica).into_iter().filter(|row| !owned.contains(row)).collect();
    owned.into_iter().chain(after).collect()
}

fn of_requests(replica: &Replica) -> Vec<(Bytes, Bytes)> {
    let (archive, first) = (Table::Archive as u8, Table::Request as u8);
    replica
        .rows
        .iter()
        .filter(|(key, _)| key[0] == archive || key[0] >= first)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn create(number: u8) -> Arc<CreateRequest> {
    let specs = Arc::new(Specs::load([("specs.yaml", SPECS)]).unwrap());
    let args = JsonMap::from([("host".into(), JsonText::string("db7")), ("n".into(), JsonText::string("5"))]);
    let built = build(&specs, "R", &args, |calls| calls.drain(..).collect()).unwrap();
    Arc::new(built.into_request(request(number), "Ann".into()))
}

/// Two expansions, one at a time.
fn create_expanded(number: u8) -> Arc<CreateRequest> {
    let specs = Arc::new(Specs::load([("specs.yaml", SPECS)]).unwrap());
    let args = JsonMap::from([("l".into(), JsonText::try_from(Arc::from("[1,2]")).unwrap())]);
    let built = build(&specs, "P", &args, |calls| calls.drain(..).collect()).unwrap();
    Arc::new(built.into_request(request(number), "Ann".into()))
}

fn request(number: u8) -> RequestId {
    RequestId([number; 12])
}

fn try_id(number: u8, job: &str) -> TryId {
    let incarnation: Incarnation = incarnation(1, 1);
    TryId {
        request: request(number),
        job: job.parse().unwrap(),
        try_no: TryNo(1),
        epoch: Epoch(1),
        incarnation,
    }
}

fn report(end: TryEnd) -> TryReport {
    workflow_common::report(end, Timestamp(1_700_000_000_000_000_001))
}

fn full_report() -> TryReport {
    TryReport {
        exit: -7,
        error: "no luck".into(),
        stdout: Output::new(Tail { bytes: b"short", dropped: 300 }, 100),
        stderr: Output::Deflated(Bytes::from_static(&[0x4b, 0x04, 0x00])),
        job_data: JsonMap::from([("k".into(), JsonText::string("v"))]),
        ..report(TryEnd::Complete)
    }
}

/// The bytes must decode to the command again.
fn line(command: Command) -> String {
    let name = name(&command);
    let stored = Stored::V1 { idempotency: None, command };
    let bytes = postcard::to_stdvec(&stored).unwrap();
    assert_eq!(postcard::from_bytes::<Stored>(&bytes).as_ref(), Ok(&stored));
    format!("{name} = {}", hex(&bytes))
}

fn name(command: &Command) -> String {
    match command {
        Command::CreateRequest(_) => "create".to_owned(),
        Command::FinishTry(finish) => format!("finish {:?}", finish.report.end),
        Command::StartRetry(_) => "start retry".to_owned(),
        Command::StopRequest(_) => "stop".to_owned(),
        other => panic!("not about requests: {other:?}"),
    }
}
