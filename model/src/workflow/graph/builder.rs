//! The machine that builds one request.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    BuildError, Built, CreateCall, Created, NodePath, Step,
    args::{fill_in, record_args},
    error::DRAWS_MAX,
};
use crate::{
    ids::JobId,
    spec::{Node, Rename, Sequence, Specs, Wait, Work},
    workflow::{
        chain::{ChainParts, JOBS_MAX, JobPlace, JobSpec, SequencePlace, SequenceSpec, ValidChain},
        command::RequestArg,
        job::is_noop,
        json::JsonMap,
    },
};

/// Builds one request.
pub struct Builder<D> {
    specs: Arc<Specs>,
    draw_id: D,
    args: Vec<RequestArg>,
    jobs: Vec<NewJob>,
    ids: BTreeSet<JobId>,
    sequences: Vec<SequenceSpec>,
    calls: Vec<Call>,
    /// Nodes that can be built, in the order in which that came about.
    ready: VecDeque<NodeAt>,
    /// Jobs that are being created.
    creating: BTreeMap<JobId, Creating>,
    refused: Option<BuildError>,
}

/// A job in the making; its place is where it stands in `jobs`, until the chain is put in order.
struct NewJob {
    spec: JobSpec,
    successors: BTreeSet<usize>,
}

/// A sequence in the making.
struct Call {
    name: Arc<str>,
    /// The node that calls it; `None` for the request's own.
    caller: Option<NodeAt>,
    sequence: SequencePlace,
    /// The jobs around all of it.
    outer: Span,
    /// The jobs around its nodes.
    inner: Span,
    /// The args it began with.
    args: JsonMap,
    nodes: Vec<NodeProgress>,
    nodes_left: usize,
}

#[derive(Default)]
struct NodeProgress {
    deps_left: usize,
    /// What it was built as.
    span: Option<Span>,
    /// What it handed back, under the sequence's names.
    exports: JsonMap,
}

/// A node of a sequence in the making.
#[derive(Debug, Clone, Copy)]
struct NodeAt {
    call: usize,
    node: usize,
}

/// The first and the last job of something.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: usize,
    last: usize,
}

struct Creating {
    node: NodeAt,
    job: usize,
    args: JsonMap,
}

/// How often, and after which wait, a sequence is tried again.
struct Retry {
    retry: u32,
    wait: Option<Wait>,
}

impl<D: FnMut() -> JobId> Builder<D> {
    /// Begins a request of a type with the args a caller gave. `draw_id` draws an id at random; the builder
    /// asks again when it is taken.
    pub fn new(specs: Arc<Specs>, request_type: &str, args: &JsonMap, draw_id: D) -> Self {
        let mut builder = Self {
            specs,
            draw_id,
            args: Vec::new(),
            jobs: Vec::new(),
            ids: BTreeSet::new(),
            sequences: Vec::new(),
            calls: Vec::new(),
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
        let specs = self.specs.clone();
        let sequence =
            specs.sequence(request_type).ok_or_else(|| BuildError::UnknownType(request_type.to_owned()))?;
        if !sequence.is_request {
            return Err(BuildError::NotARequest(request_type.to_owned()));
        }
        self.args = record_args(sequence, given)?;
        // A request's own sequence is never tried again.
        let retry = Retry { retry: 0, wait: Some(Wait::zero()) };
        self.begin_call(&sequence.name, given.clone(), &format!("request_{request_type}"), retry, None)
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
            calls.extend(self.build_node(at)?);
        }
        Ok(calls)
    }

    fn take(&mut self, Created { job, result }: Created) -> Result<(), BuildError> {
        let Some(Creating { node, job, mut args }) = self.creating.remove(&job) else { return Ok(()) };
        match result {
            Ok(output) => {
                self.jobs[job].spec.bytes = output.bytes;
                args.extend(output.args);
                self.end_node(node, Span { first: job, last: job }, &args)
            }
            Err(error) => {
                let JobSpec { job_type, name, .. } = &self.jobs[job].spec;
                let (job_type, name) = (job_type.clone(), name.clone());
                Err(BuildError::NotCreated { path: self.path(Some(node)), job_type, name, error })
            }
        }
    }

