//! One run: a world from a plan, faults and clients, then peace, and the verdict.

use std::{
    cell::RefCell,
    fmt,
    path::PathBuf,
    sync::{Arc, Once},
    time::Duration,
};

use capstan_model::ids::NodeId;
use capstan_raft_store::{runtime, witness};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{
    runtime::{Builder, RngSeed},
    task::{JoinSet, LocalSet},
    time::Instant,
};

use crate::{
    auth_load::{self, AuthClients},
    events::{self, Tailers},
    faults::{self, OnPurpose},
    health,
    history::{self, Call, Outcome, linearizable},
    invariants::instances_match_desires,
    lrps::{Lrps, cleaner},
    net::Place,
    oracle::{Observation, Oracle, Violation},
    plan::{Heal, Plan},
    probes::{Counting, Counts},
    requests::{Requests, beyond, verdict},
    retention::{self, Readers},
    specs_load::{Directories, SpecClients},
    tally::Tally,
    trace::{Event, Trace, TraceSummary},
    workload::{self, Load, Workload},
    world::{Ground, Machines, World},
};

/// How long a healed cluster may take to serve writes through every node, beside its elections and one step of a snapshot
/// that was lost on the way: what a node needs to start and to be admitted again.
const ADMITTED_WITHIN: Duration = Duration::from_secs(6);
/// The clients of the run itself: who demands progress of a core, and of all, and who reads in the end.
const CORE_CHECKER: u64 = 1_000;
const CHECKER: u64 = 1_001;
const READER: u64 = 1_002;
/// How long every request of a healed cluster may take to end. The longest has three jobs in a row with eight retries, and may
/// wait for slots behind many others; what is stuck is stuck for ever.
const SETTLED_WITHIN: Duration = Duration::from_secs(600);

/// What is kept of a run beside its verdict, and how it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Where every event is written, if anywhere.
    pub trace: Option<PathBuf>,
    /// Whether the report holds every event.
    pub keeps_events: bool,
    /// Whether the run ends at the first thing that does not hold.
    pub ends_at_violation: bool,
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
    /// The events themselves, if they were to be kept.
    pub events: Vec<Event>,
    /// What happened.
    pub tally: Tally,
    /// How often each place was reached or disturbed.
    pub counts: Counts,
    /// How many calls clients made.
    pub operations: u64,
    /// How many writes had an unknown outcome.
    pub unknown: u64,
    /// How much virtual time passed.
    pub virtual_time: Duration,
}

impl Report {
    /// Notes what was found out after the end.
    fn note(&mut self, invariant: &str, found: String) {
        let at_us = u64::try_from(self.virtual_time.as_micros()).expect("a run is shorter than an age");
        self.violations.push(Violation { at_us, invariant: invariant.to_owned(), found });
    }
}

/// A summary in one line, and before it the first violations, a paragraph each.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Violation { at_us, invariant, found } in self.violations.iter().take(VIOLATIONS_SHOWN) {
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

/// What comes after the first few follows from them.
const VIOLATIONS_SHOWN: usize = 3;

