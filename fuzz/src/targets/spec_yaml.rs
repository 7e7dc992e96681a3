//! Request specs: reading is deterministic, and requests of what loads are built or refused.

use std::{collections::BTreeMap, sync::Arc};

use capstan_model::{
    ids::JobId,
    spec::{ArgKind, Sequence, Specs},
    workflow::{
        graph::{BuildError, Builder, CreateCall, CreateOutput, Created, Step},
        json::{JsonMap, JsonText},
    },
};

use crate::{Seed, Target, Verdict};

pub(crate) const TARGET: Target = Target { name: "spec_yaml", run, seeds };

/// Ends a file in an input.
const END: char = '\0';
/// How many requests of one input are built.
const BUILT_MAX: usize = 4;

fn run(input: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(input) else { return Verdict::Refused };
    let files =
        || (0..).zip(text.split(END)).map(|(number, text): (u32, _)| (format!("{number}.yaml"), text));
    let load = || Specs::load(files());
    let specs = match (load(), load()) {
        (Ok(specs), Ok(again)) => {
            assert_eq!(format!("{specs:?}"), format!("{again:?}"), "the same file loads to the same specs");
            Arc::new(specs)
        }
        (Err(errors), Err(again)) => {
            assert_eq!(errors, again, "the same file is refused for the same reasons");
            assert!(!errors.is_empty(), "a refusal has a reason");
            errors.iter().for_each(|error| drop(error.to_string()));
            return Verdict::Refused;
        }
        (first, second) => panic!("loaded once only: {first:?}, {second:?}"),
    };
    specs.request_list();
    let requests = specs.sequences().filter(|sequence| sequence.is_request);
    for sequence in requests.take(BUILT_MAX) {
        build(&specs, sequence);
    }
    Verdict::Understood
}

/// Builds a request in two orders of answers, which must not matter.
fn build(specs: &Arc<Specs>, sequence: &Sequence) {
    let args = args(sequence);
    let in_order = builder(specs, sequence, &args, |calls| calls);
    let reversed = builder(specs, sequence, &args, |calls| calls.into_iter().rev().collect());
    if let (Ok(in_order), Ok(reversed)) = (&in_order, &reversed) {
        assert_eq!(in_order.args, reversed.args, "recorded args do not depend on the order of answers");
        assert_eq!(
            in_order.chain.jobs().len(),
            reversed.chain.jobs().len(),
            "the chain does not depend on the order of answers"
        );
    }
}

fn builder(
    specs: &Arc<Specs>,
    sequence: &Sequence,
    args: &JsonMap,
    order: impl Fn(Vec<CreateCall>) -> Vec<CreateCall>,
) -> Result<capstan_model::workflow::graph::Built, BuildError> {
    let mut next = 0_u32;
    let draw = move || {
        next += 1;
        job_id(next - 1)
    };
    let mut builder = Builder::new(Arc::clone(specs), &sequence.name, args, draw);
    let mut answers = Vec::new();
    loop {
        match builder.step(std::mem::take(&mut answers)) {
            Step::Done(built) => return Ok(*built),
            Step::Refused(error) => return Err(error),
            Step::Need(calls) => answers.extend(order(calls).into_iter().map(created)),
        }
    }
}

/// An id in digits of 36, in the order of its number.
fn job_id(number: u32) -> JobId {
    let digit = |place: u32| {
        let value = number / 36_u32.pow(place) % 36;
        char::from_digit(value, 36).map_or(b'0', |digit| u8::try_from(digit).unwrap_or(b'0'))
    };
    JobId([digit(3), digit(2), digit(1), digit(0)])
}

/// Every job is created, and hands back what it was given.
fn created(call: CreateCall) -> Created {
    let output = CreateOutput { args: call.args, ..CreateOutput::default() };
    Created { job: call.job, result: Ok(output) }
}

/// A list for each arg that a caller gives, so that expansions have something to expand over.
fn args(sequence: &Sequence) -> JsonMap {
    let given = sequence.args.iter().filter(|arg| arg.kind != ArgKind::Static);
    let list = || JsonText::try_from(Arc::from("[1,2]")).expect("a list is JSON");
    given.map(|arg| (arg.name.clone(), list())).collect::<BTreeMap<_, _>>()
}

fn seeds() -> Vec<Seed> {
    let examples = [
        include_str!("../../../examples/specs/fetch-artifact.yaml"),
        include_str!("../../../examples/specs/pack-log-tree.yaml"),
        include_str!("../../../examples/specs/pack-logs.yaml"),
        include_str!("../../../examples/specs/pack-many-logs.yaml"),
        include_str!("../../../examples/specs/rotate-logs.yaml"),
    ];
    vec![
        Seed::new("spin-cycle", include_str!("../../../examples/specs/test.yaml")),
        Seed::new("retried", include_str!("../../../examples/specs/wait-until-healthy.yaml")),
        Seed::new("examples", examples.join("\0")),
        Seed::new("conditional", CONDITIONAL),
    ]
}

/// What the examples do not use.
const CONDITIONAL: &str = "
sequences:
  choose:
    request: true
    args:
      required: [{name: kind}, {name: list, desc: what to go over}]
      optional: [{name: n, default: 010}]
      static: [{name: s, default: 0x1}]
    acl: [{role: ops, admin: true}, {role: dev, ops: [start, stop]}]
    nodes:
      pick: &node
        category: conditional
        if: kind
        eq: {a: part, default: noop}
        args: [{expected: x, given: list}]
        retry: 2
        retryWait: 1m30s
      again: {<<: *node, args: [], deps: [pick], each: ['list:x'], parallel: 1}
  part:
    args: {required: [{name: x}]}
    nodes:
      job: {category: job, type: sleep, args: [{expected: x}], sets: [{arg: y, as: z}]}
";
