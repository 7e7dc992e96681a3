//! `capstan server`: makes one node of its parts and runs it until it is told to stop.
//!
//! The order of starting is the order of trust: the guardian first, while the process has one thread; then the data
//! directory, whose lock says that no other life of this node is at work; then what an earlier life left running is
//! ended; only then does the node speak with its peers, and its actors act. Stopping goes the other way.
//!
//! * `stop`: why a node stops. `actor_thread`: the one thread of all actors. `ports`: what the API asks of
//!   the node. `page`: metrics. `space`: room on the disk. `specs`: the request specs. `admin_token`: the way back
//!   in without a token.

mod actor_thread;
mod admin_token;
mod page;
mod ports;
mod space;
mod specs;
mod stop;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::pin,
    process,
    sync::Arc,
    time::Duration,
};

use capstan_api::{Api, server::Options as HttpOptions};
use capstan_model::lrp::{cell::Capacity, isolation::Unlimited};
use capstan_raft_store::{
    cluster::{self, OpenError, Options, Parts, StartError, Started},
    engine::RocksDisk,
    peer::NodeFacts,
    ports::FatalSink,
};
use futures::future::{FusedFuture, FutureExt};
use nix::unistd::geteuid;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::timeout,
};
use tracing::{error, info, warn};

pub use self::stop::Stop;
use self::{actor_thread::ActorThread, page::Page, ports::Health, space::Room, specs::OwnSpecs};
use crate::{
    actors::{Alarm, Tools, liveness},
    callbacks::HttpCallbacks,
    cell::{self, CellTools},
    clock::SystemClock,
    config::{CellConfig, Config, EXIT_CONFIG},
    entropy::SystemEntropy,
    executor::{Executor, ExecutorGone, host::HostExecutor, instances::InstanceHost, lease},
    guardian::{self, Guardian},
    instance::{host::Folders, network::namespace::Namespace},
    instance_output::Outputs,
    jobs::{JobTypes, lrp, plugin},
    leave,
    live_status::Statuses,
    lost,
    peer_net::PeerNet,
    peers_answered::PeersAnswered,
    specs_dir::SpecsDirError,
    telemetry::Metrics,
};

/// The exit code of a node whose guardian died.
pub const EXIT_GUARDIAN: u8 = 70;
/// The exit code of a node whose storage failed or cannot be trusted (EX_IOERR of sysexits.h).
pub const EXIT_STORAGE: u8 = 74;