thread_local! {
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs a plan to its end.
pub fn run(plan: &Plan) -> Report {
    run_as(plan, &Options::default())
}

/// Runs a plan.
///
/// # Panics
/// The trace file cannot be created.
pub fn run_as(plan: &Plan, options: &Options) -> Report {
    let mut report = run_story(plan, options, |_, _| std::future::ready(()));
    if plan.is_faultless() {
        for (invariant, found) in health::check(&report) {
            report.note(invariant, found);
        }
    }
    report
}

/// Runs a plan with something of its own beside clients and faults, which must end before the peace does.
pub fn run_with<S, F>(plan: &Plan, scenario: S) -> Report
where
    S: FnOnce(World, Workload) -> F,
    F: Future<Output = ()>,
{
    run_story(plan, &Options::default(), scenario)
}

fn run_story<S, F>(plan: &Plan, options: &Options, scenario: S) -> Report
where
    S: FnOnce(World, Workload) -> F,
    F: Future<Output = ()>,
{
    catch_panics();
    PANICS.set(Some(Vec::new()));
    runtime::seed_thread(plan.seed);
    let counting = Counting::start(plan.buggify);
    let tokio = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(RngSeed::from_bytes(&plan.seed.to_le_bytes()))
        .build()
        .expect("a runtime without IO needs nothing");
    let root = LocalSet::new();
    let mut report = root.block_on(&tokio, one_run(plan, options, scenario));
    let escaped = {
        drop(root);
        tokio.metrics().num_alive_tasks()
    };
    witness::tell(None);
    report.counts = counting.end();
    if escaped > 0 {
        report.note("every task belongs to a node", format!("{escaped} tasks outlived all nodes"));
    }
    for panic in PANICS.take().unwrap_or_default() {
        report.note("nothing panics", panic);
    }
    report
}

async fn one_run<S, F>(plan: &Plan, options: &Options, scenario: S) -> Report
where
    S: FnOnce(World, Workload) -> F,
    F: Future<Output = ()>,
{
    let start = Instant::now();
    let trace = Trace::start(options.trace.as_deref(), options.keeps_events);
    let trace = Arc::new(trace.expect("the trace file can be created"));
    let mut rng = SmallRng::seed_from_u64(plan.seed ^ 0x5eed);
    let ground = Ground {
        nodes: plan.nodes,
        latency: plan.latency,
        timing: plan.timing.clone(),
        specs: Directories::new(plan.nodes, plan.specs_seed, &plan.specs),
        slots: plan.requests.slots,
        cells: plan.lrps.cells.clone(),
    };
    let world = World::new(rng.random(), ground, Arc::clone(&trace));
    let (net, oracle) = (Arc::clone(&world.machines.net), Arc::clone(&world.machines.oracle));
    let workload = Workload::new(Arc::clone(&net), Arc::clone(&oracle), Arc::clone(&trace));
    let lrps = Lrps::new(Arc::clone(&net), Arc::clone(&oracle));
    let readers = Readers::new(Arc::clone(&net), Arc::clone(&oracle));
    let auth = AuthClients::new(Arc::clone(&net), Arc::clone(&oracle));
    let specs = SpecClients::new(Arc::clone(&net), Arc::clone(&oracle), plan.specs_seed);
    let requests = Requests::new(net, Arc::clone(&oracle));
    let seen = Arc::clone(&oracle);
    witness::tell(Some(Box::new(move |node, step| seen.stepped(node, step))));
    world.boot_all();

    let stage = Stage {
        plan,
        world: world.clone(),
        trace: Arc::clone(&trace),
        workload: workload.clone(),
        requests,
        lrps,
        specs,
        auth,
        readers,
    };
    let playing = stage.play(rng, scenario);
    if options.ends_at_violation {
        tokio::select! {
            // A random choice would be a draw from the run's own generator.
            biased;
            () = oracle.first_violation() => {}
            () = playing => {}
        }
    } else {
        playing.await;
    }

    let history = workload.history();
    let unknown = history.iter().filter(|one| one.is_write() && one.outcome == Outcome::Unknown).count();
    world.end();
    Report {
        seed: plan.seed,
        violations: oracle.violations(),
        trace: trace.summary(),
        events: trace.take_events(),
        tally: oracle.tally(),
        counts: Counts::new(),
        operations: history.len() as u64
            + stage.requests.calls()
            + stage.lrps.calls()
            + stage.specs.count()
            + stage.auth.count()
            + stage.readers.count(),
        unknown: unknown as u64,
        virtual_time: start.elapsed(),
    }
}

/// The tailers of a run, at work until this is dropped.
struct Tailing {
    tailers: Tailers,
    _tasks: JoinSet<()>,
}

/// Where one run takes place.
struct Stage<'a> {
    plan: &'a Plan,
    world: World,
    trace: Arc<Trace>,
    workload: Workload,
    requests: Requests,
    lrps: Lrps,
    specs: SpecClients,
    auth: AuthClients,
    readers: Readers,
}

