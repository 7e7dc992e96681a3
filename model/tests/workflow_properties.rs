//! What holds of any requests, whatever happens to them. `Replica::apply` adds, after every entry: the rows
//! load to the same State, the checksum is that of the rows, and every invariant holds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
mod workflow_chains;
mod workflow_common;

use std::{collections::BTreeSet, fmt::Write, sync::Arc};

use bytes::Bytes;
use capstan_model::{
    apply::Applied,
    archive,
    command::{Command, NodeJoined},
    ids::{Incarnation, JobId, NodeId, RequestId},
    rejection::Rejection,
    reply::Reply,
    rows::RowChange,
    spec::{Specs, Wait},
    time::Timestamp,
    workflow::{
        chain::{ChainParts, JobPlace, JobSpec, SequencePlace, SequenceSpec, ValidChain},
        command::{CreateRequest, FinishTry, StartRetry, StopRequest, TryEnd},
        graph::CreateCall,
        job::JobState,
        json::{JsonMap, JsonText},
        request::RequestState,
    },
};
use common::{Replica, command_id, entry, joined, memory_rows::MemoryRows, sealed};
use proptest::{collection::vec, prelude::*, sample::Index};
use workflow_chains::{any_built_chain, any_chain, failures_max};
use workflow_common::{build, report};

/// Something that happens; what it picks from is what there is at that moment.
#[derive(Debug, Clone)]
enum Happening {
    Report {
        pick: Index,
        end: TryEnd,
    },
    Wake {
        pick: Index,
    },
    Stop {
        pick: Index,
    },
    Rejoin {
        node: u64,
        able: bool,
    },
    /// A node is declared lost.
    Lose {
        node: u64,
    },
    /// A node is drained, or no longer.
    Drain {
        node: u64,
        draining: bool,
    },
    /// A node shuts down.
    Leave {
        node: u64,
    },
    /// An earlier report or wake comes again.
    Replay {
        pick: Index,
    },
    TimePasses {
        secs: u64,
    },
}

fn any_end() -> impl Strategy<Value = TryEnd> {
    prop_oneof![
        8 => Just(TryEnd::Complete),
        3 => Just(TryEnd::Failed),
        1 => Just(TryEnd::Unknown),
        1 => Just(TryEnd::Stopped),
        1 => Just(TryEnd::KilledStopping),
        1 => Just(TryEnd::StoppedItself),
        1 => Just(TryEnd::CutOff),
    ]
}

fn any_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        12 => (any::<Index>(), any_end()).prop_map(|(pick, end)| Happening::Report { pick, end }),
        4 => any::<Index>().prop_map(|pick| Happening::Wake { pick }),
        1 => any::<Index>().prop_map(|pick| Happening::Stop { pick }),
        2 => (2..4_u64, prop::bool::weighted(0.8)).prop_map(|(node, able)| Happening::Rejoin { node, able }),
        1 => (2..4_u64).prop_map(|node| Happening::Lose { node }),
        2 => (2..4_u64, any::<bool>()).prop_map(|(node, draining)| Happening::Drain { node, draining }),
        1 => (2..4_u64).prop_map(|node| Happening::Leave { node }),
        4 => any::<Index>().prop_map(|pick| Happening::Replay { pick }),
        3 => (1..8_u64).prop_map(|secs| Happening::TimePasses { secs }),
    ]
}

/// A replica with requests, and what was reported so far. Node 1 speaks for clients and runs nothing.
struct World {
    replica: Replica,
    secs: u64,
    seq: u64,
    requests: Vec<RequestId>,
    /// Commands that were accepted once.
    reports: Vec<Command>,
}

impl World {
    fn new(chains: Vec<ValidChain>) -> Self {
        let mut world =
            Self { replica: Replica::default(), secs: 10, seq: 0, requests: vec![], reports: vec![] };
        world.join(1, false);
        world.join(2, true);
        world.join(3, true);
        for (number, chain) in (0..).zip(chains) {
            let id = RequestId([number; 12]);
            let (request_type, user) = ("any".into(), "".into());
            let create = CreateRequest { id, request_type, user, args: vec![], chain, specs: None };
            world.requests.push(id);
            world.apply(Command::CreateRequest(Arc::new(create))).0.unwrap();
        }
        world
    }