/// How long stopping may take in all; what is not done by then is cut off, as a crash would.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// How long HTTP calls in flight may take to end.
const HTTP_DRAIN: Duration = Duration::from_secs(3);
/// How often measurements are moved into their buckets.
const METRICS_UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Why a node did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({setting}): {source}")]
    Listen {
        /// The setting.
        setting: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Others could call, and nobody would ask who they are.
    #[error(
        "http.listen = {address} can be reached from other machines, and as far as this node has heard auth is not required: \
         start it on loopback, switch auth on (capstan auth require), then listen there; or say --insecure if the network is a \
         trusted one"
    )]
    Unguarded {
        /// Where it would listen.
        address: SocketAddr,
    },
    /// The data directory cannot be made.
    #[error("cannot use the data directory {}: {source}", path.display())]
    Data {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The request specs cannot be used.
    #[error(transparent)]
    Specs(#[from] SpecsDirError),
    /// The job plugins cannot be used.
    #[error(transparent)]
    Jobs(#[from] plugin::DiscoverError),
    /// The store did not start.
    #[error("the store in {} did not start: {source}", path.display())]
    Store {
        /// The data directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: StartError,
    },
    /// Processes of an earlier life of this node could not be ended.
    #[error("what an earlier life of this node left running could not be ended: {0}")]
    Leftovers(#[source] io::Error),
    /// The guardian died.
    #[error("the guardian is gone, and every process of this node with it")]
    Guardian,
    /// The actors ended, which they never do by themselves.
    #[error("the actors have ended: a bug, whose panic is in the log")]
    Actors,
    /// Instances cannot have networks of their own.
    #[error("cell.netns = true, but this node cannot make networks: {0}; run it as root, or set it to false")]
    Networks(#[source] io::Error),
    /// The process could not be set up.
    #[error("cannot {attempt}: {source}")]
    System {
        /// What was attempted.
        attempt: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl ServerError {
    /// The exit code that tells a supervisor what kind of trouble it is.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Listen { .. }
            | Self::Unguarded { .. }
            | Self::Data { .. }
            | Self::Specs(_)
            | Self::Jobs(_)
            | Self::Networks(_) => EXIT_CONFIG,
            Self::Store {
                source: StartError::Timing(_) | StartError::Open(OpenError::OtherNode { .. }),
                ..
            } => EXIT_CONFIG,
            Self::Store { .. } => EXIT_STORAGE,
            Self::Guardian | Self::Leftovers(_) => EXIT_GUARDIAN,
            Self::Actors | Self::System { .. } => 1,
        }
    }
}

impl From<ExecutorGone> for ServerError {
    fn from(ExecutorGone: ExecutorGone) -> Self {
        Self::Guardian
    }
}

/// Whether standard input ends the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervision {
    /// It does not.
    None,
    /// The node stops when standard input ends, as it does when its supervisor is gone.
    Stdin,
}

/// Why a node ended without trouble of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was told to stop.
    Stopped,
    /// The cluster has declared this life of it lost: the process should begin another, see [`lost::begin_again`].
    Lost,
}

/// Runs one node until a signal stops it, or the cluster has given it up. Called while the process has one thread.
///
/// # Errors
/// It did not start, or stopped by itself; [`ServerError::exit_code`] says with which code to exit.
pub fn run(config: Config, supervision: Supervision) -> Result<End, ServerError> {
    let system = |attempt| move |source| ServerError::System { attempt, source };
    info!(
        node = %config.node,
        version = env!("CARGO_PKG_VERSION"),
        pid = process::id(),
        data = %config.data.display(),
        http = %config.http_listen,
        peer = %config.peer_listen,
        voters = config.voters.len(),
        slots = config.slots,
        "starting"
    );
    let specs = OwnSpecs::load(config.specs_directory.clone())?;
    if config.cell.as_ref().is_some_and(|cell| cell.netns) {
        Namespace::make().map_err(ServerError::Networks)?;
    }
    fs::create_dir_all(&config.data)
        .map_err(|source| ServerError::Data { path: config.data.clone(), source })?;
    let http = listen("http.listen", config.http_listen)?;
    let peer = listen("peer.listen", config.peer_listen)?;
    let metrics = Metrics::start().map_err(io::Error::other).map_err(system("collect metrics"))?;
    let guardian = Guardian::launch(&config.data).map_err(system("start the guardian"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.worker_threads)
        .enable_all()
        .build()
        .map_err(system("start a runtime"))?;
    let node = Preparation { config, specs, http, peer, metrics: Arc::new(metrics), guardian, supervision };
    let result = runtime.block_on(node.run());
    // The databases close with the last task that holds them; a process that ends before that aborts in their destructors.
    // A task that ignores the end must not hold the process up for ever.
    runtime.shutdown_timeout(STOP_PATIENCE);
    result
}

/// Binds before anything is started, so that a taken port costs nothing.
fn listen(setting: &'static str, address: SocketAddr) -> Result<std::net::TcpListener, ServerError> {
    let failed = |source| ServerError::Listen { setting, address, source };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// What was made before the runtime.
struct Preparation {
    config: Config,
    specs: OwnSpecs,
    http: std::net::TcpListener,
    peer: std::net::TcpListener,
    metrics: Arc<Metrics>,
    guardian: Guardian,
    supervision: Supervision,
}

impl Preparation {
    async fn run(self) -> Result<End, ServerError> {
        let Self { config, specs, http, peer, metrics, guardian, supervision } = self;
        let system = |attempt| move |source| ServerError::System { attempt, source };
        let mut stop = Stop::listen(supervision).map_err(system("listen to signals"))?;
        let hangup = signal(SignalKind::hangup()).map_err(system("listen to signals"))?;
        let http = TcpListener::from_std(http).map_err(system("listen"))?;
        let peer = TcpListener::from_std(peer).map_err(system("listen"))?;
        let executor = Arc::new(HostExecutor::connect(guardian).map_err(system("reach the guardian"))?);
        // From the start: a guardian that dies while the node starts must not go unnoticed.
        let mut guardian_gone = pin!(stop::guardian_gone(executor.events()).fuse());

        let mut job_types = JobTypes::built_in();
        job_types.reach_lrps(lrp::Surface::of(&config));
        if let Some(directory) = &config.jobs_directory {
            let executor = Arc::clone(&executor) as Arc<dyn Executor>;
            plugin::discover(directory, &executor, &mut job_types)?;
        }
        let net = PeerNet::new(&config.peers());
        let opened = match supervision {
            Supervision::None => Some(open(&config, data_directory(&config)?, &job_types, &net).await?),
            Supervision::Stdin => open_once_there_is_room(&config, &job_types, &net, &mut stop).await?,
        };
        let Some(Started { handle, peers }) = opened else { return Ok(End::Stopped) };
        if config.http_needs_auth && !handle.view().state().auth.policy().required {
            return Err(ServerError::Unguarded { address: config.http_listen });
        }
        specs.announce(&handle);
        let cluster = handle.cluster_id().map(|cluster| cluster.to_string());
        info!(incarnation = %handle.incarnation(), cluster, applied = handle.view().index(), "opened the store");
        clear_leftovers(&config).await?;
        executor.begin(handle.incarnation()).await?;
        let cell = match &config.cell {
            Some(cell) => Some(make_cell(cell, &config.data, executor.instances()).await?),
            None => None,
        };
        handle.begin_reports();
        tokio::spawn(lease::follow(handle.lease(), Arc::clone(&executor) as Arc<dyn Executor>));
        let statuses = Statuses {
            cluster: handle.clone(),
            executor: Arc::clone(&executor) as _,
            jobs: job_types.clone(),
            transport: Arc::new(net.clone()),
        };
        let outputs =
            Outputs { folders: Folders::of(&config.data), me: config.node, transport: Arc::new(net.clone()) };
        let (answering, telling) = (statuses.clone(), outputs.clone());
        net.serve(peer, Arc::new(PeersAnswered { store: peers, statuses: answering, outputs: telling }));
        let tools = Tools {
            alarm: Alarm::default(),
            cluster: handle.clone(),
            executor: Arc::clone(&executor) as _,
            jobs: job_types.clone(),
            clock: Arc::new(SystemClock),
            cell,
            callbacks: Arc::new(HttpCallbacks::default()),
            entropy: Arc::new(SystemEntropy),
            owner_lost_after: config.timing.owner_lost_after,
            cell_silent_after: liveness::cell_silent_after(&config.timing),
        };
        let mut actors = ActorThread::start(tools).map_err(system("start the actors' thread"))?;

        let health = Arc::new(Health::new(specs.clone(), config.http_needs_auth.then(|| handle.clone())));
        let parts = capstan_api::Parts {
            cluster: handle.clone(),
            workflows: Arc::new(specs.clone()),
            job_types: Arc::new(job_types),
            live_status: Arc::new(statuses),
            output: Arc::new(outputs),
            health: Arc::clone(&health) as _,
            metrics: Arc::new(Page { process: Arc::clone(&metrics), cluster: handle.clone() }),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            heartbeat_after: capstan_api::HEARTBEAT_AFTER,
        };
        let api = Api::guarded(parts, config.receptor);
        let (stop_http, http_stopped) = watch::channel(false);
        let http_options = HttpOptions { drain_max: HTTP_DRAIN, ..HttpOptions::default() };
        let http = tokio::spawn(capstan_api::server::serve(http, api, http_options, http_stopped));
        tokio::spawn(keep_up(metrics));
        tokio::spawn(specs.seed(handle.clone()));
        tokio::spawn(specs::answer_hangups(hangup));
        let wanted =
            admin_token::make_if_wanted(config.data.clone(), handle.clone(), Arc::new(SystemEntropy));
        tokio::spawn(wanted);
        info!("serving");

        let result = tokio::select! {
            reason = stop.requested() => {
                info!("stopping: {reason}");
                Ok(End::Stopped)
            }
            () = lost::declared(handle.clone()) => {
                warn!("the cluster has declared this node lost and gave its work to others; beginning a new life");
                Ok(End::Lost)
            }
            () = &mut guardian_gone => Err(ServerError::Guardian),
            () = actors.ended() => Err(ServerError::Actors),
        };
        if let Err(error) = &result {
            error!("stopping: {error}");
        }
        health.drain();
        match result {
            Ok(End::Stopped) => {
                tokio::select! {
                    () = leave::hand_everything_over(&handle) => {}
                    () = &mut guardian_gone => {}
                    reason = stop.requested() => info!("not waiting any longer: {reason} once more"),
                }
            }
            // What it ran is others' to run by now.
            Ok(End::Lost) => drop(executor.shut_down().await),
            Err(_) => {}
        }
        let stopping = async {
            stop_http.send_replace(true);
            // It never panics, and there is nothing to do if it did.
            let _ = http.await;
            actors.stop().await;
            if let Err(error) = executor.shut_down().await {
                warn!("the guardian's end was not seen: {error}");
            }
            if !guardian_gone.is_terminated() {
                // The executor looks whether anything was left behind, which must not be cut off.
                guardian_gone.await;
            }
            handle.shutdown().await;
            net.close();
        };
        if timeout(STOP_PATIENCE, stopping).await.is_err() {
            warn!("stopping took more than {STOP_PATIENCE:?} and was cut short");
        }
        info!("stopped");
        result
    }
}

/// As [`open`], and waits while the disk has no room for it; `None` if the node is told to stop meanwhile.
async fn open_once_there_is_room(
    config: &Config,
    job_types: &JobTypes,
    net: &PeerNet,
    stop: &mut Stop,
) -> Result<Option<Started>, ServerError> {
    let mut wanted = Room::RESERVE;
    loop {
        let disk = data_directory(config)?;
        tokio::select! {
            () = wanted.wait_for(&disk) => {}
            reason = stop.requested() => {
                info!("stopping: {reason}");
                return Ok(None);
            }
        }
        match open(config, disk, job_types, net).await {
            Err(ServerError::Store { source, .. }) if source.is_disk_full() => {
                warn!(error = %source, "the disk has too little space for opening the data");
                wanted = wanted.doubled();
            }
            opened => return opened.map(Some),
        }
    }
}

fn data_directory(config: &Config) -> Result<RocksDisk, ServerError> {
    RocksDisk::open(&config.data).map_err(|source| ServerError::Data { path: config.data.clone(), source })
}

/// Opens the data directory and starts Raft; nothing is said to any peer yet.
async fn open(
    config: &Config,
    disk: RocksDisk,
    job_types: &JobTypes,
    net: &PeerNet,
) -> Result<Started, ServerError> {
    let me = config.me();
    let options = Options {
        node: config.node,
        voters: config.voters.iter().map(|voter| voter.id).collect(),
        facts: NodeFacts {
            peer_address: me.peer.as_str().into(),
            http_address: me.http.as_str().into(),
            slots: config.slots,
            job_types: job_types.names().map(Into::into).collect(),
        },
        timing: config.timing.clone(),
    };
    let parts = Parts {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        disk: Arc::new(disk),
        transport: Arc::new(net.clone()),
        fatal: Arc::new(ExitOnFatal),
    };
    cluster::start(options, parts)
        .await
        .map_err(|source| ServerError::Store { path: config.data.clone(), source })
}

async fn clear_leftovers(config: &Config) -> Result<(), ServerError> {
    let data = config.data.clone();
    let cleared = tokio::task::spawn_blocking(move || guardian::clear_leftovers(&data))
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(ServerError::Leftovers)?;
    if cleared.killed > 0 || cleared.waited {
        warn!(
            killed = cleared.killed,
            waited = cleared.waited,
            "ended what an earlier life of this node left running"
        );
    }
    Ok(())
}

/// Makes this node a cell. What earlier lives of it ran is ended by now.
async fn make_cell(config: &CellConfig, data: &Path, host: InstanceHost) -> Result<CellTools, ServerError> {
    let unlimited = host.unlimited().await?;
    for Unlimited { limit, reason } in &unlimited {
        warn!(%limit, %reason, "instances and tasks may use more than they ask for: there is no limit on this machine");
    }
    let (config, data) = (config.clone(), data.to_owned());
    let made = tokio::task::spawn_blocking(move || {
        let cell = cell::host::tools(&config, &data.canonicalize()?, host, unlimited)?;
        Ok((config, cell))
    });
    let (config, cell) = made
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(|source| ServerError::System { attempt: "make this node a cell", source })?;
    let Capacity { memory_mb, disk_mb, containers } = cell.capacity;
    let (zone, address, netns) = (&config.zone, &config.address, config.netns);
    info!(zone, address, memory_mb, disk_mb, containers, netns, "offering a cell");
    if !geteuid().is_root() {
        info!(
            "not started as root: instances and tasks run as the user of this node, whatever user they name"
        );
    }
    Ok(cell)
}

async fn keep_up(metrics: Arc<Metrics>) {
    let mut tick = tokio::time::interval(METRICS_UPKEEP_EVERY);
    loop {
        tick.tick().await;
        metrics.upkeep();
    }
}

/// Ends the process at once: a node whose storage failed must not say another word.
struct ExitOnFatal;

impl FatalSink for ExitOnFatal {
    fn fatal(&self, reason: &str) {
        error!("stopping at once: {reason}");
        process::exit(i32::from(EXIT_STORAGE));
    }
}