    /// Begins a sequence: its four wrapper jobs, and the nodes that depend on none.
    fn begin_call(
        &mut self,
        name: &Arc<str>,
        mut args: JsonMap,
        graph_name: &str,
        Retry { retry, wait }: Retry,
        caller: Option<NodeAt>,
    ) -> Result<(), BuildError> {
        let specs = self.specs.clone();
        let spec = specs.sequence(name).expect("loaded specs call only sequences that exist");
        fill_in(spec, &mut args);
        let place =
            SequencePlace(u32::try_from(self.sequences.len()).expect("sequences are fewer than jobs"));
        let outer = self.add_wrappers(graph_name, place)?;
        let inner = self.add_wrappers(name, place)?;
        self.jobs[outer.first].successors.insert(inner.first);
        self.jobs[inner.last].successors.insert(outer.last);
        let parent = caller.map(|at| self.calls[at.call].sequence);
        let begin = JobPlace(u32::try_from(outer.first).expect("jobs are bounded"));
        self.sequences.push(SequenceSpec { begin, parent, retry, retry_wait: wait });
        let call = self.calls.len();
        let nodes: Vec<NodeProgress> = spec
            .nodes
            .iter()
            .map(|node| NodeProgress { deps_left: node.deps.len(), ..NodeProgress::default() })
            .collect();
        let free = nodes.iter().enumerate().filter(|(_, progress)| progress.deps_left == 0);
        self.ready.extend(free.map(|(node, _)| NodeAt { call, node }));
        let nodes_left = nodes.len();
        self.calls.push(Call {
            name: name.clone(),
            caller,
            sequence: place,
            outer,
            inner,
            args,
            nodes,
            nodes_left,
        });
        Ok(())
    }

    fn add_wrappers(&mut self, name: &str, sequence: SequencePlace) -> Result<Span, BuildError> {
        let mut wrapper = |end: &str| self.add_job(&format!("{name}_{end}").into(), &"noop".into(), sequence);
        Ok(Span { first: wrapper("begin")?, last: wrapper("end")? })
    }

    fn add_job(
        &mut self,
        name: &Arc<str>,
        job_type: &Arc<str>,
        sequence: SequencePlace,
    ) -> Result<usize, BuildError> {
        if self.jobs.len() == JOBS_MAX {
            return Err(BuildError::TooManyJobs);
        }
        let spec = JobSpec {
            id: self.free_id()?,
            name: name.clone(),
            job_type: job_type.clone(),
            args: JsonMap::new(),
            bytes: Bytes::new(),
            retry: 0,
            retry_wait: None,
            sequence,
            successors: Vec::new(),
        };
        self.jobs.push(NewJob { spec, successors: BTreeSet::new() });
        Ok(self.jobs.len() - 1)
    }

    fn free_id(&mut self) -> Result<JobId, BuildError> {
        let drawn =
            std::iter::repeat_with(&mut self.draw_id).take(DRAWS_MAX).find(|id| !self.ids.contains(id));
        let id = drawn.ok_or(BuildError::NoJobId)?;
        self.ids.insert(id);
        Ok(id)
    }

    /// Builds a node all of whose dependencies are built.
    fn build_node(&mut self, at: NodeAt) -> Result<Option<CreateCall>, BuildError> {
        let specs = self.specs.clone();
        let node = self.spec_of(&specs, at);
        let args = self.args_of(at, node)?;
        match &node.work {
            Work::Sequence(called) => {
                let retry = Retry { retry: node.retry, wait: node.retry_wait.clone() };
                self.begin_call(called, args, &format!("sequence_{}", node.name), retry, Some(at))?;
                Ok(None)
            }
            Work::Job(job_type) => {
                let job = self.add_job(&node.name, job_type, self.calls[at.call].sequence)?;
                let spec = &mut self.jobs[job].spec;
                spec.args = args.clone();
                spec.retry = node.retry;
                spec.retry_wait = node.retry_wait.clone();
                if is_noop(job_type) {
                    self.end_node(at, Span { first: job, last: job }, &args)?;
                    return Ok(None);
                }
                let id = spec.id;
                self.creating.insert(id, Creating { node: at, job, args: args.clone() });
                Ok(Some(CreateCall { job: id, job_type: job_type.clone(), name: node.name.clone(), args }))
            }
        }
    }

    /// The args a node is given: what it lists, from the sequence's own and what its ancestors set.
    fn args_of(&self, at: NodeAt, node: &Node) -> Result<JsonMap, BuildError> {
        let call = &self.calls[at.call];
        let set_by_ancestor = |arg: &str| {
            node.ancestors.iter().rev().find_map(|ancestor| call.nodes[*ancestor].exports.get(arg))
        };
        let give = |Rename { from, to }: &Rename| match set_by_ancestor(from).or_else(|| call.args.get(from))
        {
            Some(value) => Ok((to.clone(), value.clone())),
            None => Err(BuildError::ArgNotSet {
                path: self.path(Some(at)),
                job_type: work_name(node),
                arg: from.clone(),
            }),
        };
        node.args.iter().map(give).collect()
    }

