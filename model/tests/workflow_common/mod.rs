//! Requests for tests: played job types, and reports.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use capstan_model::{
    ids::JobId,
    spec::Specs,
    time::Timestamp,
    workflow::{
        command::{TryEnd, TryReport},
        graph::{Builder, Built, CreateCall, CreateError, CreateOutput, Created, Step},
        json::{JsonMap, JsonText},
        output::Output,
    },
};

/// Builds a request whose jobs get the ids 0000, 0001, … in the order in which they are made. `pick` says which of the calls that are
/// out are answered next; it takes at least one.
///
/// The played job types: `set/K=V` sets an arg when it is created, `refuse/WHY` and `missing` are not created, all others are;
/// `idempotent/…` may be run again.
pub(crate) fn build(
    specs: &Arc<Specs>,
    request_type: &str,
    args: &JsonMap,
    mut pick: impl FnMut(&mut VecDeque<CreateCall>) -> Vec<CreateCall>,
) -> Result<Built, String> {
    let mut next = 0_u32;
    let draw = move || {
        next += 1;
        format!("{:04}", next - 1).parse::<JobId>().expect("four digits")
    };
    let mut builder = Builder::new(specs.clone(), request_type, args, draw);
    let mut out = VecDeque::new();
    let mut answers = Vec::new();
    loop {
        match builder.step(std::mem::take(&mut answers)) {
            Step::Done(built) => return Ok(*built),
            Step::Refused(error) => return Err(error.to_string()),
            Step::Need(calls) => out.extend(calls),
        }
        answers.extend(pick(&mut out).into_iter().map(play_create));
    }
}

fn play_create(call: CreateCall) -> Created {
    let result = match call.job_type.split_once('/') {
        Some(("set", pair)) => {
            let (name, value) = pair.split_once('=').expect("set/K=V");
            let args = JsonMap::from([(Arc::from(name), JsonText::string(value))]);
            Ok(CreateOutput { args, ..made() })
        }
        Some(("refuse", why)) => Err(CreateError::Failed(why.to_owned())),
        _ if &*call.job_type == "missing" => Err(CreateError::UnknownType),
        Some(("idempotent", _)) => Ok(CreateOutput { idempotent: true, ..made() }),
        _ => Ok(made()),
    };
    Created { job: call.job, result }
}

fn made() -> CreateOutput {
    CreateOutput { bytes: Bytes::from_static(b"made"), ..CreateOutput::default() }
}

/// A report of a try that ran for a second.
pub(crate) fn report(end: TryEnd, finished_at: Timestamp) -> TryReport {
    TryReport {
        end,
        exit: 0,
        error: "".into(),
        stdout: Output::default(),
        stderr: Output::default(),
        started_at: Timestamp(finished_at.0.saturating_sub(1_000_000_000)),
        finished_at,
        job_data: JsonMap::new(),
    }
}
