//! One run: a world from a seed, faults and clients, then peace, and the verdict.

use std::{
    cell::RefCell,
    fmt,
    path::PathBuf,
    sync::{Arc, Once},
    time::Duration,
};

use capstan_raft_store::{runtime, timing::Timing, witness};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{
    runtime::{Builder, RngSeed},
    task::LocalSet,
    time::Instant,
};

use crate::{
    faults::{self, Planned},
    history::{self, Call, Outcome, linearizable},
    oracle::{Observation, Violation},
    requests::{self, RequestLoad, Requests, verdict},
    tally::Tally,
    trace::{Trace, TraceSummary},
    workload::{self, Load, Workload},
    world::{Ground, Machines, World, nodes},
};

/// How long a healed cluster may take to serve writes through every node: five of its longest elections, and what a node needs to
/// be admitted again.
const HEALED_WITHIN: Duration = Duration::from_secs(10);
/// How long every request of a healed cluster may take to end. The longest has three jobs in a row with eight retries, and may
/// wait for slots behind many others; what is stuck is stuck for ever.
const SETTLED_WITHIN: Duration = Duration::from_secs(600);

/// Everything a run follows from.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What all choices follow from.
    pub seed: u64,
    /// How long things go wrong, in virtual time.
    pub safety: Duration,
    /// What goes wrong.
    pub schedule: Vec<Planned>,
    /// How busy the clients of variables are.
    pub load: Load,
    /// How busy the clients of requests are.
    pub requests: RequestLoad,
    /// What the specs that are drawn follow from.
    pub specs_seed: u64,
    /// The nodes' periods.
    pub timing: Timing,
    /// Where every event is written, if anywhere.
    pub trace: Option<PathBuf>,
}

impl Plan {
    /// The plan that a seed stands for.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let safety = Duration::from_secs(40);
        let load = Load {
            clients: rng.random_range(2..=6),
            keys: rng.random_range(1..=5),
            think_max: Duration::from_millis(10 << rng.random_range(0..7)),
        };
        let requests = RequestLoad {
            clients: if rng.random_bool(0.15) { 0 } else { rng.random_range(1..=4) },
            think_max: Duration::from_millis(500 << rng.random_range(0..4)),
            run_max: Duration::from_millis(50 << rng.random_range(0..7)),
            long_odds: if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.1..0.6) },
            slots: rng.random_range(2..=8),
        };
        let lease = Duration::from_millis(rng.random_range(1_000..=5_000));
        let Timing { ack_age_max, kill, .. } = Timing::default();
        let timing = Timing {
            lease,
            // The shortest that `Timing::check` allows, and up to a third longer.
            owner_lost_after: (ack_age_max + lease + kill).mul_f64(1.1 / 0.9 * rng.random_range(1.001..1.3)),
            snapshot_bytes: 1 << rng.random_range(9..17),
            snapshot_every: Duration::from_secs(rng.random_range(3..60)),
            // A follower that lags by more needs a snapshot.
            log_kept: if rng.random_bool(0.6) { 0 } else { 1 << rng.random_range(2..9) },
            ..Timing::default()
        };
        timing.check().expect("the periods are drawn so that they fit together");
        let schedule = faults::schedule(rng.random(), safety);
        let specs_seed = rng.random();
        Self { seed, safety, schedule, load, requests, specs_seed, timing, trace: None }
    }
}

/// What a run showed.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What did not hold, in the order it was noticed; empty when all is well.
    pub violations: Vec<Violation>,
    /// Its events.
    pub trace: TraceSummary,
    /// What happened.
    pub tally: Tally,
    /// How many calls clients made.
    pub operations: u64,
    /// How many writes had an unknown outcome.
    pub unknown: u64,
    /// How much virtual time passed.
    pub virtual_time: Duration,
}

/// A summary in one line, and before it each violation as a paragraph.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Violation { at_us, invariant, found } in &self.violations {
            writeln!(f, "at {:?}, not so: {invariant}\n  {found}", Duration::from_micros(*at_us))?;
        }
        write!(
            f,
            "seed {}: {} violations; {} events, hash {:016x}; {:.1} virtual s, {} calls, {} unknown, {}",
            self.seed,
            self.violations.len(),
            self.trace.events,
            self.trace.hash,
            self.virtual_time.as_secs_f64(),
            self.operations,
            self.unknown,
            self.tally,
        )
    }
}

