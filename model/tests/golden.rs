//! The bytes of everything that is stored or sent, held against `golden/core.txt`.
//!
//! A shipped version is never edited: a line that changes means that old logs and disks can no longer be read. New
//! variants add lines; `CAPSTAN_GOLDEN=1` writes the file anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
mod golden_common;

use std::{fmt::Debug, iter::successors, sync::Arc};

use capstan_model::{
    archive::{TrimRequests, Trimmed, TrimmedLog, TrimmedLogs},
    auth::{Denied, DeniedBecause, NotAuthenticated, Operation, token::TokenId},
    command::{Command, Condition, Entry, Idempotency, IdempotencyScope, Settled, Stored},
    ids::{ClusterId, DiskId, Epoch, JobId, NodeId, RequestId, TryNo},
    lrp::tag::ModificationTag,
    rejection::Rejection,
    reply::Answer,
    settings::{ReadConsistency, Setting},
    spec_store::{PushSpecs, RevertSpecs, SpecFile, SpecsId},
    time::Timestamp,
    workflow::{ArgTerm, Indexed, request::RequestState},
};
use common::{Replica, command_id, entry, incarnation, joined, sealed};
use golden_common::{compare, hex};
use serde::{Serialize, de::DeserializeOwned};

#[test]
fn stored_bytes_are_as_shipped() {
    let mut lines = vec![];
    successors(Some(first_command()), command_after).for_each(|command| {
        let stored = Stored::V1 { idempotency: None, command };
        lines.push(line("command", &stored));
    });
    lines.push(line(
        "idempotent command",
        &Stored::V1 { idempotency: Some(call()), command: first_command() },
    ));
    lines.push(line("entry", &sample_entry()));
    successors(Some(Answer::Done), answer_after).for_each(|answer| lines.push(line("answer", &answer)));
    successors(Some(first_rejection()), rejection_after).for_each(|r| lines.push(line("rejection", &r)));
    successors(Some(Setting::ArchiveDays(300)), setting_after).for_each(|s| lines.push(line("setting", &s)));
    for (key, value) in replica_with_every_table().rows {
        lines.push(format!("row {} = {}", hex(&key), hex(&value)));
    }
    compare("core.txt", &(lines.join("\n") + "\n"));
}

/// `kind debug = hex`; the bytes must decode to the value again.
fn line<T: Debug + PartialEq + Serialize + DeserializeOwned>(kind: &str, value: &T) -> String {
    let bytes = postcard::to_stdvec(value).unwrap();
    assert_eq!(postcard::from_bytes::<T>(&bytes).as_ref(), Ok(value));
    format!("{kind} {value:?} = {}", hex(&bytes))
}

fn call() -> Idempotency {
    let [caller, method, path, key] = ["ann", "PUT", "/cluster/v1/variables/a", "k"].map(Arc::from);
    Idempotency { scope: IdempotencyScope { caller, method, path, key }, body_hash: 0xfeed << 64 }
}

fn sample_entry() -> Entry {
    let settled = vec![Settled { incarnation: incarnation(1, 2), below: 300 }];
    entry(1_700_000_000, settled, vec![sealed(command_id(1, 2, 301), None, first_command())])
}

fn first_command() -> Command {
    Command::FoundCluster { cluster: ClusterId(0xc1) }
}

// Each `…_after` names the variant that follows; a new variant does not compile until it is in the file. The commands
// of requests and LRPs are in golden files of their own.

