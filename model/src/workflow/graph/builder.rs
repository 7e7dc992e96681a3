//! The machine that builds one request.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    BuildError, Built, CreateCall, Created, Step,
    args::{fill_in, record_args},
    calls::{Around, Call, Calls, ExpansionAt, NodeAt, NodeProgress},
    plan::{Plan, Span, unordered},
};
use crate::{
    ids::JobId,
    spec::{Backoff, Node, Sequence, Specs, Wait, Work},
    workflow::{
        chain::{SequencePlace, SequenceSpec},
        command::RequestArg,
        job::is_noop,
        json::{self, JsonMap},
        terms::{JobTerms, Terms},
    },
};

/// The jobs around a sequence and around its nodes.
const JOBS_PER_CALL: usize = 4;

/// Builds one request.
pub struct Builder<D> {
    args: Vec<RequestArg>,
    /// How long the request may run.
    timeout: Option<Wait>,
    /// `None` once the chain is made of it.
    plan: Option<Plan<D>>,
    calls: Calls,
    /// Nodes that can be built, in the order in which that came about.
    ready: VecDeque<NodeAt>,
    /// Jobs that are being created.
    creating: BTreeMap<JobId, Creating>,
    refused: Option<BuildError>,
}

struct Creating {
    at: ExpansionAt,
    job: usize,
    args: JsonMap,
}

/// What a sequence is called as.
struct CallAs<'a> {
    graph_name: &'a str,
    retry: u32,
    wait: Option<Wait>,
    backoff: Option<Backoff>,
    caller: Option<ExpansionAt>,
}

impl<D: FnMut() -> JobId> Builder<D> {
    /// Begins a request of a type with the args a caller gave. `draw_id` draws an id at random; the builder
    /// asks again when it is taken.
    pub fn new(specs: Arc<Specs>, request_type: &str, args: &JsonMap, draw_id: D) -> Self {
        let mut builder = Self {
            args: Vec::new(),
            timeout: None,
            plan: Some(Plan::new(draw_id)),
            calls: Calls { specs, list: Vec::new() },
            ready: VecDeque::new(),
            creating: BTreeMap::new(),
            refused: None,
        };
        builder.refused = builder.begin(request_type, args).err();
        builder
    }

    /// Takes what was created, and goes on as far as it can. An answer that was not asked for is ignored.
    pub fn step(&mut self, created: Vec<Created>) -> Step {
        match self.advance(created) {
            Ok(calls) if calls.is_empty() && self.creating.is_empty() => Step::Done(Box::new(self.finish())),
            Ok(calls) => Step::Need(calls),
            Err(error) => {
                self.refused = Some(error.clone());
                Step::Refused(error)
            }
        }
    }

    fn begin(&mut self, request_type: &str, given: &JsonMap) -> Result<(), BuildError> {
        if request_type.is_empty() {
            return Err(BuildError::EmptyType);
        }
        let specs = self.calls.specs.clone();
        let sequence =
            specs.sequence(request_type).ok_or_else(|| BuildError::UnknownType(request_type.to_owned()))?;
        if !sequence.is_request {
            return Err(BuildError::NotARequest(request_type.to_owned()));
        }
        self.args = record_args(sequence, given)?;
        self.timeout = sequence.timeout.clone();
        // A request's own sequence is never tried again.
        let graph_name = &format!("request_{request_type}");
        let call = CallAs { graph_name, retry: 0, wait: Some(Wait::zero()), backoff: None, caller: None };
        self.begin_call(&sequence.name, given.clone(), call)
    }