    /// Takes a built node, links it behind its dependencies, and ends every sequence that this completes.
    fn end_node(&mut self, mut at: NodeAt, mut span: Span, args: &JsonMap) -> Result<(), BuildError> {
        let specs = self.specs.clone();
        let mut args = args.clone();
        loop {
            let node = self.spec_of(&specs, at);
            let exports = self.exports_of(at, node, &args)?;
            let call = &mut self.calls[at.call];
            call.nodes[at.node] = NodeProgress { deps_left: 0, span: Some(span), exports };
            call.nodes_left -= 1;
            let ends_of = |dep: &usize| call.nodes[*dep].span.expect("dependencies are built first").last;
            let before: Vec<usize> = match node.deps[..] {
                [] => vec![call.inner.first],
                _ => node.deps.iter().map(ends_of).collect(),
            };
            for job in before {
                self.jobs[job].successors.insert(span.first);
            }
            let sequence = specs.sequence(&call.name).expect("loaded specs call only sequences that exist");
            let dependents =
                sequence.nodes.iter().enumerate().filter(|(_, node)| node.deps.contains(&at.node));
            for (next, _) in dependents {
                let progress = &mut call.nodes[next];
                progress.deps_left -= 1;
                if progress.deps_left == 0 {
                    self.ready.push_back(NodeAt { call: at.call, node: next });
                }
            }
            if call.nodes_left > 0 {
                return Ok(());
            }
            let (outer, caller) = (call.outer, call.caller);
            args = self.end_call(at.call, sequence);
            match caller {
                Some(caller) => (at, span) = (caller, outer),
                None => return Ok(()),
            }
        }
    }

    /// Links the last nodes of a sequence to its end; returns its args as they are then.
    fn end_call(&mut self, at: usize, sequence: &Sequence) -> JsonMap {
        let call = &mut self.calls[at];
        let followed: BTreeSet<usize> =
            sequence.nodes.iter().flat_map(|node| node.deps.iter().copied()).collect();
        let mut args = std::mem::take(&mut call.args);
        for (place, node) in call.nodes.iter_mut().enumerate() {
            args.append(&mut node.exports);
            if !followed.contains(&place) {
                let last = node.span.expect("all nodes are built").last;
                self.jobs[last].successors.insert(call.inner.last);
            }
        }
        args
    }

    fn exports_of(&self, at: NodeAt, node: &Node, args: &JsonMap) -> Result<JsonMap, BuildError> {
        let export = |Rename { from, to }: &Rename| match args.get(from) {
            Some(value) => Ok((to.clone(), value.clone())),
            None => Err(BuildError::SetMissing {
                path: self.path(self.calls[at.call].caller),
                job_type: work_name(node),
                arg: from.clone(),
            }),
        };
        node.sets.iter().map(export).collect()
    }

    fn spec_of<'s>(&self, specs: &'s Specs, at: NodeAt) -> &'s Node {
        let sequence = specs.sequence(&self.calls[at.call].name);
        &sequence.expect("loaded specs call only sequences that exist").nodes[at.node]
    }

    /// Where a node stands, from the request inwards.
    fn path(&self, at: Option<NodeAt>) -> NodePath {
        let specs = self.specs.clone();
        let callers = std::iter::successors(at, |at| self.calls[at.call].caller);
        let mut path: Vec<_> = callers
            .map(|at| (self.calls[at.call].name.clone(), self.spec_of(&specs, at).name.clone()))
            .collect();
        path.reverse();
        NodePath(path)
    }

    /// Puts the jobs in the order of their ids.
    fn finish(&mut self) -> Built {
        let jobs = std::mem::take(&mut self.jobs);
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by_key(|at| jobs[*at].spec.id);
        let mut places = vec![JobPlace(0); jobs.len()];
        for (place, at) in order.iter().enumerate() {
            places[*at] = JobPlace(u32::try_from(place).expect("jobs are bounded"));
        }
        let mut sequences = std::mem::take(&mut self.sequences);
        for sequence in &mut sequences {
            sequence.begin = places[sequence.begin.0 as usize];
        }
        let mut specs: Vec<JobSpec> = jobs
            .into_iter()
            .map(|NewJob { spec, successors }| {
                let mut successors: Vec<JobPlace> = successors.into_iter().map(|at| places[at]).collect();
                successors.sort_unstable();
                JobSpec { successors, ..spec }
            })
            .collect();
        specs.sort_by_key(|spec| spec.id);
        let chain = ValidChain::try_from(ChainParts { jobs: specs, sequences })
            .expect("a builder builds valid chains");
        Built { request_type: self.calls[0].name.clone(), args: std::mem::take(&mut self.args), chain }
    }
}

/// The job type or sequence a node stands for.
fn work_name(node: &Node) -> Arc<str> {
    match &node.work {
        Work::Job(name) | Work::Sequence(name) => name.clone(),
    }
}