fn command_after(command: &Command) -> Option<Command> {
    let name = "a.name".parse().unwrap();
    match command {
        Command::FoundCluster { .. } => Some(Command::NodeJoined(joined(1, 2))),
        Command::NodeJoined(_) => Some(Command::PutVariable {
            name,
            value: "\0value\u{ff}".into(),
            condition: Condition::Revision(300),
        }),
        Command::PutVariable { .. } => Some(Command::DeleteVariable { name, condition: Condition::Absent }),
        Command::DeleteVariable { .. } => {
            Some(Command::SetSetting(Setting::ReadConsistency(ReadConsistency::Stale)))
        }
        Command::SetSetting(_) => Some(Command::NodeLost { incarnation: incarnation(1, 2), term: 3 }),
        Command::CreateRequest(_)
        | Command::FinishTry(_)
        | Command::StartRetry(_)
        | Command::StopRequest(_)
        | Command::CreateWithTerms(_)
        | Command::Expire(_)
        | Command::DecideApproval(_)
        | Command::PauseRequest(_)
        | Command::ResumeRequest(_)
        | Command::Lrp(_)
        | Command::Task(_)
        | Command::Auth(_) => None,
        Command::NodeLost { .. } => Some(Command::TakeOver),
        Command::TakeOver => Some(Command::DrainNode { node: NodeId(300) }),
        Command::DrainNode { .. } => Some(Command::UndrainNode { node: NodeId(300) }),
        Command::UndrainNode { .. } => Some(Command::NodeLeaving { incarnation: incarnation(1, 2) }),
        Command::NodeLeaving { .. } => Some(Command::EndSuspended { request: RequestId([0xab; 12]) }),
        Command::EndSuspended { .. } => Some(Command::TrimEvents { below: 300 }),
        Command::TrimEvents { .. } => Some(Command::TrimRequests(Box::new(sample_trim()))),
        Command::TrimRequests(_) => Some(Command::PushSpecs(Arc::new(push()))),
        Command::PushSpecs(_) => Some(Command::RevertSpecs(RevertSpecs {
            to: SpecsId([0xcd; 32]),
            expected: None,
            by: "ann".into(),
        })),
        Command::RevertSpecs(_) => None,
    }
}

/// One request with an arg of each kind, and some logs of the next.
fn sample_trim() -> TrimRequests {
    let log = |try_no, decided| TrimmedLog { job: JobId(*b"a0B1"), try_no: TryNo(try_no), decided };
    let logs = vec![log(1, true), log(300, false)];
    let args = [ArgTerm::Text("host".into(), "db7".into()), ArgTerm::Hash(1 << 127), ArgTerm::More];
    let indexed = Indexed {
        id: RequestId([0xab; 12]),
        request_type: "R".into(),
        user: "Ann".into(),
        state: RequestState::Failed,
        created_at: Timestamp(1_700_000_000_000_000_001),
        finished_at: Timestamp(1_700_000_000_000_000_002),
        args: args.into(),
    };
    TrimRequests {
        first: 300,
        logs_gone: 301,
        whole: vec![Trimmed {
            indexed,
            logs: logs.clone(),
            has_terms: true,
            has_data: false,
            retry_of: Some(RequestId([0xee; 12])),
        }],
        part: Some(TrimmedLogs { request: RequestId([0xcd; 12]), logs }),
    }
}

fn push() -> PushSpecs {
    let file = |path: &str, text: &str| SpecFile { path: path.into(), text: text.into() };
    let files = vec![file("a.yaml", "text"), file("b/c.yaml", "")];
    PushSpecs { files, expected: None, by: "ann".into() }
}

fn answer_after(answer: &Answer) -> Option<Answer> {
    match answer {
        Answer::Done => Some(Answer::VariablePut { revision: 300, created: true }),
        Answer::VariablePut { .. } => Some(Answer::VariableDeleted),
        Answer::VariableDeleted => Some(Answer::RequestCreated {
            id: RequestId([0xab; 12]),
            created_at: Timestamp(1_700_000_000_000_000_001),
            running: true,
        }),
        Answer::RequestCreated { .. } => Some(Answer::RequestStopping { ended: true }),
        Answer::RequestStopping { .. } => Some(Answer::TokenCreated { id: token() }),
        Answer::TokenCreated { .. } => {
            Some(Answer::SpecsPushed { version: SpecsId([0xcd; 32]), changed: true })
        }
        Answer::SpecsPushed { .. } => None,
    }
}

fn first_rejection() -> Rejection {
    Rejection::Bug { message: "index out of bounds".to_owned() }
}