    /// Applies commands as one entry; all of them must be accepted.
    fn apply_all(&mut self, commands: impl Iterator<Item = Command>) {
        let sealed: Vec<_> = commands
            .map(|command| {
                self.seq += 1;
                sealed(command_id(1, 1, self.seq), None, command)
            })
            .collect();
        let index = self.replica.state.index() + 1;
        let applied = self.replica.apply(index, &entry(self.secs, vec![], sealed));
        assert!(applied.replies.iter().all(|(_, reply)| reply.is_ok()));
    }

    fn apply(&mut self, command: Command) -> (Reply, Applied) {
        self.seq += 1;
        let sealed = sealed(command_id(1, 1, self.seq), None, command.clone());
        let index = self.replica.state.index() + 1;
        let applied = self.replica.apply(index, &entry(self.secs, vec![], vec![sealed]));
        let reply = applied.replies[0].1.clone();
        if reply.is_ok() && matches!(command, Command::FinishTry(_) | Command::StartRetry(_)) {
            self.reports.push(command);
        }
        (reply, applied)
    }

    /// A node starts anew, able to run every job type or none.
    fn join(&mut self, node: u64, able: bool) {
        let boot = self.replica.state.nodes.get(&NodeId(node)).map_or(1, |node| node.incarnation.boot + 1);
        let mut joined: NodeJoined = joined(node, boot);
        joined.slots = 2;
        joined.job_types = ["idempotent/x", "noop", "shell-command", "sleep"].map(Arc::from).to_vec();
        if !able {
            joined.job_types.clear();
        }
        self.apply(Command::NodeJoined(joined)).0.unwrap();
    }

    fn life(&self, node: u64) -> Incarnation {
        self.replica.state.nodes[&NodeId(node)].incarnation
    }

    fn reportable(&self) -> Vec<FinishTry> {
        let state = &self.replica.state;
        let running = state.nodes.values().flat_map(|node| state.running_under(node.incarnation));
        let done = |end| report(end, Timestamp(self.secs * 1_000_000_000));
        running.map(|running| FinishTry { id: running.id, report: done(TryEnd::Complete) }).collect()
    }

