//! The graph checks, and the checked sequences they yield; `G1` to `G8` are the rows of
//! `reference/spin-cycle.md` 2.7.
//!
//! Unlike upstream, an arg counts as set only by a real ancestor, so that a spec with a forgotten `deps`
//! never passes by luck.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
};

use super::{
    AclRule, Arg, ArgKind, Backoff, Condition, Factor, Findings, NOOP, Node, Position, Rename, Sequence,
    SequenceFindings, Wait, Work, checks, each_checks,
    grammar::{self, Ops},
    parse::{Parsed, ParsedSequence},
    timing_checks,
    yaml::{Text, items},
};

/// Checks the graph of every sequence, callees first, and builds the checked ones.
pub(super) fn check(parsed: &Parsed, findings: &mut Findings) -> BTreeMap<Arc<str>, Sequence> {
    let mut sequences = BTreeMap::new();
    for sequence in callees_first(parsed, findings) {
        let mut findings = findings.of(sequence);
        let Some(order) = order_nodes(&sequence.body, &mut findings) else { continue };
        let built = build(sequence, &order);
        check_inputs(&built, sequence, &order, &mut findings);
        check_outputs(&built, sequence, &order, &sequences, &mut findings);
        sequences.insert(sequence.name.clone(), built);
    }
    sequences
}

/// G5: the sequences in an order in which none calls a later one; those of a cycle, and their callers, are
/// reported and left out.
fn callees_first<'a>(parsed: &'a Parsed, findings: &mut Findings) -> Vec<&'a ParsedSequence> {
    let mut callers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, sequence) in parsed {
        let called: BTreeSet<&str> = nodes(&sequence.body)
            .flat_map(|(_, node)| callees(node))
            .filter(|called| parsed.contains_key(*called))
            .collect();
        calls.insert(name, called.len());
        for callee in called {
            callers.entry(callee).or_default().push(name);
        }
    }
    let mut ready: Vec<&str> = calls.iter().filter(|(_, left)| **left == 0).map(|(name, _)| *name).collect();
    let mut order = Vec::new();
    while let Some(name) = ready.pop() {
        calls.remove(name);
        order.push(&parsed[name]);
        for caller in callers.get(name).into_iter().flatten() {
            let left = calls.get_mut(caller).expect("a sequence is ordered after all it calls");
            *left -= 1;
            if *left == 0 {
                ready.push(caller);
            }
        }
    }
    let cycle = calls.keys().copied().collect::<Vec<_>>().join(", ");
    for name in calls.keys() {
        let sequence = &parsed[*name];
        let message = format!("part of cyclical dependency among sequences: {cycle}");
        findings.of(sequence).error(sequence.at, message);
    }
    order
}

/// G4: a node after all it depends on, otherwise in the order of the file.
fn order_nodes<'a>(
    body: &'a grammar::Sequence,
    findings: &mut SequenceFindings<'_>,
) -> Option<Vec<(&'a Text, &'a grammar::Node)>> {
    let names: BTreeSet<&str> = nodes(body).map(|(name, _)| name.value.as_str()).collect();
    let mut unknown = false;
    for (name, node) in nodes(body) {
        for (dep, at) in deps(node).filter(|(dep, _)| !names.contains(dep)) {
            let message = checks::invalid("deps", dep, "the name of a node of this sequence");
            findings.error(at, format!("node {}: {message}", name.value));
            unknown = true;
        }
    }
    if unknown {
        return None;
    }
    let mut left: Vec<_> = nodes(body).collect();
    let mut placed = BTreeSet::new();
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let is_ready = |node: &grammar::Node| deps(node).all(|(dep, _)| placed.contains(dep));
        let Some(next) = left.iter().position(|(_, node)| is_ready(node)) else {
            let cycle: Vec<&str> = left.iter().map(|(name, _)| name.value.as_str()).collect();
            let at = left[0].0.at;
            findings.error(at, format!("cyclical dependencies found amongst: [{}]", cycle.join(" ")));
            return None;
        };
        let (name, node) = left.remove(next);
        placed.insert(name.value.as_str());
        order.push((name, node));
    }
    Some(order)
}

