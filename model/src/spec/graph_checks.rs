//! The graph checks, and the checked sequences they yield; `G1` to `G8` are the rows of
//! `reference/spin-cycle.md` 2.7.
//!
//! Unlike upstream, an arg counts as set only by a real ancestor, so that a spec with a forgotten `deps`
//! never passes by luck.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    NOOP, Position, Rule, Sequence, build,
    call_order::{callees, callees_first},
    checks,
    decode::items,
    each_checks,
    finding::{Findings, SequenceFindings},
    grammar,
    nearest::did_you_mean,
    node_order::{NamedNode, order_nodes},
    parse::{Parsed, ParsedSequence},
    retry_checks,
    words::quoted,
};

/// What the graph checks made of the sequences they looked at. What is not among them was not checked.
pub(super) type Checked = BTreeMap<Arc<str>, Option<Sequence>>;

/// Checks the graphs of the sequences that passed the static checks, callees first. Those that fail are `None`.
pub(super) fn check(parsed: &Parsed, passed: &BTreeSet<&str>, findings: &mut Findings) -> Checked {
    let mut checked = Checked::new();
    for sequence in callees_first(parsed, findings) {
        if !passed.contains(&*sequence.name) {
            continue;
        }
        let mut findings = findings.of(sequence);
        let built = check_sequence(sequence, &checked, &mut findings).filter(|_| findings.is_clean());
        checked.insert(sequence.name.clone(), built);
    }
    checked
}

fn check_sequence<'a>(
    sequence: &'a ParsedSequence,
    checked: &Checked,
    findings: &mut SequenceFindings<'a>,
) -> Option<Sequence> {
    let order = order_nodes(&sequence.body, findings)?;
    let built = build::build(sequence, &order);
    for (place, (name, node)) in order.iter().enumerate() {
        findings.at_node(&name.value);
        check_inputs(place, node, &Inputs { sequence, order: &order, built: &built }, findings);
        check_outputs(node, checked, findings);
        retry_checks::check(node, checked, findings);
    }
    findings.at_sequence();
    Some(built)
}

/// Where the args of a node may come from.
struct Inputs<'a> {
    sequence: &'a ParsedSequence,
    order: &'a [NamedNode<'a>],
    built: &'a Sequence,
}

impl Inputs<'_> {
    /// What the nodes at these places set.
    fn set_by(&self, places: impl Iterator<Item = usize>) -> impl Iterator<Item = &str> {
        let setters = places.flat_map(|place| items(self.order[place].1.sets.as_ref()));
        setters.filter_map(checks::set_name).map(|name| name.value.as_str())
    }

    /// Whether an arg is declared, or set by an ancestor of the node at this place.
    fn has(&self, place: usize, arg: &str) -> bool {
        checks::declared(&self.sequence.body).any(|declared| declared == arg)
            || self.set_by(self.built.nodes[place].ancestors.iter().copied()).any(|set| set == arg)
    }

    /// What might help the node at this place to an arg it does not have.
    fn help(&self, place: usize, arg: &str) -> String {
        let node = &self.built.nodes[place];
        let sets = |other: &usize| self.set_by(std::iter::once(*other)).any(|set| set == arg);
        let others = (0..self.order.len()).filter(|other| *other != place);
        if let Some(setter) = others.filter(|other| node.ancestors.binary_search(other).is_err()).find(sets) {
            let setter = &self.order[setter].0.value;
            return format!("; node {setter} sets it, but is not before this one: see 'deps'");
        }
        let set = self.set_by(node.ancestors.iter().copied());
        did_you_mean(arg, checks::declared(&self.sequence.body).chain(set))
    }
}

/// G1 and G2: every arg a node is given, expanded over or chosen by is declared, or set by an ancestor.
fn check_inputs(
    place: usize,
    node: &grammar::Node,
    inputs: &Inputs<'_>,
    findings: &mut SequenceFindings<'_>,
) {
    if let Some(condition) = node.condition.as_ref().filter(|arg| !inputs.has(place, &arg.value)) {
        let (arg, help) = (&condition.value, inputs.help(place, &condition.value));
        let message = format!("'if: {arg}': job arg {arg} is not set{help}");
        findings.error(Rule::G1, condition.at, message);
    }
    let lists = each_checks::entries(node).map(|entry| (entry.list, entry.at));
    let given = items(node.args.as_ref()).filter_map(|arg| arg.given.as_ref().or(arg.expected.as_ref()));
    let given = given.map(|arg| (arg.value.as_str(), arg.at));
    let mut unset: BTreeMap<&str, Position> = BTreeMap::new();
    for (arg, at) in lists.chain(given).filter(|(arg, _)| !inputs.has(place, arg)) {
        unset.entry(arg).or_insert(at);
    }
    for (arg, at) in unset {
        let help = inputs.help(place, arg);
        findings.error(
            Rule::G2,
            at,
            format!("expected job args to be set by some previous node: {arg}{help}"),
        );
    }
}

/// G6 and G7: what a call hands back is set by every sequence it may call. What a job sets is trusted until the
/// request is built. Of a callee that was not checked nothing is said.
fn check_outputs(node: &grammar::Node, checked: &Checked, findings: &mut SequenceFindings<'_>) {
    let mut failed = BTreeMap::new();
    let mut known = Vec::new();
    for name in callees(node) {
        match checked.get(name.value.as_str()) {
            Some(Some(sequence)) => known.push((name.value.as_str(), Some(sequence))),
            Some(None) => {
                failed.entry(name.value.as_str()).or_insert(name.at);
            }
            // The built-in sequence sets nothing.
            None if name.value == NOOP => known.push((NOOP, None)),
            None => {}
        }
    }
    for (name, at) in failed {
        findings.error(Rule::G6, at, format!("subsequences failed checks: {name}"));
    }
    for arg in items(node.sets.as_ref()).filter_map(|set| set.arg.as_ref()) {
        let sets_it =
            |callee: &Option<&Sequence>| callee.is_some_and(|it| sets(it).any(|set| set == arg.value));
        let without: BTreeSet<&str> =
            known.iter().filter(|(_, callee)| !sets_it(callee)).map(|(name, _)| *name).collect();
        if !without.is_empty() {
            let set = known.iter().filter_map(|(_, callee)| *callee).flat_map(sets);
            let near = did_you_mean(&arg.value, set.filter(|set| *set != arg.value));
            let message = format!(
                "did not set job args declared in 'sets': {} is not set by {}{near}",
                arg.value,
                quoted(without)
            );
            findings.error(Rule::G7, arg.at, message);
        }
    }
}

/// The args a sequence ends with: its own, and those its nodes set.
fn sets(sequence: &Sequence) -> impl Iterator<Item = &str> {
    let own = sequence.args.iter().map(|arg| &*arg.name);
    own.chain(sequence.nodes.iter().flat_map(|node| &node.sets).map(|set| &*set.to))
}