    fn wakeable(&self) -> Vec<StartRetry> {
        let state = &self.replica.state;
        let waits = state.nodes.values().flat_map(|node| state.requests.retries_under(node.incarnation));
        waits.map(|wait| StartRetry { id: wait.id }).collect()
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Report { pick, end } => {
                let mut running = self.reportable();
                if !running.is_empty() {
                    let mut finish = running.swap_remove(pick.index(running.len()));
                    finish.report.end = end;
                    let name = Arc::from(finish.id.job.to_string());
                    finish.report.job_data.insert(name, JsonText::string("was here"));
                    self.apply(Command::FinishTry(Box::new(finish))).0.unwrap();
                }
            }
            Happening::Wake { pick } => {
                let mut waits = self.wakeable();
                if !waits.is_empty() {
                    // Too early is refused, and nothing else is.
                    let wake = waits.swap_remove(pick.index(waits.len()));
                    let _ = self.apply(Command::StartRetry(wake));
                }
            }
            Happening::Stop { pick } => {
                let request = *pick.get(&self.requests);
                let _ = self.apply(Command::StopRequest(StopRequest { request }));
            }
            Happening::Rejoin { node, able } => self.join(node, able),
            Happening::Lose { node } => {
                let incarnation = self.life(node);
                self.apply(Command::NodeLost { incarnation, term: 0 }).0.unwrap();
            }
            Happening::Drain { node, draining } => {
                let node = NodeId(node);
                let command =
                    if draining { Command::DrainNode { node } } else { Command::UndrainNode { node } };
                self.apply(command).0.unwrap();
            }
            Happening::Leave { node } => {
                let incarnation = self.life(node);
                self.apply(Command::NodeLeaving { incarnation }).0.unwrap();
            }
            Happening::Replay { pick } => {
                if !self.reports.is_empty() {
                    let again = pick.get(&self.reports).clone();
                    let before = self.replica.state.requests.clone();
                    let (reply, applied) = self.apply(again);
                    assert!(reply.is_err(), "a repeat was accepted");
                    assert_eq!(applied.events, []);
                    assert!(before == self.replica.state.requests, "a repeat changed something");
                }
            }
            Happening::TimePasses { secs } => self.secs += secs,
        }
    }

    /// Lets everything that runs complete, until nothing runs any more.
    fn finish(&mut self) {
        self.apply(Command::UndrainNode { node: NodeId(2) }).0.unwrap();
        self.join(2, true);
        for _ in 0..1_000 {
            self.secs += 10;
            let (running, waits) = (self.reportable(), self.wakeable());
            if running.is_empty() && waits.is_empty() {
                return;
            }
            for finish in running {
                self.apply(Command::FinishTry(Box::new(finish))).0.unwrap();
            }
            for wake in waits {
                // A report before it may have let the request change hands; its new owner is woken the next time.
                let _ = self.apply(Command::StartRetry(wake));
            }
        }
        panic!("requests do not end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// However requests are reported on, stopped and moved between nodes, they end once their jobs do, and
    /// the archive says of every job what its log says.
    #[test]
    fn requests_end_when_their_jobs_end(
        chains in vec(prop_oneof![any_chain(), any_built_chain()], 1..4),
        happenings in vec(any_happening(), 0..60),
    ) {
        let mut world = World::new(chains);
        for happening in happenings {
            world.happen(happening);
        }
        world.finish();
        prop_assert!(world.replica.state.requests.is_empty());
        let rows = MemoryRows(&world.replica.rows);
        for request in &world.requests {
            let detail = archive::finished_request(&rows, *request).unwrap().expect("it ended");
            let logs = archive::job_logs(&rows, *request).unwrap();
            let complete = detail.jobs.iter().filter(|job| job.state == JobState::Complete).count();
            prop_assert_eq!(complete, detail.summary.finished_jobs as usize);
            prop_assert_eq!(complete == detail.jobs.len(), detail.summary.state == RequestState::Complete);
            let chain = &detail.created.chain;
            for (place, job) in chain.places().zip(&detail.jobs) {
                let of_job = || logs.iter().filter(|log| log.job == chain.job(place).id);
                let tries: Vec<u32> = of_job().map(|log| log.try_no.0).collect();
                prop_assert!(tries.iter().copied().eq(1..=job.try_no.0), "tries {:?} of {:?}", tries, job);
                let newest = of_job().next_back().map(|log| log.state);
                let is_complete = job.state == JobState::Complete;
                prop_assert!(!is_complete || newest == Some(JobState::Complete), "{:?}", newest);
                let failures = of_job().filter(|log| matches!(log.state, JobState::Failed | JobState::Unknown));
                let failures = u32::try_from(failures.count()).unwrap();
                prop_assert!(failures <= failures_max(chain, place), "{} failures", failures);
            }
        }
    }

    /// A job starts after all it depends on are complete, and never before; in whatever order jobs are
    /// finished, all are.
    #[test]
    fn jobs_finished_in_any_order_complete_the_request(chain in any_chain(), picks in vec(any::<Index>(), 100)) {
        let mut world = World::new(vec![chain.clone()]);
        for pick in picks {
            let mut running = world.reportable();
            if running.is_empty() {
                break;
            }
            let live = world.replica.state.requests.get(&world.requests[0]).unwrap();
            for parent in chain.jobs() {
                let is_started = |next: &JobPlace| live.job_at(*next).state() != JobState::Pending;
                if parent.successors.iter().any(is_started) {
                    prop_assert_eq!(live.job(parent.id).unwrap().1.state(), JobState::Complete);
                }
            }
            let finish = running.swap_remove(pick.index(running.len()));
            world.apply(Command::FinishTry(Box::new(finish))).0.unwrap();
        }
        let rows = MemoryRows(&world.replica.rows);
        let detail = archive::finished_request(&rows, world.requests[0]).unwrap().expect("it ended");
        prop_assert_eq!(detail.summary.state, RequestState::Complete);
        prop_assert_eq!(detail.summary.finished_jobs, detail.summary.total_jobs);
    }

    /// The graph does not depend on the order in which job types answer.
    #[test]
    fn answers_may_come_in_any_order(picks in vec(any::<Index>(), 40)) {
        let specs = Arc::new(Specs::load([("specs.yaml", SPECS)]).unwrap());
        let first = shape(&build(&specs, "R", &JsonMap::new(), |calls| calls.drain(..).collect()).unwrap().chain);
        let mut picks = picks.into_iter();
        let one_at_random = |calls: &mut std::collections::VecDeque<CreateCall>| -> Vec<CreateCall> {
            let pick = picks.next().expect("fewer calls than picks");
            calls.remove(pick.index(calls.len())).into_iter().collect()
        };
        let other = shape(&build(&specs, "R", &JsonMap::new(), one_at_random).unwrap().chain);
        prop_assert_eq!(first, other);
    }
}

/// What a chain is but for its ids: names here are unique.
fn shape(chain: &ValidChain) -> BTreeSet<(String, String, Vec<String>)> {
    let describe = |spec: &JobSpec| {
        let mut after: Vec<String> =
            spec.successors.iter().map(|next| chain.job(*next).name.to_string()).collect();
        after.sort();
        (spec.name.to_string(), format!("{:?}", spec.args), after)
    };
    chain.jobs().iter().map(describe).collect()
}

const SPECS: &str = "
sequences:
  R:
    request: true
    nodes:
      a: {category: job, type: set/k=1, sets: [{arg: k}]}
      b: {category: job, type: set/k=2, sets: [{arg: k}], deps: [a]}
      c: {category: job, type: set/l=3, sets: [{arg: l, as: m}]}
      d: {category: sequence, type: S, args: [{expected: x, given: k}], sets: [{arg: y}], deps: [b]}
      e: {category: job, type: ok, args: [{expected: k}, {expected: m}, {expected: y}], deps: [c, d]}
      f: {category: job, type: ok, args: [{expected: k}], deps: [a]}
  S:
    args: {required: [{name: x}]}
    nodes:
      g: {category: job, type: ok, args: [{expected: x}]}
      h: {category: job, type: set/y=4, sets: [{arg: y}]}
";

/// A chain of ten thousand noops ends in the entry that created it, without a recursion that would end the stack.
#[test]
fn a_long_run_of_noops_is_no_recursion() {
    let count = 10_000;
    let ids: Vec<JobId> = (0..count).map(|at| format!("{at:04}").parse().unwrap()).collect();
    let jobs = (0..count).map(|at| JobSpec {
        id: ids[at as usize],
        name: "noop".into(),
        job_type: "noop".into(),
        args: JsonMap::new(),
        bytes: Bytes::new(),
        retry: 0,
        retry_wait: None,
        idempotent: false,
        sequence: SequencePlace(0),
        successors: if at + 1 < count { vec![JobPlace(at + 1)] } else { vec![] },
    });
    let sequences = vec![SequenceSpec { begin: JobPlace(0), parent: None, retry: 0, retry_wait: None }];
    let chain =
        ValidChain::try_from(ChainParts { jobs: jobs.collect(), sequences, parallels: vec![] }).unwrap();
    let world = World::new(vec![chain]);
    let detail =
        archive::finished_request(&MemoryRows(&world.replica.rows), world.requests[0]).unwrap().unwrap();
    assert_eq!(detail.summary.finished_jobs, count);
}

/// Each way in which parts can fail to be a chain is told.
#[test]
fn parts_that_are_no_chain_are_refused() {
    let job = |id: &str, sequence, successors: &[u32]| JobSpec {
        id: id.parse().unwrap(),
        name: "job".into(),
        job_type: "noop".into(),
        args: JsonMap::new(),
        bytes: Bytes::new(),
        retry: 0,
        retry_wait: None,
        idempotent: false,
        sequence: SequencePlace(sequence),
        successors: successors.iter().copied().map(JobPlace).collect(),
    };
    let sequence = |begin, parent: Option<u32>| SequenceSpec {
        begin: JobPlace(begin),
        parent: parent.map(SequencePlace),
        retry: 0,
        retry_wait: None,
    };
    let one = vec![sequence(0, None)];
    let cases = [
        (vec![], one.clone(), "a chain of 0 jobs"),
        (vec![job("b000", 0, &[1]), job("a000", 0, &[])], one.clone(), "out of order"),
        (vec![job("a000", 0, &[1]), job("a000", 0, &[])], one.clone(), "there twice"),
        (vec![job("a000", 0, &[2]), job("b000", 0, &[])], one.clone(), "impossible successor"),
        (vec![job("a000", 0, &[1, 1]), job("b000", 0, &[])], one.clone(), "impossible successor"),
        (vec![job("a000", 0, &[]), job("b000", 0, &[])], one.clone(), "2 and 2"),
        (
            vec![job("a000", 0, &[3]), job("b000", 0, &[2]), job("c000", 0, &[1, 3]), job("d000", 0, &[])],
            one.clone(),
            "cycle",
        ),
        (vec![job("a000", 1, &[])], one, "sequences"),
        (vec![job("a000", 0, &[])], vec![], "sequences"),
        (vec![job("a000", 0, &[])], vec![sequence(0, Some(0))], "sequences"),
        (vec![job("a000", 0, &[])], vec![sequence(0, None), sequence(0, Some(0))], "sequences"),
    ];
    for (jobs, sequences, reason) in cases {
        let error =
            ValidChain::try_from(ChainParts { jobs, sequences, parallels: vec![] }).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

/// A chain of one job after the other, between two noops.
fn chain_of(count: u32, job_type: &str, retry_wait: Option<Wait>) -> ValidChain {
    let jobs = (0..count).map(|at| JobSpec {
        id: format!("{at:04}").parse().unwrap(),
        name: "job".into(),
        job_type: if at == 0 || at + 1 == count { "noop" } else { job_type }.into(),
        args: JsonMap::new(),
        bytes: Bytes::new(),
        retry: 1,
        retry_wait: retry_wait.clone(),
        idempotent: false,
        sequence: SequencePlace(0),
        successors: if at + 1 < count { vec![JobPlace(at + 1)] } else { vec![] },
    });
    let sequences = vec![SequenceSpec { begin: JobPlace(0), parent: None, retry: 0, retry_wait: None }];
    ChainParts { jobs: jobs.collect(), sequences, parallels: vec![] }.try_into().unwrap()
}

/// Finishing a job writes as much in a chain of ten jobs as in one of five thousand.
#[test]
fn what_a_finished_job_writes_does_not_depend_on_the_chain() {
    let written = [10, 5_000].map(|count| {
        let mut world = World::new(vec![chain_of(count, "shell-command", None)]);
        let mut bytes = Vec::new();
        for _ in 0..3 {
            let finish = world.reportable().swap_remove(0);
            let (reply, applied) = world.apply(Command::FinishTry(Box::new(finish)));
            reply.unwrap();
            let size = |change: &RowChange| match change {
                RowChange::Put { key, value } => key.len() + value.len(),
                RowChange::Delete { key } => key.len(),
            };
            bytes.push(applied.rows.iter().map(size).sum::<usize>());
        }
        bytes
    });
    assert_eq!(written[0], written[1]);
    assert!(written[0].iter().all(|bytes| *bytes < 512), "{written:?}");
}

/// However many requests a node had, one command takes over no more than it may, and some commands take over all.
#[test]
fn requests_are_taken_over_256_at_a_time() {
    let count: u16 = 600;
    let mut world = World::new(vec![]);
    world.apply(Command::DrainNode { node: NodeId(3) }).0.unwrap();
    let wait = Wait::try_from(Arc::from("1h")).unwrap();
    let chain = chain_of(3, "sleep", Some(wait));
    let ids: Vec<RequestId> = (0..count)
        .map(|number| {
            let mut id = [0; 12];
            id[..2].copy_from_slice(&number.to_be_bytes());
            RequestId(id)
        })
        .collect();
    world.apply_all(ids.iter().map(|id| {
        let (id, chain) = (*id, chain.clone());
        let create = CreateRequest {
            id,
            request_type: "any".into(),
            user: "".into(),
            args: vec![],
            chain,
            specs: None,
        };
        Command::CreateRequest(Arc::new(create))
    }));
    let owned = |world: &World, node: u64| world.replica.state.requests.owned_by(world.life(node)).count();
    let left = |world: &World| {
        let state = &world.replica.state;
        state.requests.to_take_over(&state.nodes).count()
    };
    assert_eq!((owned(&world, 2), left(&world)), (600, 0));

    // The node is lost: its tries end, and their requests go on elsewhere.
    world.apply(Command::UndrainNode { node: NodeId(3) }).0.unwrap();
    let incarnation = world.life(2);
    world.apply(Command::NodeLost { incarnation, term: 0 }).0.unwrap();
    for (taken, untaken) in [(256, 344), (512, 88), (600, 0), (600, 0)] {
        assert_eq!((owned(&world, 3), left(&world)), (taken, untaken));
        // A report from the life that is over counts for nothing, also before its request is taken over.
        let late = world.replica.state.running_under(incarnation).next().map(|running| running.id);
        if let Some(id) = late {
            let report = report(TryEnd::Complete, Timestamp(0));
            let (reply, _) = world.apply(Command::FinishTry(Box::new(FinishTry { id, report })));
            assert!(matches!(reply, Err(Rejection::NotOwner { .. })), "{reply:?}");
        }
        world.apply(Command::TakeOver).0.unwrap();
    }

    // All of them wait for a retry when their node is drained: they are handed over.
    let failed = world.reportable();
    assert_eq!(failed.len(), 0, "every try was lost, and waits for its retry");
    world.join(2, true);
    world.apply(Command::DrainNode { node: NodeId(3) }).0.unwrap();
    for (taken, untaken) in [(256, 344), (512, 88), (600, 0)] {
        assert_eq!((owned(&world, 2), left(&world)), (taken, untaken));
        world.apply(Command::TakeOver).0.unwrap();
    }
    assert_eq!(world.wakeable().len(), 600);
}

/// Expands a request of one node over a list of so many numbers.
fn expanded(node: &str, count: usize) -> Result<usize, String> {
    let text = format!(
        "sequences: {{R: {{request: true, args: {{required: [{{name: l}}]}}, nodes: {{n: {node}}}}}, \
         S: {{args: {{required: [{{name: l}}]}}, nodes: {{n: {{category: job, type: ok, each: ['l:e']}}}}}}}}"
    );
    let specs = Arc::new(Specs::load([("specs.yaml", text)]).unwrap());
    let list = format!("[{}]", vec!["7"; count].join(","));
    let args = JsonMap::from([("l".into(), JsonText::try_from(Arc::from(list)).unwrap())]);
    build(&specs, "R", &args, |calls| calls.drain(..).collect()).map(|built| built.chain.len())
}

/// Too large requests are refused before they are made: by their jobs, and by what those would hold.
#[test]
fn a_request_is_bounded_before_it_is_built() {
    let jobs = "{category: job, type: ok, each: ['l:e']}";
    assert_eq!(expanded(jobs, 9_992), Ok(10_000));
    let too_many = Err("the request would have more than 10000 jobs".to_owned());
    for count in [9_993, 1_000_000] {
        assert_eq!(expanded(jobs, count), too_many);
    }
    let sequences = "{category: sequence, type: S, args: [{expected: l}], each: ['l:e'], parallel: 3}";
    assert_eq!(expanded(sequences, 50), Ok(4 + 4 + 50 * (4 + 4 + 50)));
    assert_eq!(expanded(sequences, 100), too_many);

    // Each of the jobs is given the whole list.
    let copies = "{category: job, type: ok, each: ['l:e'], args: [{expected: all, given: l}]}";
    let size = |list: usize| list * (2 * list) / 1024;
    assert!(size(1_000) < 8 * 1024 && expanded(copies, 1_000).is_ok());
    assert!(size(3_000) > 8 * 1024);
    let too_large = "the args and bytes of the request's jobs would be more than 8388608 bytes";
    assert_eq!(expanded(copies, 3_000), Err(too_large.to_owned()));
}

/// Sequences may call each other as deep as a request has jobs; nothing recurses, and the outermost one is tried again for the
/// innermost job.
#[test]
fn deep_calls_are_no_recursion() {
    let depth = 2_400;
    let mut text = String::from("sequences:\n");
    for level in 0..depth {
        let retry = u32::from(level == 0);
        let node = if level + 1 < depth {
            format!("{{category: sequence, type: S{}, retry: {retry}}}", level + 1)
        } else {
            "{category: job, type: shell-command}".to_owned()
        };
        writeln!(text, "  S{level}: {{request: true, nodes: {{n: {node}}}}}").unwrap();
    }
    let specs = Arc::new(Specs::load([("specs.yaml", text)]).unwrap());
    let built = build(&specs, "S0", &JsonMap::new(), |calls| calls.drain(..).collect()).unwrap();
    let jobs = u32::try_from(built.chain.len()).unwrap();
    assert_eq!(jobs, 4 * depth + 1);
    let mut world = World::new(vec![built.chain]);
    for end in [TryEnd::Failed, TryEnd::Complete] {
        let mut finish = world.reportable().swap_remove(0);
        finish.report.end = end;
        world.apply(Command::FinishTry(Box::new(finish))).0.unwrap();
    }
    let detail =
        archive::finished_request(&MemoryRows(&world.replica.rows), world.requests[0]).unwrap().unwrap();
    assert_eq!((detail.summary.state, detail.summary.finished_jobs), (RequestState::Complete, jobs));
}
