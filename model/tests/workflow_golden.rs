//! The bytes of what is stored or sent about requests, held against `golden/workflow.txt`.
//!
//! A shipped version is never edited: a line that changes means that old logs and disks can no longer be
//! read. New variants add lines; `CAPSTAN_GOLDEN=1` writes the file anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
mod golden_common;
mod workflow_common;

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use capstan_model::{
    command::{Command, Stored},
    ids::{Epoch, Incarnation, RequestId, TryNo},
    rows::Table,
    spec::Specs,
    time::Timestamp,
    workflow::{
        chain::JobPlace,
        command::{
            CreateRequest, DecideApproval, Expire, FinishTry, PauseRequest, ResumeRequest, StartRetry,
            StopRequest, TryEnd, TryId, TryReport,
        },
        json::{JsonMap, JsonText},
        output::{Output, Tail},
        terms::{JobData, RetryOf},
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
    lines.extend(commands_beyond().into_iter().map(line));
    for (key, value) in rows_beyond() {
        lines.push(format!("beyond {} = {}", hex(&key), hex(&value)));
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

/// One of each command about what requests have beyond Spin Cycle.
fn commands_beyond() -> Vec<Command> {
    let (id, job) = (request(1), "0004".parse().unwrap());
    let (by, comment) = ("Ann".into(), "why not".into());
    vec![
        create_beyond(1, true),
        Command::Expire(Expire { request: id, try_of: None }),
        Command::Expire(Expire { request: id, try_of: Some((job, TryNo(300))) }),
        Command::DecideApproval(DecideApproval {
            request: id,
            job,
            try_no: TryNo(300),
            approved: true,
            by,
            comment,
        }),
        Command::PauseRequest(PauseRequest { request: id, by: "Ann".into() }),
        Command::ResumeRequest(ResumeRequest { request: id, by: "Ann".into() }),
    ]
}

/// A request with a try that is out of time and an approval that waits, paused; one that was rejected; one that ran out of time, with
/// job data; and one that goes on with it.
fn rows_beyond() -> Vec<(Bytes, Bytes)> {
    let mut replica = Replica::default();
    let mut seq = 0;
    let mut apply = |secs, command| {
        seq += 1;
        let index = replica.state.index() + 1;
        let applied =
            replica.apply(index, &entry(secs, vec![], vec![sealed(command_id(1, 1, seq), None, command)]));
        applied.replies[0].1.clone().unwrap();
    };
    let expire = |number, job: Option<&str>| {
        let try_of = job.map(|job| (job.parse().unwrap(), TryNo(1)));
        Command::Expire(Expire { request: request(number), try_of })
    };
    let mut node = joined(1, 1);
    node.job_types.push("approval".into());
    node.job_types.sort();
    apply(10, Command::NodeJoined(node));
    apply(11, create_beyond(1, false));
    apply(12, Command::PauseRequest(PauseRequest { request: request(1), by: "Ann".into() }));
    apply(400, expire(1, Some("0005")));
    apply(401, create_beyond(2, false));
    let decide = DecideApproval {
        request: request(2),
        job: "0004".parse().unwrap(),
        try_no: TryNo(1),
        approved: false,
        by: "Ann".into(),
        comment: "why".into(),
    };
    apply(402, Command::DecideApproval(decide));
    apply(403, create_beyond(3, false));
    let id = try_id(3, "0005");
    apply(404, Command::FinishTry(Box::new(FinishTry { id, report: full_report() })));
    apply(9_000, expire(3, None));
    let id = try_id(3, "0010");
    apply(9_001, Command::FinishTry(Box::new(FinishTry { id, report: report(TryEnd::Stopped) })));
    apply(9_002, create_beyond(4, true));
    of_requests(&replica)
}

/// An approval beside a job with a timeout; `again` goes on with the third request.
fn create_beyond(number: u8, again: bool) -> Command {
    let specs = Arc::new(Specs::load([("specs.yaml", BEYOND)]).unwrap());
    let built = build(&specs, "B", &JsonMap::new(), |calls| calls.drain(..).collect()).unwrap();
    let mut command = built.into_command(request(number), "Ann".into());
    if let Command::CreateWithTerms(create) = &mut command
        && again
    {
        let kept: BTreeSet<JobPlace> = [0, 2, 5].map(JobPlace).into();
        let data = Arc::new(JsonMap::from([("k".into(), JsonText::string("v"))]));
        create.data = Arc::new(JobData::new([(JobPlace(5), data)]));
        Arc::make_mut(&mut create.terms).retry_of = Some(RetryOf { request: request(3), kept });
    }
    command
}

const BEYOND: &str = "
sequences:
  B:
    request: true
    timeout: 2h
    nodes:
      a: {category: job, type: approval, timeout: 1h}
      b: {category: job, type: shell-command, timeout: 5m, retry: 2, retryWait: 3s, retryBackoff: 1.5, retryWaitMax: 1m}
      c: {category: sequence, type: C, retry: 1, retryWait: 1s, retryBackoff: 2, deps: [b]}
  C: {nodes: {d: {category: job, type: sleep}}}
";

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
        Command::CreateWithTerms(_) => "create with terms".to_owned(),
        Command::Expire(expire) if expire.try_of.is_none() => "expire request".to_owned(),
        Command::Expire(_) => "expire try".to_owned(),
        Command::DecideApproval(_) => "decide".to_owned(),
        Command::PauseRequest(_) => "pause".to_owned(),
        Command::ResumeRequest(_) => "resume".to_owned(),
        other => panic!("not about requests: {other:?}"),
    }
}