thread_local! {
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs a plan to its end.
///
/// # Panics
/// The trace file cannot be created.
pub fn run(plan: &Plan) -> Report {
    run_with(plan, |_, _| std::future::ready(()))
}

/// Runs a plan with something of its own beside clients and faults, which must end before the peace does.
///
/// # Panics
/// As [`run`].
pub fn run_with<S, F>(plan: &Plan, scenario: S) -> Report
where
    S: FnOnce(World, Workload) -> F,
    F: Future<Output = ()>,
{
    catch_panics();
    PANICS.set(Some(Vec::new()));
    runtime::seed_thread(plan.seed);
    let tokio = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(RngSeed::from_bytes(&plan.seed.to_le_bytes()))
        .build()
        .expect("a runtime without IO needs nothing");
    let root = LocalSet::new();
    let mut report = root.block_on(&tokio, one_run(plan.clone(), scenario));
    let escaped = {
        drop(root);
        tokio.metrics().num_alive_tasks()
    };
    let mut note = |invariant: &str, found: String| {
        let at_us = u64::try_from(report.virtual_time.as_micros()).expect("a run is shorter than an age");
        report.violations.push(Violation { at_us, invariant: invariant.to_owned(), found });
    };
    if escaped > 0 {
        note("every task belongs to a node", format!("{escaped} tasks outlived all nodes"));
    }
    for panic in PANICS.take().unwrap_or_default() {
        note("nothing panics", panic);
    }
    report
}

async fn one_run<S, F>(plan: Plan, scenario: S) -> Report
where
    S: FnOnce(World, Workload) -> F,
    F: Future<Output = ()>,
{
    let start = Instant::now();
    let trace = Arc::new(Trace::start(plan.trace.as_deref()).expect("the trace file can be created"));
    let mut rng = SmallRng::seed_from_u64(plan.seed ^ 0x5eed);
    let specs = requests::specs::load(plan.specs_seed);
    let ground = Ground { timing: plan.timing.clone(), specs, slots: plan.requests.slots };
    let world = World::new(rng.random(), ground, Arc::clone(&trace));
    let (net, oracle) = (Arc::clone(&world.machines.net), Arc::clone(&world.machines.oracle));
    let workload = Workload::new(Arc::clone(&net), Arc::clone(&oracle), Arc::clone(&trace));
    let requests = Requests::new(net, Arc::clone(&oracle));
    let seen = Arc::clone(&oracle);
    witness::tell(Some(Box::new(move |node, index, entry| seen.applying(node, index, entry))));
    world.boot_all();

    let mut clients: Vec<_> = (1..=plan.load.clients)
        .map(|id| tokio::task::spawn_local(workload.client(id, rng.random()).run(plan.load.clone())))
        .collect();
    clients.extend(
        (1..=plan.requests.clients)
            .map(|id| tokio::task::spawn_local(requests.client(id, rng.random(), &plan.requests).run())),
    );
    let nemesis =
        tokio::task::spawn_local(faults::carry_out(world.clone(), Arc::clone(&trace), plan.schedule.clone()));
    let story = scenario(world.clone(), workload.clone());
    tokio::join!(tokio::time::sleep(plan.safety), story);
    nemesis.abort();

    trace.event(0, "healed", &[], &[]);
    faults::heal(&world);
    let undraining = tokio::task::spawn_local(faults::keep_undrained(world.clone()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    for client in clients {
        client.abort();
    }
    demand_progress(&world, &workload, rng.random()).await;
    read_everything(&workload, &plan.load, rng.random()).await;
    settle(&world).await;
    undraining.abort();
    judge(&world, &workload, &requests);

    let history = workload.history();
    let unknown = history.iter().filter(|one| one.is_write() && one.outcome == Outcome::Unknown).count();
    world.end();
    witness::tell(None);
    Report {
        seed: plan.seed,
        violations: oracle.violations(),
        trace: trace.summary(),
        tally: oracle.tally(),
        operations: history.len() as u64 + requests.calls(),
        unknown: unknown as u64,
        virtual_time: start.elapsed(),
    }
}

/// A healed cluster serves writes through every node.
async fn demand_progress(world: &World, workload: &Workload, seed: u64) {
    let start = Instant::now();
    let mut client = workload.client(1_000, seed);
    for node in nodes() {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let value = format!("progress-{node}-{attempt}").into();
            let call = Call::Put { value, if_revision: None };
            if matches!(client.call(node, "progress", call).await, Outcome::Put { .. }) {
                break;
            }
            if start.elapsed() > HEALED_WITHIN {
                let lives = world.machines.life_of(node).is_some();
                let status = world.machines.handle(node).map(|handle| handle.status());
                let found =
                    format!("not through node {node} (up: {lives}) within {HEALED_WITHIN:?}: {status:?}");
                return world.machines.oracle.violated("a healed cluster serves writes", found);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Reads every key through every node, so that the history says what is there at the end.
async fn read_everything(workload: &Workload, load: &Load, seed: u64) {
    let mut client = workload.client(1_001, seed);
    for number in 0..load.keys {
        for node in nodes() {
            client.call(node, &workload::key(number), Call::Get).await;
        }
    }
}

/// Waits until every request has ended, and judges what is left when that takes too long.
async fn settle(world: &World) {
    let start = Instant::now();
    let Machines { oracle, processes, .. } = &*world.machines;
    loop {
        let (state, running) = (oracle.committed_state(), processes.running());
        let is_settled = state.requests.is_empty() && running.is_empty();
        if is_settled || start.elapsed() > SETTLED_WITHIN {
            return oracle.observe(&Observation::Settled { state: &state, processes: &running });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn judge(world: &World, workload: &Workload, requests: &Requests) {
    let oracle = &world.machines.oracle;
    let history = workload.history();
    let newest = nodes().filter_map(|node| world.machines.handle(node)).map(|handle| handle.view());
    if let Some(view) = newest.max_by_key(capstan_raft_store::handle::View::index) {
        history::witness::check(&history, oracle, view.state());
        verdict::check(requests, oracle, &view);
    }
    if let Err(found) = linearizable::check(&history) {
        oracle.violated("every key is linearizable", found);
    }
}

/// Keeps what panics say on threads that simulate, and leaves other threads alone. tokio swallows panics of tasks.
fn catch_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_kept = PANICS.try_with(|panics| match &mut *panics.borrow_mut() {
                Some(panics) => {
                    tracing::error!("{panic}");
                    panics.push(panic.to_string());
                    true
                }
                None => false,
            });
            if !is_kept.unwrap_or(false) {
                before(panic);
            }
        }));
    });
}
