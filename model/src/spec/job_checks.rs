//! The checks of job nodes against what their types say of themselves; `J1` to `J3`. Spin Cycle finds these when a request is
//! created.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Level, Rule,
    decode::items,
    finding::{Findings, SequenceFindings},
    grammar::{Category, Node},
    nearest::{did_you_mean, nearest},
    node_checks::passed,
    node_order::nodes,
    parse::Parsed,
    words::invalid,
};

/// The job types that are known.
#[derive(Debug, Clone, Default)]
pub struct JobTypes {
    /// What each says of itself, by name.
    pub known: BTreeMap<Arc<str>, JobSignature>,
    /// Which other types there may be.
    pub others: OtherTypes,
}

/// Which job types there may be beside those that are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OtherTypes {
    /// Any.
    #[default]
    Any,
    /// Any whose name does not begin with `lrp/`, where all are built in.
    Plugins,
    /// None.
    None,
}

/// What a job type says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobSignature {
    /// What it needs and sets.
    Described {
        /// The args a job of this type needs.
        args: Vec<Arc<str>>,
        /// The args it promises to set.
        sets: Vec<Arc<str>>,
        /// Whether it may set others too.
        sets_more: bool,
    },
    /// There is such a type, but it could not be asked, for this reason.
    Silent(String),
}

impl JobSignature {
    /// A type that needs these args and sets none.
    pub fn needing(args: &[&str]) -> Self {
        let args = args.iter().map(|arg| Arc::from(*arg)).collect();
        Self::Described { args, sets: Vec::new(), sets_more: false }
    }
}

/// Checks the job nodes of every sequence that fits the grammar.
pub(super) fn check(parsed: &Parsed, jobs: &JobTypes, findings: &mut Findings) {
    for sequence in parsed.sequences.values().filter(|sequence| sequence.is_whole) {
        let mut findings = findings.of(sequence);
        for (name, node) in nodes(&sequence.body).filter(|(_, node)| node.category() == Some(Category::Job)) {
            findings.at_node(&name.value);
            check_node(node, jobs, &mut findings);
        }
    }
}

fn check_node(node: &Node, jobs: &JobTypes, findings: &mut SequenceFindings<'_>) {
    let Some(kind) = node.kind.as_ref().filter(|kind| !kind.value.is_empty()) else { return };
    match jobs.known.get(kind.value.as_str()) {
        Some(JobSignature::Described { args, sets, sets_more }) => {
            check_args(node, args, findings);
            check_sets(node, sets, *sets_more, findings);
        }
        Some(JobSignature::Silent(reason)) => {
            let message = format!("job type '{}' does not describe itself: {reason}", kind.value);
            findings.warning(Rule::J1, kind.at, message);
        }
        None if jobs.others.include(&kind.value) => {}
        None => {
            let near = did_you_mean(&kind.value, jobs.known.keys().map(|name| &**name));
            findings.error(Rule::J1, kind.at, invalid("type", &kind.value, "a job type") + &near);
        }
    }
}

impl OtherTypes {
    fn include(self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Plugins => !name.starts_with("lrp/"),
            Self::None => false,
        }
    }
}

/// J2: the job gets what its type needs.
fn check_args(node: &Node, needed: &[Arc<str>], findings: &mut SequenceFindings<'_>) {
    let Some(kind) = &node.kind else { return };
    let given: BTreeSet<&str> = passed(node).map(|(name, _)| name).collect();
    for arg in needed.iter().filter(|arg| !given.contains(&***arg)) {
        let strays = given.iter().copied().filter(|given| needed.iter().all(|needed| **needed != **given));
        let near = nearest(arg, strays).map_or_else(String::new, |near| format!("; '{near}' is"));
        let message =
            format!("arg '{arg}', which job type '{}' needs, is not among 'args'{near}", kind.value);
        findings.error(Rule::J2, kind.at, message);
    }
}

/// J3: the job hands back what its type sets, or what it was given. An error when the request could not be created; a warning when
/// the type may set it, but does not promise to.
fn check_sets(node: &Node, set: &[Arc<str>], sets_more: bool, findings: &mut SequenceFindings<'_>) {
    let Some(kind) = &node.kind else { return };
    let given: BTreeSet<&str> = passed(node).map(|(name, _)| name).collect();
    for arg in items(node.sets.as_ref()).filter_map(|set| set.arg.as_ref()) {
        if given.contains(arg.value.as_str()) || set.iter().any(|set| **set == *arg.value) {
            continue;
        }
        let near = did_you_mean(&arg.value, set.iter().map(|set| &**set).chain(given.iter().copied()));
        let level = if sets_more { Level::Warning } else { Level::Error };
        let message = format!("arg '{}' is not set by job type '{}'{near}", arg.value, kind.value);
        findings.add(level, Rule::J3, arg.at, message);
    }
}