impl Stage<'_> {
    /// Faults and clients, peace, and the verdict.
    async fn play<S, F>(&self, mut rng: SmallRng, scenario: S)
    where
        S: FnOnce(World, Workload) -> F,
        F: Future<Output = ()>,
    {
        let Self { plan, world, trace, workload, requests, lrps, specs, auth, readers } = self;
        // A draw of their own, as of all that came later: it changes nothing else.
        let mut own = SmallRng::seed_from_u64(plan.seed ^ 0x10ad);
        if plan.auth.clients > 0 {
            auth.set_up(own.random()).await;
        }
        let mut clients: Vec<_> = (1..=plan.load.clients)
            .map(|id| tokio::task::spawn_local(workload.client(id, rng.random()).run(plan.load.clone())))
            .collect();
        let tailing = self.tail();
        clients.extend(
            (1..=plan.auth.clients)
                .map(|id| tokio::task::spawn_local(auth.client(id, own.random()).run(plan.auth.think_max))),
        );
        clients.extend(
            (0..plan.retention.clients).map(|_| {
                tokio::task::spawn_local(readers.client(own.random()).run(plan.retention.think_max))
            }),
        );
        let keeper = plan
            .retention
            .keeps_few()
            .then(|| tokio::task::spawn_local(retention::keep_few(world.clone(), plan.retention.clone())));
        clients
            .extend((1..=plan.specs.clients).map(|id| {
                tokio::task::spawn_local(specs.client(id, own.random()).run(plan.specs.think_max))
            }));
        clients.extend(
            (1..=plan.requests.clients)
                .map(|id| tokio::task::spawn_local(requests.client(id, rng.random(), &plan.requests).run())),
        );
        let beyond = requests.beyond_clients(&plan.beyond, plan.seed, plan.requests.run_max);
        clients.extend(beyond.into_iter().map(|client| tokio::task::spawn_local(client.run())));
        clients.extend(
            (1..=plan.lrps.clients)
                .map(|id| tokio::task::spawn_local(lrps.client(id, rng.random(), &plan.lrps).run())),
        );
        let nemesis = tokio::task::spawn_local(faults::carry_out(
            world.clone(),
            Arc::clone(trace),
            plan.schedule.clone(),
        ));
        let story = scenario(world.clone(), workload.clone());
        tokio::join!(tokio::time::sleep(plan.safety), story);
        nemesis.abort();

        let mut undraining = None;
        if plan.heal == Heal::CoreFirst {
            let core = faults::heal_core(world, &mut rng);
            trace.event(0, "core healed", &core, &[]);
            undraining = Some(tokio::task::spawn_local(faults::keep_undrained(world.clone())));
            self.demand_progress(&core, 4 * self.elections(), CORE_CHECKER, rng.random()).await;
        }
        trace.event(0, "healed", &[], &[]);
        faults::heal(world);
        let undraining =
            undraining.unwrap_or_else(|| tokio::task::spawn_local(faults::keep_undrained(world.clone())));
        tokio::time::sleep(Duration::from_secs(2)).await;
        workload.close();
        requests.close();
        lrps.close();
        specs.close();
        auth.close();
        readers.close();
        if let Some(keeper) = keeper {
            keeper.abort();
        }
        for client in clients {
            client.await.expect("clients do not panic");
        }
        self.demand_progress(&world.serving(), self.elections(), CHECKER, rng.random()).await;
        self.read_everything(&plan.load, rng.random()).await;
        let cleaning = tokio::task::spawn_local(cleaner::clean(world.clone()));
        let deciding = tokio::task::spawn_local(beyond::cleaner::clean(world.clone()));
        settle(world).await;
        cleaning.abort();
        deciding.abort();
        tailing.tailers.settle(world.serving()).await;
        drop(tailing);
        undraining.abort();
        judge(world, workload, requests);
        specs.judge();
        auth.judge();
        readers.judge();
    }

    /// Lets tailers follow events, from now until they are told to end.
    fn tail(&self) -> Tailing {
        let Self { plan, world, .. } = self;
        let machines = &world.machines;
        let tailers = Tailers::new(Arc::clone(&machines.net), Arc::clone(&machines.oracle));
        let mut tasks = JoinSet::new();
        for tailer in tailers.all(&plan.tailing, plan.seed) {
            tasks.spawn_local(tailer.run());
        }
        if plan.tailing.tailers > 0 {
            tasks.spawn_local(events::keep_few(world.clone(), plan.tailing.kept));
        }
        Tailing { tailers, _tasks: tasks }
    }

    /// Five of the longest elections. While others are broken it may take four times that: one of them may lead, be heard, and hear nobody, and
    /// gives up after ten; and whoever stands then may lack entries, and has to let another stand.
    fn elections(&self) -> Duration {
        5 * self.plan.timing.election_max
    }

    /// A healed majority serves writes through each of its nodes, when elections may take so long.
    async fn demand_progress(&self, healed: &[Place], elections: Duration, as_client: u64, seed: u64) {
        let timing = &self.plan.timing;
        let within = ADMITTED_WITHIN + elections + timing.snapshot_step;
        let machines = &self.world.machines;
        let start = Instant::now();
        // Others may be as broken as they were.
        let mut client = self.workload.client(as_client, seed).never_with_key();
        for node in healed.iter().copied() {
            loop {
                if matches!(client.put_new(node, "progress").await, Outcome::Put { .. }) {
                    break;
                }
                if start.elapsed() > within {
                    let lives = machines.life_of(node).is_some();
                    let status = machines.handle(node).map(|handle| handle.status());
                    let found =
                        format!("not through node {node} (up: {lives}) within {within:?}: {status:?}");
                    return machines.oracle.violated("a healed cluster serves writes", found);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Reads every key through every node, so that the history says what is there at the end.
    async fn read_everything(&self, load: &Load, seed: u64) {
        let mut client = self.workload.client(READER, seed);
        for number in 0..load.keys {
            for node in self.world.serving() {
                client.call(node, &workload::key(number), Call::Get).await;
            }
        }
    }
}

/// Waits until every request has ended and what is desired runs, and judges what is left when that takes too long.
async fn settle(world: &World) {
    let start = Instant::now();
    let Machines { oracle, processes, instances, .. } = &*world.machines;
    loop {
        let (state, running, serving) = (oracle.committed_state(), processes.running(), world.serving());
        let are_back = serving
            .iter()
            .filter_map(|node| state.nodes.get(&NodeId(*node)))
            .all(|record| record.is_available());
        let units = instances.running();
        let is_settled = state.requests.is_empty()
            && running.is_empty()
            && are_back
            && instances_match_desires::difference(&state, &units).is_none();
        if is_settled || start.elapsed() > SETTLED_WITHIN {
            return oracle.observe(&Observation::Settled {
                state: &state,
                processes: &running,
                units: &units,
                serving: &serving,
            });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn judge(world: &World, workload: &Workload, requests: &Requests) {
    let oracle = &world.machines.oracle;
    let history = workload.history();
    // One whose data was damaged may fail to read what it kept.
    let newest = world
        .serving()
        .into_iter()
        .filter_map(|node| world.machines.handle(node))
        .map(|handle| handle.view());
    if let Some(view) = newest.max_by_key(capstan_raft_store::handle::View::index) {
        history::witness::check(&history, oracle, view.state());
        verdict::check(requests, oracle, &view);
        auth_load::verdict::check(oracle, &view);
    }
    if keys_were_remembered(oracle)
        && let Err(found) = linearizable::check(&history)
    {
        oracle.violated("every key is linearizable", found);
    }
}

/// Whether log time went by so slowly that no idempotency key was forgotten. Otherwise what the network brings again, or a client sends
/// again, may rightly be executed once more, and one call of the history has two effects; that is left to the model of the log, which knows when.
fn keys_were_remembered(oracle: &Oracle) -> bool {
    let Some(beginning) = oracle.first_log_time() else { return true };
    let end = oracle.committed_state();
    let all = end.log_time().since(beginning) < end.settings.idempotency_window();
    capstan_model::sometimes!("an idempotency key may be forgotten during a run", !all);
    all
}

/// Keeps what panics say on threads that simulate, and leaves other threads alone. tokio swallows panics of tasks.
fn catch_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_kept = PANICS.try_with(|panics| match &mut *panics.borrow_mut() {
                Some(_) if panic.payload().is::<OnPurpose>() => true,
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