/// G1 and G2: every arg a node is given, expanded over or chosen by is declared, or set by an ancestor.
fn check_inputs(
    built: &Sequence,
    parsed: &ParsedSequence,
    order: &[(&Text, &grammar::Node)],
    findings: &mut SequenceFindings<'_>,
) {
    let declared: BTreeSet<&str> = checks::declared(&parsed.body).collect();
    for (place, node) in built.nodes.iter().enumerate() {
        let set_before = |arg: &str| {
            node.ancestors
                .iter()
                .any(|ancestor| built.nodes[*ancestor].sets.iter().any(|set| *set.to == *arg))
        };
        let is_set = |arg: &str| declared.contains(arg) || set_before(arg);
        if let Work::Conditional(Condition { arg, .. }) = &node.work
            && !is_set(arg)
        {
            let message = format!("in node {}: 'if: {arg}': job arg {arg} is not set", node.name);
            findings.error(order[place].0.at, message);
        }
        let given = node.each.iter().chain(&node.args).map(|arg| &*arg.from);
        let unset: BTreeSet<&str> = given.filter(|arg| !is_set(arg)).collect();
        if !unset.is_empty() {
            let unset = unset.into_iter().collect::<Vec<_>>().join(", ");
            let message =
                format!("node {}: expected job args to be set by some previous node: {unset}", node.name);
            findings.error(order[place].0.at, message);
        }
    }
}

/// G6 and G7: what a call hands back is set by every sequence it may call. What a job sets is trusted until the
/// request is built.
fn check_outputs(
    built: &Sequence,
    parsed: &ParsedSequence,
    order: &[(&Text, &grammar::Node)],
    sequences: &BTreeMap<Arc<str>, Sequence>,
    findings: &mut SequenceFindings<'_>,
) {
    for (place, node) in built.nodes.iter().enumerate() {
        // The built-in sequence is not among them, and sets nothing.
        let callees: BTreeSet<&Arc<str>> = node.work.callees().collect();
        let failed: Vec<&str> = callees
            .iter()
            .filter(|name| !sequences.contains_key(**name) && &****name != NOOP)
            .map(|name| &***name)
            .collect();
        if !failed.is_empty() {
            findings.error(parsed.at, format!("subsequences failed checks: {}", failed.join(", ")));
            continue;
        }
        let is_set =
            |arg: &str| callees.iter().all(|name| sequences.get(*name).is_some_and(|it| sets(it, arg)));
        let unset: Vec<&str> = match node.work {
            Work::Job(_) => Vec::new(),
            _ => node.sets.iter().map(|set| &*set.from).filter(|arg| !is_set(arg)).collect(),
        };
        if !unset.is_empty() {
            let message = format!(
                "nodes did not set job args declared in 'sets': {} (failed to set {})",
                node.name,
                unset.join(", ")
            );
            findings.error(order[place].0.at, message);
        }
    }
}

/// Whether a sequence ends with this arg set: by a node, or because it is one of its own.
fn sets(sequence: &Sequence, arg: &str) -> bool {
    sequence.args.iter().any(|declared| *declared.name == *arg)
        || sequence.nodes.iter().flat_map(|node| &node.sets).any(|set| *set.to == *arg)
}

/// Notes every node's ancestors; nodes stand behind all they depend on.
fn note_ancestors(nodes: &mut [Node]) {
    for place in 0..nodes.len() {
        let (before, node) = nodes.split_at_mut(place);
        let node = &mut node[0];
        let of_deps = node.deps.iter().flat_map(|dep| before[*dep].ancestors.iter().copied());
        let ancestors: BTreeSet<usize> = of_deps.chain(node.deps.iter().copied()).collect();
        node.ancestors = ancestors.into_iter().collect();
    }
}

fn nodes(body: &grammar::Sequence) -> impl Iterator<Item = (&Text, &grammar::Node)> {
    body.nodes.iter().flat_map(|nodes| &nodes.0).filter_map(|(name, node)| Some((name, node.as_ref()?)))
}

fn deps(node: &grammar::Node) -> impl Iterator<Item = (&str, Position)> {
    node.deps.iter().flatten().filter_map(|dep| Some((dep.value.as_deref()?, dep.at)))
}

/// The names of the sequences a node may call.
fn callees(node: &grammar::Node) -> impl Iterator<Item = &str> {
    let category = node.category.as_ref().map(|category| category.value.as_str());
    let called = node.kind.as_ref().filter(|_| category == Some("sequence"));
    let branches = node.branches.as_ref().filter(|_| category == Some("conditional"));
    let targets =
        branches.into_iter().flat_map(|branches| &branches.value.0).filter_map(|(_, to)| to.as_ref());
    called.into_iter().chain(targets).map(|name| name.value.as_str())
}

