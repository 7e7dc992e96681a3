//! Finished requests to look for: what they are is told by their numbers.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use capstan_model::{
    archive,
    command::Command,
    ids::{Epoch, JobId, RequestId, TryNo},
    settings::Setting,
    spec::{ArgKind, Specs},
    time::Timestamp,
    workflow::{
        chain::ValidChain,
        command::{CreateRequest, FinishTry, RequestArg, StopRequest, TryEnd, TryId, TryReport},
        graph::{Builder, CreateOutput, Created, Step},
        json::{JsonMap, JsonText},
        output::{Output, Tail},
    },
};
use capstan_node::clock::SystemClock;
use capstan_raft_store::{
    handle::{ClusterHandle, ProposeOptions},
    ports::Clock,
};
use futures::{TryStreamExt, stream};

use super::{Trimmed, ms};

/// How many requests are on their way at a time.
const IN_FLIGHT: usize = 256;
/// How many requests are of one host each.
const OF_A_HOST: u64 = 50;
const DAYS: u64 = 30;
const SPECS: &str = "sequences: {of-one: {request: true, nodes: {a: {category: job, type: sleep}}}}";

/// A clock by which as many requests as there are to be are spread over thirty days. Its hand moves when it is told.
pub(super) struct SpreadClock {
    step: u64,
    start: u64,
    gone: AtomicU64,
}

impl SpreadClock {
    pub(super) fn over_thirty_days(requests: u64) -> Self {
        let all = Duration::from_secs(DAYS * 24 * 3_600).as_nanos();
        let step = u64::try_from(all).expect("a month is short") / requests.max(1);
        Self { step, start: SystemClock.wall().0, gone: AtomicU64::new(0) }
    }

    fn tick(&self) {
        self.gone.fetch_add(self.step, Ordering::Relaxed);
    }
}

impl Clock for SpreadClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.start + self.gone.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic() + Duration::from_nanos(self.gone.load(Ordering::Relaxed))
    }
}

/// The requests that have ended so far.
pub(super) struct Shelf {
    clock: Arc<SpreadClock>,
    chain: ValidChain,
    /// The job that is not a noop.
    job: JobId,
    count: u64,
}