fn rejection_after(rejection: &Rejection) -> Option<Rejection> {
    let name = "a.name".parse().unwrap();
    let incarnation = incarnation(1, 2);
    let (request, job) = (RequestId([0xab; 12]), JobId(*b"a0B1"));
    let text = || "text".to_owned();
    let guid = || "a-guid".parse().unwrap();
    Some(match rejection {
        Rejection::Bug { .. } => Rejection::Undecodable { message: text() },
        Rejection::Undecodable { .. } => Rejection::SessionOver { incarnation },
        Rejection::SessionOver { .. } => Rejection::SessionFull { incarnation, unsettled_max: 4_096 },
        Rejection::SessionFull { .. } => Rejection::AlreadyFounded,
        Rejection::AlreadyFounded => Rejection::OldIncarnation { incarnation },
        Rejection::OldIncarnation { .. } => {
            Rejection::OtherDisk { node: NodeId(1), recorded: DiskId(1), found: DiskId(1 << 127) }
        }
        Rejection::OtherDisk { .. } => Rejection::NoSuchVariable { name },
        Rejection::NoSuchVariable { .. } => Rejection::RevisionMismatch { name, current: Some(300) },
        Rejection::RevisionMismatch { .. } => {
            Rejection::TooLarge { what: text(), bytes: 65_537, bytes_max: 65_536 }
        }
        Rejection::TooLarge { .. } => Rejection::TooMany { what: text(), count_max: 100_000 },
        Rejection::TooMany { .. } => Rejection::IdempotencyKeyReused,
        Rejection::IdempotencyKeyReused => Rejection::InvalidSetting { name: text(), reason: text() },
        Rejection::InvalidSetting { .. } => Rejection::NotLive { request },
        Rejection::NotLive { .. } => Rejection::RequestExists { request },
        Rejection::RequestExists { .. } => Rejection::NoSuchJob { request, job },
        Rejection::NoSuchJob { .. } => {
            Rejection::StaleEpoch { request, current: Epoch(300), named: Epoch(2) }
        }
        Rejection::StaleEpoch { .. } => Rejection::StaleTry { job, current: TryNo(300), named: TryNo(2) },
        Rejection::StaleTry { .. } => Rejection::NothingDue { job },
        Rejection::NothingDue { .. } => Rejection::TryOver { job, try_no: TryNo(300) },
        Rejection::TryOver { .. } => Rejection::NotOwner { request, incarnation },
        Rejection::NotOwner { .. } => Rejection::NoSuchNode { node: NodeId(300) },
        Rejection::NoSuchNode { .. } => Rejection::MayWait { request },
        Rejection::MayWait { .. } => Rejection::OtherTerm { given: 300, now: 301 },
        Rejection::OtherTerm { .. } => Rejection::LrpExists { guid: guid() },
        Rejection::LrpExists { .. } => Rejection::NoSuchLrp { guid: guid() },
        Rejection::NoSuchLrp { .. } => Rejection::LrpTagMismatch {
            guid: guid(),
            current: ModificationTag { epoch: 1 << 127, index: 300 },
        },
        Rejection::LrpTagMismatch { .. } => Rejection::NoSuchIndex { guid: guid(), index: 300 },
        Rejection::NoSuchIndex { .. } => Rejection::StaleInstance { guid: guid(), index: 300 },
        Rejection::StaleInstance { .. } => Rejection::TaskExists { guid: guid() },
        Rejection::TaskExists { .. } => Rejection::NoSuchTask { guid: guid() },
        Rejection::NoSuchTask { .. } => Rejection::TaskNotDeletable { guid: guid() },
        Rejection::TaskNotDeletable { .. } => Rejection::TaskOver { guid: guid() },
        Rejection::TaskOver { .. } => Rejection::StaleTask { guid: guid() },
        Rejection::StaleTask { .. } => Rejection::StillLive { request },
        Rejection::StillLive { .. } => NotAuthenticated::Nothing.into(),
        Rejection::NotAuthenticated(NotAuthenticated::Nothing) => NotAuthenticated::NoSuchToken.into(),
        Rejection::NotAuthenticated(NotAuthenticated::NoSuchToken) => {
            NotAuthenticated::Expired { id: token(), name: "ann".into(), at: Timestamp(300) }.into()
        }
        Rejection::NotAuthenticated(NotAuthenticated::Expired { .. }) => {
            denied(Operation::ReadRequests, DeniedBecause::Anonymous)
        }
        Rejection::Denied(Denied { operation, because, .. }) => {
            let after = |operation| Operation::ALL.into_iter().skip_while(|o| *o != operation).nth(1);
            match (because, after(*operation)) {
                (DeniedBecause::Anonymous, Some(operation)) => denied(operation, DeniedBecause::Anonymous),
                (DeniedBecause::Anonymous, None) => denied(*operation, DeniedBecause::NoSpec),
                (DeniedBecause::NoSpec, _) => denied(*operation, DeniedBecause::Strict),
                (DeniedBecause::Strict, _) => denied(*operation, DeniedBecause::NoRoleMatches),
                (DeniedBecause::NoRoleMatches, _) => denied(*operation, DeniedBecause::NotGranted),
                (DeniedBecause::NotGranted, _) => denied(*operation, DeniedBecause::NoRole(*operation)),
                (DeniedBecause::NoRole(_), _) => denied(*operation, DeniedBecause::Internal),
                (DeniedBecause::Internal, _) => Rejection::NoSuchToken { id: token() },
            }
        }
        Rejection::NoSuchToken { .. } => Rejection::TokenExists { id: token() },
        Rejection::TokenExists { .. } => Rejection::InvalidAuth { what: text(), reason: text() },
        Rejection::InvalidAuth { .. } => Rejection::NoAdminLeft,
        Rejection::NoAdminLeft => Rejection::InvalidTerms { reason: text() },
        Rejection::InvalidTerms { .. } => Rejection::NotFinished { request },
        Rejection::NotFinished { .. } => Rejection::NotOverdue { request },
        Rejection::NotOverdue { .. } => Rejection::NotAwaiting { request, job },
        Rejection::NotAwaiting { .. } => Rejection::Stopping { request },
        Rejection::Stopping { .. } => Rejection::OtherSpecs { current: Some(SpecsId([0xcd; 32])) },
        Rejection::OtherSpecs { .. } => Rejection::NoSuchSpecs { version: SpecsId([0xcd; 32]) },
        Rejection::NoSuchSpecs { .. } => Rejection::InvalidSpecFile { path: text(), reason: text() },
        Rejection::InvalidSpecFile { .. } => {
            Rejection::BuiltFromOtherSpecs { current: Some(SpecsId([0xcd; 32])) }
        }
        Rejection::BuiltFromOtherSpecs { .. } => Rejection::LocksOut,
        Rejection::LocksOut => return None,
    })
}