fn build(sequence: &ParsedSequence, order: &[(&Text, &grammar::Node)]) -> Sequence {
    let body = &sequence.body;
    let places: BTreeMap<&str, usize> =
        order.iter().enumerate().map(|(place, (name, _))| (name.value.as_str(), place)).collect();
    let mut nodes: Vec<Node> = order.iter().map(|(name, node)| build_node(name, node, &places)).collect();
    note_ancestors(&mut nodes);
    Sequence {
        name: sequence.name.clone(),
        is_request: body.request.as_ref().is_some_and(|request| request.value),
        args: build_args(body),
        acl: items(body.acl.as_ref()).map(build_rule).collect(),
        timeout: body.timeout.as_ref().and_then(timing_checks::wait),
        nodes,
    }
}

fn build_args(body: &grammar::Sequence) -> Vec<Arg> {
    let Some(args) = &body.args else { return Vec::new() };
    let kinds = [
        (ArgKind::Required, &args.required),
        (ArgKind::Optional, &args.optional),
        (ArgKind::Static, &args.fixed),
    ];
    let arg = |kind, arg: &grammar::Arg| Arg {
        name: text(arg.name.as_ref()),
        desc: text(arg.desc.as_ref()),
        kind,
        default: arg.default.as_ref().map(|default| default.value.as_str().into()),
    };
    kinds
        .into_iter()
        .flat_map(|(kind, list)| items(list.as_ref()).map(move |declared| arg(kind, declared)))
        .collect()
}

fn build_rule(entry: &grammar::AclEntry) -> AclRule {
    let listed = match &entry.ops {
        Some(Ops::Listed(ops)) => ops.iter().map(|op| op.value.as_str().into()).collect(),
        Some(Ops::Admin) | None => Vec::new(),
    };
    AclRule {
        role: text(entry.role.as_ref()),
        admin: matches!(entry.ops, Some(Ops::Admin)) || entry.admin.as_ref().is_some_and(|admin| admin.value),
        ops: listed,
    }
}

fn build_node(name: &Text, node: &grammar::Node, places: &BTreeMap<&str, usize>) -> Node {
    let rename =
        |from: &Text, to: &Text| Rename { from: from.value.as_str().into(), to: to.value.as_str().into() };
    let given = |arg: &grammar::NodeArg| {
        let expected = arg.expected.as_ref()?;
        Some(rename(arg.given.as_ref().unwrap_or(expected), expected))
    };
    let handed_back = |set: &grammar::NodeSet| {
        let arg = set.arg.as_ref()?;
        Some(rename(arg, set.renamed.as_ref().unwrap_or(arg)))
    };
    let retry = node.retry.as_ref().map_or(0, |retry| retry.value.0);
    let written_wait = node.retry_wait.as_ref().and_then(timing_checks::wait);
    let deps: BTreeSet<usize> = deps(node).map(|(dep, _)| places[dep]).collect();
    Node {
        name: name.value.as_str().into(),
        work: build_work(node),
        args: items(node.args.as_ref()).filter_map(given).collect(),
        sets: items(node.sets.as_ref()).filter_map(handed_back).collect(),
        each: each_checks::entries(node)
            .map(|entry| Rename { from: entry.list.into(), to: entry.element.into() })
            .collect(),
        parallel: node.parallel.as_ref().and_then(|parallel| NonZeroU32::new(parallel.value.0)),
        deps: deps.into_iter().collect(),
        ancestors: Vec::new(),
        retry,
        retry_wait: written_wait.or_else(|| (retry > 0).then(Wait::zero)),
        backoff: build_backoff(node),
        timeout: node.timeout.as_ref().and_then(timing_checks::wait),
    }
}

fn build_backoff(node: &grammar::Node) -> Option<Backoff> {
    let factor = Factor::try_from(Arc::<str>::from(node.retry_backoff.as_ref()?.value.as_str())).ok()?;
    let wait_max = node.retry_wait_max.as_ref().and_then(timing_checks::wait);
    Some(Backoff { factor, wait_max })
}

fn build_work(node: &grammar::Node) -> Work {
    let kind = text(node.kind.as_ref());
    match node.category.as_ref().map(|category| category.value.as_str()) {
        Some("sequence") => Work::Sequence(kind),
        Some("conditional") => {
            let branches = node.branches.iter().flat_map(|branches| &branches.value.0);
            let branch = |(value, target): &(Text, Option<Text>)| {
                Some((value.value.as_str().into(), target.as_ref()?.value.as_str().into()))
            };
            Work::Conditional(Condition {
                arg: text(node.condition.as_ref()),
                branches: branches.filter_map(branch).collect(),
            })
        }
        _ => Work::Job(kind),
    }
}

fn text(text: Option<&Text>) -> Arc<str> {
    text.map_or("", |text| text.value.as_str()).into()
}
