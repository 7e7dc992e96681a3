//! Random chains: any graph of jobs, and what specs with calls in calls and expansions are built into.

use std::{collections::BTreeSet, fmt::Write, sync::Arc};

use bytes::Bytes;
use capstan_model::{
    spec::{Specs, Wait},
    workflow::{
        chain::{ChainParts, JobPlace, JobSpec, SequencePlace, SequenceSpec, ValidChain},
        json::{JsonMap, JsonText},
    },
};
use proptest::{collection::vec, prelude::*, sample::Index};

use crate::workflow_common::build;

/// One job of a random graph, before it is linked.
#[derive(Debug, Clone)]
struct AnyJob {
    job_type: &'static str,
    retry: u32,
    waits: bool,
    /// Which of the jobs before it it depends on.
    deps: Vec<Index>,
}

fn any_job() -> impl Strategy<Value = AnyJob> {
    let job_type = prop_oneof![
        2 => Just("noop"), 2 => Just("shell-command"), 1 => Just("sleep"), 1 => Just("idempotent/x"),
        1 => Just("approval")
    ];
    (job_type, 0..3_u32, any::<bool>(), vec(any::<Index>(), 0..4))
        .prop_map(|(job_type, retry, waits, deps)| AnyJob { job_type, retry, waits, deps })
}

/// A chain between a source and a sink; ids have nothing to do with the order.
pub(crate) fn any_chain() -> impl Strategy<Value = ValidChain> {
    vec(any_job(), 1..20)
        .prop_flat_map(|jobs| {
            let ids: Vec<u32> = (0..u32::try_from(jobs.len() + 2).unwrap()).collect();
            (Just(jobs), Just(ids).prop_shuffle())
        })
        .prop_map(|(jobs, places)| chain(&jobs, &places))
}

/// `places[0]` is the source's place, `places[1]` the sink's, the others follow.
fn chain(jobs: &[AnyJob], places: &[u32]) -> ValidChain {
    let mut successors = vec![BTreeSet::new(); places.len()];
    for (at, job) in jobs.iter().enumerate() {
        let deps: BTreeSet<usize> = job.deps.iter().filter(|_| at > 0).map(|dep| dep.index(at) + 2).collect();
        let parents = if deps.is_empty() { BTreeSet::from([0]) } else { deps };
        for parent in parents {
            successors[parent].insert(at + 2);
        }
    }
    for (at, own) in successors.iter_mut().enumerate().filter(|(at, _)| *at != 1) {
        if own.is_empty() {
            assert!(at != 0, "the source has the first job");
            own.insert(1);
        }
    }
    let end = AnyJob { job_type: "noop", retry: 0, waits: false, deps: vec![] };
    let mut specs: Vec<JobSpec> = places
        .iter()
        .enumerate()
        .map(|(at, place)| {
            let job = at.checked_sub(2).map_or(&end, |inner| &jobs[inner]);
            let mut after: Vec<JobPlace> =
                successors[at].iter().map(|next| JobPlace(places[*next])).collect();
            after.sort();
            JobSpec {
                id: format!("{place:04}").parse().unwrap(),
                name: format!("job{at}").into(),
                job_type: job.job_type.into(),
                args: JsonMap::new(),
                bytes: Bytes::new(),
                retry: job.retry,
                retry_wait: job.waits.then(|| Wait::try_from(Arc::from("5s")).unwrap()),
                idempotent: job.job_type.starts_with("idempotent/"),
                sequence: SequencePlace(0),
                successors: after,
            }
        })
        .collect();
    specs.sort_by_key(|spec| spec.id);
    let begin = JobPlace(places[0]);
    let sequences = vec![SequenceSpec { begin, parent: None, retry: 0, retry_wait: None }];
    ChainParts { jobs: specs, sequences, parallels: vec![] }.try_into().unwrap()
}