fn token() -> TokenId {
    TokenId([0xab, 0, 0, 0, 0, 0, 0, 1])
}

fn denied(operation: Operation, because: DeniedBecause) -> Rejection {
    Denied { caller: "ann".into(), operation, because }.into()
}

fn setting_after(setting: &Setting) -> Option<Setting> {
    match setting {
        Setting::ArchiveDays(_) => Some(Setting::ArchiveRequestsMax(300)),
        Setting::ArchiveRequestsMax(_) => Some(Setting::EventDays(300)),
        Setting::EventDays(_) => Some(Setting::EventsMax(300)),
        Setting::EventsMax(_) => Some(Setting::ReadConsistency(ReadConsistency::Linearizable)),
        Setting::ReadConsistency(_) => Some(Setting::IdempotencyHours(300)),
        Setting::IdempotencyHours(_) => Some(Setting::VariablesMax(300)),
        Setting::VariablesMax(_) => Some(Setting::SuspendedHours(300)),
        Setting::SuspendedHours(_) => None,
    }
}

fn replica_with_every_table() -> Replica {
    let mut replica = Replica::default();
    let put = |name: &str| Command::PutVariable {
        name: name.parse().unwrap(),
        value: "value".into(),
        condition: Condition::Any,
    };
    let commands = vec![
        sealed(command_id(1, 1, 1), None, first_command()),
        sealed(command_id(1, 1, 2), None, Command::NodeJoined(joined(1, 1))),
        sealed(command_id(1, 1, 3), None, Command::SetSetting(Setting::VariablesMax(300))),
        sealed(command_id(1, 1, 4), Some(call()), put("a")),
        sealed(command_id(1, 1, 5), None, Command::PushSpecs(Arc::new(push()))),
    ];
    replica.apply(300, &entry(1_700_000_000, vec![], commands));
    replica
}