impl Shelf {
    pub(super) fn new(clock: Arc<SpreadClock>) -> anyhow::Result<Self> {
        let chain = chain()?;
        let job = chain.jobs().iter().find(|spec| &*spec.job_type == "sleep").context("it has a job")?.id;
        Ok(Self { clock, chain, job, count: 0 })
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The name of the type of a request: half are of the first, a quarter of the second, and so on.
    pub(super) fn kind(number: u64) -> String {
        format!("kind-{}", (mixed(number) >> 32).trailing_ones().min(9))
    }

    /// Who asked for it: one of two hundred, and about every hundred-thousandth time somebody who seldom does.
    pub(super) fn user(number: u64) -> String {
        match number % 99_991 {
            7 => "seldom".to_owned(),
            _ => format!("user-{}", mixed(number) % 200),
        }
    }

    /// Its host: requests of one host are spread over the whole time.
    pub(super) fn host(&self, number: u64) -> String {
        format!("host-{}", number % (self.count / OF_A_HOST).max(1))
    }

    /// A time by which a part of them was created.
    pub(super) fn at(&self, number: u64) -> Timestamp {
        Timestamp(self.clock.start + number * self.clock.step)
    }

    /// Lets requests be created and end until there are so many.
    pub(super) async fn fill(&mut self, cluster: &ClusterHandle, count: u64) -> anyhow::Result<()> {
        let numbers: Range<u64> = self.count..count;
        // Hosts are those of the whole shelf, also of what was there before.
        self.count = count;
        let shelf = &*self;
        stream::iter(numbers.map(Ok))
            .try_for_each_concurrent(IN_FLIGHT, |number| async move { shelf.run(cluster, number).await })
            .await
    }

    async fn run(&self, cluster: &ClusterHandle, number: u64) -> anyhow::Result<()> {
        self.clock.tick();
        let id =
            RequestId::from_parts(u32::try_from(self.clock.wall().as_secs())?, mixed(number).to_be_bytes());
        let kind = Self::kind(number);
        let side = if kind == "kind-0" { "left" } else { "right" };
        let args =
            [("host", self.host(number)), ("ticket", format!("T-{number}")), ("side", side.to_owned())];
        let create = CreateRequest {
            id,
            request_type: kind.into(),
            user: Self::user(number).into(),
            args: args.iter().map(|(name, value)| arg(name, value)).collect(),
            chain: self.chain.clone(),
            specs: None,
        };
        propose(cluster, Command::CreateRequest(Arc::new(create))).await?;
        let end = match (mixed(number) >> 16) % 50 {
            0..=2 => TryEnd::Failed,
            3 => TryEnd::Stopped,
            _ => TryEnd::Complete,
        };
        if end == TryEnd::Stopped {
            propose(cluster, Command::StopRequest(StopRequest { request: id })).await?;
        }
        let (request, job, incarnation) = (id, self.job, cluster.incarnation());
        let id = TryId { request, job, try_no: TryNo(1), epoch: Epoch(1), incarnation };
        let text = format!("did what request {number} is about, and says so in a line or two\n");
        let report = TryReport {
            end,
            exit: i64::from(end == TryEnd::Failed),
            error: "".into(),
            stdout: Output::new(Tail { bytes: text.as_bytes(), dropped: 0 }, 1_024),
            stderr: Output::default(),
            started_at: self.clock.wall(),
            finished_at: self.clock.wall(),
            job_data: JsonMap::new(),
        };
        propose(cluster, Command::FinishTry(Box::new(FinishTry { id, report }))).await
    }

    /// Lets so many of the oldest go, as the leader's converger does.
    pub(super) async fn trim(&self, cluster: &ClusterHandle, count: u64) -> anyhow::Result<Trimmed> {
        let keep = (self.count - count).max(1_000);
        propose(cluster, Command::SetSetting(Setting::ArchiveRequestsMax(keep))).await?;
        let (before, begun) = (cluster.view().state().archive.count(), Instant::now());
        let mut longest = Duration::ZERO;
        loop {
            let view = cluster.view();
            let now = view.state().log_time();
            let Some(trim) = archive::trim_requests(view.state(), &view, now)? else { break };
            let asked = Instant::now();
            propose(cluster, Command::TrimRequests(Box::new(trim))).await?;
            longest = longest.max(asked.elapsed());
        }
        let requests = before - cluster.view().state().archive.count();
        let per_second = requests as f64 / begun.elapsed().as_secs_f64();
        Ok(Trimmed { requests, per_second, longest_ms: ms(longest) })
    }
}

/// A number as good as random, another one for each.
pub(super) fn mixed(number: u64) -> u64 {
    let mixed =
        (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

async fn propose(cluster: &ClusterHandle, command: Command) -> anyhow::Result<()> {
    cluster.propose(command, ProposeOptions::progress()).await?.reply?;
    Ok(())
}

fn arg(name: &str, value: &str) -> RequestArg {
    RequestArg {
        pos: 0,
        name: name.into(),
        desc: "".into(),
        kind: ArgKind::Required,
        given: true,
        default: None,
        value: JsonText::string(value),
    }
}

/// The jobs of each: one between the noops that every request has.
fn chain() -> anyhow::Result<ValidChain> {
    let specs =
        Arc::new(Specs::load([("specs.yaml", SPECS)]).map_err(|errors| anyhow::anyhow!("{errors:?}"))?);
    let mut drawn = 0_u32;
    let draw = move || {
        drawn += 1;
        format!("{drawn:04}").parse().expect("four digits")
    };
    let mut builder = Builder::new(specs, "of-one", &JsonMap::new(), draw);
    let mut created = Vec::new();
    loop {
        match builder.step(std::mem::take(&mut created)) {
            Step::Done(built) => return Ok(built.chain),
            Step::Refused(error) => bail!("{error}"),
            Step::Need(calls) => {
                let made = calls
                    .into_iter()
                    .map(|call| Created { job: call.job, result: Ok(CreateOutput::default()) });
                created.extend(made);
            }
        }
    }
}