    fn advance(&mut self, created: Vec<Created>) -> Result<Vec<CreateCall>, BuildError> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        for answer in created {
            self.take(answer)?;
        }
        let mut calls = Vec::new();
        while let Some(at) = self.ready.pop_front() {
            self.build_node(at, &mut calls)?;
        }
        Ok(calls)
    }

    fn plan(&mut self) -> &mut Plan<D> {
        self.plan.as_mut().expect("a finished builder is not asked again")
    }

    fn take(&mut self, Created { job, result }: Created) -> Result<(), BuildError> {
        let Some(Creating { at, job, mut args }) = self.creating.remove(&job) else { return Ok(()) };
        match result {
            Ok(output) => {
                self.plan().keep(output.bytes.len())?;
                let spec = self.plan().spec_mut(job);
                spec.bytes = output.bytes;
                spec.idempotent = output.idempotent;
                args.extend(output.args);
                self.end_expansion(at, Span { first: job, last: job }, args)
            }
            Err(error) => {
                let spec = self.plan().spec(job);
                let (job_type, name) = (spec.job_type.clone(), spec.name.clone());
                Err(BuildError::NotCreated { path: self.calls.path(Some(at.node)), job_type, name, error })
            }
        }
    }

    /// Begins a sequence: its four wrapper jobs, and the nodes that depend on none. One without nodes ends at once.
    fn begin_call(
        &mut self,
        name: &Arc<str>,
        mut args: JsonMap,
        CallAs { graph_name, retry, wait, backoff, caller }: CallAs<'_>,
    ) -> Result<(), BuildError> {
        let specs = self.calls.specs.clone();
        let spec = specs.callee(name).expect("loaded specs call only sequences that exist");
        fill_in(spec, &mut args);
        let sequence = self.plan().next_sequence();
        let outer = self.plan().add_wrappers(graph_name, sequence)?;
        let inner = self.plan().add_wrappers(name, sequence)?;
        self.plan().link(outer.first, inner.first);
        self.plan().link(inner.last, outer.last);
        let parent = caller.map(|at| self.calls.list[at.node.call].sequence);
        let begin = unordered(outer.first);
        self.plan().add_sequence(SequenceSpec { begin, parent, retry, retry_wait: wait }, backoff)?;
        let call = self.calls.list.len();
        let nodes: Vec<NodeProgress> = spec
            .nodes
            .iter()
            .map(|node| NodeProgress { deps_left: node.deps.len(), ..NodeProgress::default() })
            .collect();
        let free = nodes.iter().enumerate().filter(|(_, progress)| progress.deps_left == 0);
        self.ready.extend(free.map(|(node, _)| NodeAt { call, node }));
        let nodes_left = nodes.len();
        self.calls.list.push(Call {
            name: name.clone(),
            caller,
            sequence,
            outer,
            inner,
            args,
            nodes,
            nodes_left,
        });
        if nodes_left == 0 {
            self.plan().link(inner.first, inner.last);
            let args = std::mem::take(&mut self.calls.list[call].args);
            if let Some(caller) = caller {
                self.end_expansion(caller, outer, args)?;
            }
        }
        Ok(())
    }

    /// Builds a node all of whose dependencies are built: every expansion of it.
    fn build_node(&mut self, at: NodeAt, calls: &mut Vec<CreateCall>) -> Result<(), BuildError> {
        let specs = self.calls.specs.clone();
        let node = self.calls.spec_of(&specs, at);
        let elements = self.calls.elements(at, node)?;
        let sequence = self.calls.list[at.call].sequence;
        if elements.len() == 0 {
            let span = self.plan().add_wrappers(&format!("noop_{}", node.name), sequence)?;
            self.plan().link(span.first, span.last);
            return self.end_node(at, span);
        }
        let jobs_each = if matches!(node.work, Work::Job(_)) { 1 } else { JOBS_PER_CALL };
        self.plan().reserve(elements.len().saturating_mul(jobs_each))?;
        let around = if elements.len() > 1 { Some(self.add_around(node, sequence)?) } else { None };
        let args = self.calls.args_of(at, node)?;
        let progress = &mut self.calls.list[at.call].nodes[at.node];
        progress.around = around;
        progress.expansions = vec![None; elements.len()];
        progress.expansions_left = elements.len();
        for number in 0..elements.len() {
            let at = ExpansionAt { node: at, number };
            calls.extend(self.build_expansion(at, node, elements.args(number, &args))?);
        }
        Ok(())
    }

    fn add_around(&mut self, node: &Node, sequence: SequencePlace) -> Result<Around, BuildError> {
        let name = format!("repeat_{}", node.name);
        let outer = self.plan().add_wrappers(&name, sequence)?;
        let inner = self.plan().add_wrappers(&name, sequence)?;
        self.plan().link(outer.first, inner.first);
        self.plan().link(inner.last, outer.last);
        Ok(Around { outer, inner })
    }

    fn build_expansion(
        &mut self,
        at: ExpansionAt,
        node: &Node,
        mut args: JsonMap,
    ) -> Result<Option<CreateCall>, BuildError> {
        match &node.work {
            Work::Job(job_type) => self.build_job(at, node, job_type, args),
            Work::Sequence(called) => {
                self.call(called, args, &format!("sequence_{}", node.name), node, at)?;
                Ok(None)
            }
            Work::Conditional(condition) => {
                let value = self.calls.arg_of(at.node, node, &condition.arg);
                let value =
                    value.cloned().ok_or_else(|| self.calls.not_set(at.node, node, &condition.arg))?;
                let called = self.calls.choose(at.node, condition, &value)?;
                // The chosen sequence gets the value too, as in Spin Cycle.
                args.insert(condition.arg.clone(), value);
                self.call(&called, args, &format!("conditional_{}", node.name), node, at)?;
                Ok(None)
            }
        }
    }

    fn call(
        &mut self,
        called: &Arc<str>,
        args: JsonMap,
        graph_name: &str,
        node: &Node,
        at: ExpansionAt,
    ) -> Result<(), BuildError> {
        let (retry, wait, backoff) = (node.retry, node.retry_wait.clone(), node.backoff.clone());
        self.begin_call(called, args, CallAs { graph_name, retry, wait, backoff, caller: Some(at) })
    }

    fn build_job(
        &mut self,
        at: ExpansionAt,
        node: &Node,
        job_type: &Arc<str>,
        args: JsonMap,
    ) -> Result<Option<CreateCall>, BuildError> {
        let sequence = self.calls.list[at.node.call].sequence;
        let job = self.plan().add_job(&node.name, job_type, sequence, args.clone())?;
        let id = self.plan().spec(job).id;
        self.plan().set_retry(job, node.retry, node.retry_wait.clone())?;
        let terms = JobTerms { timeout: node.timeout.clone(), backoff: node.backoff.clone() };
        self.plan().set_terms(job, terms)?;
        if is_noop(job_type) {
            self.end_expansion(at, Span { first: job, last: job }, args)?;
            return Ok(None);
        }
        self.creating.insert(id, Creating { at, job, args: args.clone() });
        Ok(Some(CreateCall { job: id, job_type: job_type.clone(), name: node.name.clone(), args }))
    }

    /// Takes a built expansion, and ends every node and sequence that this completes.
    fn end_expansion(&mut self, at: ExpansionAt, span: Span, args: JsonMap) -> Result<(), BuildError> {
        let specs = self.calls.specs.clone();
        let mut ended = Some((at, span, args));
        while let Some((at, span, args)) = ended.take() {
            let node = self.calls.spec_of(&specs, at.node);
            let exports = self.calls.exports_of(at.node, node, &args)?;
            self.plan().keep(json::size(&exports))?;
            let progress = &mut self.calls.list[at.node.call].nodes[at.node.node];
            progress.expansions[at.number] = Some(span);
            progress.expansions_left -= 1;
            if at.number + 1 == progress.expansions.len() {
                // Of several expansions the last of the list is the one that hands back.
                progress.exports = exports;
            }
            if progress.expansions_left > 0 {
                return Ok(());
            }
            let whole = self.enclose(at.node, node);
            ended = self.link_node(at.node, whole, &specs);
        }
        Ok(())
    }

    /// Ends a node that has no expansions.
    fn end_node(&mut self, at: NodeAt, span: Span) -> Result<(), BuildError> {
        let specs = self.calls.specs.clone();
        match self.link_node(at, span, &specs) {
            Some((caller, outer, args)) => self.end_expansion(caller, outer, args),
            None => Ok(()),
        }
    }

    /// Links the expansions of a node with the jobs around them; returns what the node was built as.
    fn enclose(&mut self, at: NodeAt, node: &Node) -> Span {
        let progress = &self.calls.list[at.call].nodes[at.node];
        let spans: Vec<Span> =
            progress.expansions.iter().map(|span| span.expect("all expansions are built")).collect();
        let Some(Around { outer, inner }) = progress.around else { return spans[0] };
        for span in &spans {
            self.plan().link(inner.first, span.first);
            self.plan().link(span.last, inner.last);
        }
        if let Some(running_max) = node.parallel.filter(|max| (max.get() as usize) < spans.len()) {
            self.plan().add_parallel(inner.first, running_max.get(), &spans);
        }
        outer
    }

    /// Links a built node behind its dependencies. If it was the last of its sequence, returns the expansion that called
    /// it, what that was built as, and the args it ended with.
    fn link_node(&mut self, at: NodeAt, span: Span, specs: &Specs) -> Option<(ExpansionAt, Span, JsonMap)> {
        let node = self.calls.spec_of(specs, at);
        let call = &mut self.calls.list[at.call];
        call.nodes[at.node].span = Some(span);
        call.nodes_left -= 1;
        let ends_of = |dep: &usize| call.nodes[*dep].span.expect("dependencies are built first").last;
        let before: Vec<usize> = match node.deps[..] {
            [] => vec![call.inner.first],
            _ => node.deps.iter().map(ends_of).collect(),
        };
        let sequence = specs.callee(&call.name).expect("loaded specs call only sequences that exist");
        let dependents = sequence.nodes.iter().enumerate().filter(|(_, node)| node.deps.contains(&at.node));
        for (next, _) in dependents {
            let progress = &mut call.nodes[next];
            progress.deps_left -= 1;
            if progress.deps_left == 0 {
                self.ready.push_back(NodeAt { call: at.call, node: next });
            }
        }
        let (nodes_left, outer, caller) = (call.nodes_left, call.outer, call.caller);
        for job in before {
            self.plan().link(job, span.first);
        }
        if nodes_left > 0 {
            return None;
        }
        let args = self.end_call(at.call, sequence);
        caller.map(|caller| (caller, outer, args))
    }

    /// Links the last nodes of a sequence to its end; returns its args as they are then.
    fn end_call(&mut self, at: usize, sequence: &Sequence) -> JsonMap {
        let call = &mut self.calls.list[at];
        let followed: BTreeSet<usize> =
            sequence.nodes.iter().flat_map(|node| node.deps.iter().copied()).collect();
        let mut args = std::mem::take(&mut call.args);
        let mut lasts = Vec::new();
        for (place, node) in call.nodes.iter_mut().enumerate() {
            args.append(&mut node.exports);
            if !followed.contains(&place) {
                lasts.push(node.span.expect("all nodes are built").last);
            }
        }
        let end = call.inner.last;
        for last in lasts {
            self.plan().link(last, end);
        }
        args
    }

    fn finish(&mut self) -> Built {
        let plan = self.plan.take().expect("a builder finishes once");
        let request_type = self.calls.list[0].name.clone();
        let (chain, terms) = plan.into_chain();
        let terms = Terms { timeout: self.timeout.take(), ..terms };
        Built { request_type, args: std::mem::take(&mut self.args), chain, terms, specs: None }
    }
}