/// A node of a random spec.
#[derive(Debug, Clone)]
enum AnyNode {
    Job { job_type: &'static str, retry: u32, waits: bool },
    Sequence { nodes: Vec<AnyPlaced>, retry: u32, waits: bool },
}

/// A node, how many of its expansions run at a time if it is expanded, and whether it comes after the one before it.
#[derive(Debug, Clone)]
struct AnyPlaced {
    node: AnyNode,
    parallel: Option<usize>,
    follows: bool,
}

fn any_placed(node: impl Strategy<Value = AnyNode>) -> impl Strategy<Value = AnyPlaced> {
    // Of three expansions: one or two at a time, or all.
    (node, prop::option::weighted(0.3, 1..4_usize), any::<bool>())
        .prop_map(|(node, parallel, follows)| AnyPlaced { node, parallel, follows })
}

fn any_node() -> impl Strategy<Value = AnyNode> {
    let job_type = prop_oneof![
        3 => Just("shell-command"), 1 => Just("sleep"), 1 => Just("noop"), 1 => Just("idempotent/x"),
        1 => Just("approval")
    ];
    let job = (job_type, 0..2_u32, any::<bool>()).prop_map(|(job_type, retry, waits)| AnyNode::Job {
        job_type,
        retry,
        waits,
    });
    job.prop_recursive(2, 12, 3, |inner| {
        (vec(any_placed(inner), 1..4), 0..3_u32, any::<bool>())
            .prop_map(|(nodes, retry, waits)| AnyNode::Sequence { nodes, retry, waits })
    })
}

/// A chain as specs make it, with sequences in sequences and expansions.
pub(crate) fn any_built_chain() -> impl Strategy<Value = ValidChain> {
    let chain = vec(any_placed(any_node()), 1..4).prop_map(|nodes| {
        let mut text = String::from("sequences:\n");
        write_sequence("R", &nodes, &mut text);
        let specs = Arc::new(Specs::load([("specs.yaml", text)]).unwrap());
        let list = JsonText::try_from(Arc::from("[1,2,3]")).unwrap();
        build(&specs, "R", &JsonMap::from([("l".into(), list)]), |calls| calls.drain(..).collect())
            .unwrap()
            .chain
    });
    chain.prop_filter("small enough to check often", |chain| chain.len() <= 150)
}

fn write_sequence(name: &str, nodes: &[AnyPlaced], text: &mut String) {
    let mut inner = Vec::new();
    writeln!(text, "  {name}:\n    request: true\n    args: {{required: [{{name: l}}]}}\n    nodes:")
        .unwrap();
    for (at, AnyPlaced { node, parallel, follows }) in nodes.iter().enumerate() {
        let (category, retry, waits) = match node {
            AnyNode::Job { job_type, retry, waits } => (format!("job, type: {job_type}"), retry, waits),
            AnyNode::Sequence { nodes, retry, waits } => {
                let callee = format!("{name}{at}");
                let category = format!("sequence, type: {callee}");
                inner.push((callee, nodes));
                (category, retry, waits)
            }
        };
        write!(text, "      n{at}: {{category: {category}, args: [{{expected: l}}], retry: {retry}").unwrap();
        if *retry > 0 && *waits {
            write!(text, ", retryWait: 5s").unwrap();
        }
        if let Some(parallel) = parallel {
            write!(text, ", each: [\"l:e\"], parallel: {parallel}").unwrap();
        }
        if *follows && at > 0 {
            write!(text, ", deps: [n{}]", at - 1).unwrap();
        }
        writeln!(text, "}}").unwrap();
    }
    for (callee, nodes) in inner {
        write_sequence(&callee, nodes, text);
    }
}

/// How often a job may fail: its tries in each try of each sequence around it; and three times with its node, if it may be run
/// again.
pub(crate) fn failures_max(chain: &ValidChain, job: JobPlace) -> u32 {
    let sequences = chain.enclosing(job).map(|sequence| chain.sequence(sequence).retry);
    let budget: u32 = sequences.chain([chain.job(job).retry]).map(|retry| retry + 1).product();
    budget + if chain.job(job).idempotent { 3 } else { 0 }
}
