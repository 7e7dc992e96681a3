//! `capstan dev`: a cluster on one machine for development and tests.
//!
//! Each node is a process of its own, `capstan server --config DIR/nK/capstan.toml`, as it would be in production; this
//! supervisor starts them, shows their logs, starts dead ones again and stops all of them in the end.
//!
//! * `layout`: ports, directories and configuration files. `keeper`: one node's life.
//! * `ready_file`, `greeting`, `output`: what scripts and people are told.

mod greeting;
mod keeper;
mod layout;
mod output;
mod ready_file;

use std::{
    ffi::OsString,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use capstan_model::spec::ListedRequest;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::{
    keeper::{Happened, Orders},
    layout::Layout,
    output::say,
};
use crate::specs_dir::{self, SpecsDirError};

/// The arguments of `capstan dev`.
#[derive(Debug, Clone, clap::Args)]
pub struct DevArgs {
    /// How many nodes, 1 to 7
    #[arg(long, default_value_t = 3)]
    pub nodes: usize,
    /// HTTP listens on this port and those after it, peers 100 further on
    #[arg(long, value_name = "PORT", default_value_t = 8641)]
    pub base_port: u16,
    /// Where the nodes keep their data; a cluster found there is started again
    #[arg(long, value_name = "DIR", default_value = "dev-data")]
    pub data: PathBuf,
    /// The first request specs of a new cluster; later ones are pushed
    #[arg(long, value_name = "DIR")]
    pub specs: Option<PathBuf>,
    /// The job plugins of all nodes
    #[arg(long, value_name = "DIR")]
    pub jobs: Option<PathBuf>,
    /// Gets the nodes' addresses and process ids as JSON once all are ready, and again when one was restarted
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Leave dead nodes dead
    #[arg(long)]
    pub no_restart: bool,
    /// What the nodes log, such as warn or info,capstan_node=debug
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log_level: String,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// A cluster has 1 to 7 voters.
    #[error("--nodes {nodes}: a cluster has 1 to 7 voters")]
    NodeCount {
        /// What was asked for.
        nodes: usize,
    },
    /// The ports do not exist.
    #[error(
        "--base-port {base_port}: the ports from there to 100 further on and more must lie between 1 and 65535"
    )]
    BasePort {
        /// What was asked for.
        base_port: u16,
    },
    /// The directory holds another cluster.
    #[error(
        "{} holds a cluster of {found} nodes, not {wanted}: say --nodes {found}, or choose another --data",
        directory.display()
    )]
    OtherSize {
        /// The directory.
        directory: PathBuf,
        /// How many nodes it holds.
        found: usize,
        /// How many were asked for.
        wanted: usize,
    },
    /// Another supervisor runs a cluster in the directory.
    #[error("the cluster in {} is running already: stop that capstan dev, or choose another --data", directory.display())]
    Running {
        /// The directory.
        directory: PathBuf,
    },
    /// A port is taken.
    #[error(
        "port {} of node {node} cannot be used ({source}): stop what listens on {address}, or choose another --base-port",
        address.port()
    )]
    Port {
        /// Whose.
        node: usize,
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A file or folder cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The specs are wrong.
    #[error(transparent)]
    Specs(#[from] SpecsDirError),
    /// The supervisor itself cannot run.
    #[error("cannot {attempt}: {source}")]
    System {
        /// What was attempted.
        attempt: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A node ended before the cluster was ready for the first time.
    #[error("node {node} did not start ({how}); its log above says why")]
    Start {
        /// Which.
        node: usize,
        /// How it ended.
        how: String,
    },
    /// All nodes are dead and stay dead.
    #[error("no node is left")]
    NoneLeft,
}

/// Runs a cluster until SIGINT, SIGTERM or SIGHUP.
///
/// # Errors
/// It cannot be started, or no node is left.
pub fn run(args: &DevArgs) -> Result<(), DevError> {
    let begun = Instant::now();
    let requests = match &args.specs {
        Some(directory) => specs_dir::load(directory)?.specs.request_list(),
        None => Vec::new(),
    };
    let layout =
        Layout::plan(&args.data, args.nodes, args.base_port, args.specs.as_deref(), args.jobs.as_deref())?;
    layout.check_ports()?;
    layout.write_configs()?;
    let system = |attempt| move |source| DevError::System { attempt, source };
    let program = std::env::current_exe().map_err(system("find this program's own file"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(system("start a runtime"))?.block_on(async {
        let signals = Signals::new().map_err(system("listen to signals"))?;
        let stop = CancellationToken::new();
        let kill = CancellationToken::new();
        let color = output::is_colored().to_string();
        let node_args = ["--log-level", &args.log_level, "--log-color", &color].map(OsString::from);
        let orders = Orders {
            program,
            args: node_args.into(),
            restart: !args.no_restart,
            stop: stop.clone(),
            kill: kill.clone(),
        };
        tokio::spawn(signals.obey(stop.clone(), kill));
        let cluster = Cluster {
            pids: vec![None; layout.nodes.len()],
            ready: vec![false; layout.nodes.len()],
            was_ready: false,
            ready_file: args.ready_file.as_deref(),
            requests,
            begun,
            stop,
            layout,
        };
        cluster.run(orders).await
    })
}

/// What the supervisor knows of its nodes.
struct Cluster<'a> {
    layout: Layout,
    /// By node, the process that was started last.
    pids: Vec<Option<u32>>,
    /// By node, whether that process was ready.
    ready: Vec<bool>,
    /// Whether all were ready at some time.
    was_ready: bool,
    ready_file: Option<&'a Path>,
    requests: Vec<ListedRequest>,
    begun: Instant,
    stop: CancellationToken,
}

impl Cluster<'_> {
    async fn run(mut self, orders: Orders) -> Result<(), DevError> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut keepers = JoinSet::new();
        for place in self.layout.nodes.clone() {
            keepers.spawn(keeper::keep(place, orders.clone(), tell.clone()));
        }
        drop(tell);
        let mut result = Ok(());
        while let Some((node, happened)) = told.recv().await {
            if let Err(error) = self.note(node, happened) {
                self.stop.cancel();
                result = result.and(Err(error));
            }
        }
        let stopped = self.stop.is_cancelled();
        keepers.join_all().await;
        if stopped { result } else { Err(DevError::NoneLeft) }
    }

    fn note(&mut self, node: usize, happened: Happened) -> Result<(), DevError> {
        match happened {
            Happened::Started { pid } => {
                self.pids[node - 1] = Some(pid);
                self.ready[node - 1] = false;
                self.write_ready_file()
            }
            Happened::Ready => {
                self.ready[node - 1] = true;
                if self.was_ready {
                    say(&format!("node {node} is back"));
                } else if self.ready.iter().all(|ready| *ready) {
                    self.was_ready = true;
                    self.write_ready_file()?;
                    self.greet();
                }
                Ok(())
            }
            Happened::Ended { status } if self.stop.is_cancelled() => {
                if !status.success() {
                    say(&format!("node {node} ended: {status}"));
                }
                Ok(())
            }
            Happened::Ended { status } => {
                say(&format!("node {node} ended: {status}"));
                // A node that cannot start will not start the next time either; a killed one may.
                match status.code() {
                    Some(_) if !self.was_ready => Err(DevError::Start { node, how: status.to_string() }),
                    _ => Ok(()),
                }
            }
            Happened::Failed { reason } => Err(DevError::Start { node, how: reason }),
        }
    }

    /// Tells scripts where the nodes are, once all were ready.
    fn write_ready_file(&self) -> Result<(), DevError> {
        let (Some(path), true) = (self.ready_file, self.was_ready) else { return Ok(()) };
        let nodes =
            self.layout.nodes.iter().zip(&self.pids).filter_map(|(place, pid)| Some((place, (*pid)?)));
        ready_file::write(path, nodes).map_err(|source| DevError::File { path: path.to_owned(), source })
    }

    fn greet(&self) {
        let program = std::env::args().next().unwrap_or_else(|| "capstan".to_owned());
        let text = greeting::text(&self.layout, self.begun.elapsed(), &self.requests, &program);
        let mut out = io::stdout();
        // Nobody may be reading; the cluster runs all the same.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// The signals that end the cluster.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }

    /// Stops the nodes at the first signal and kills them at the second.
    async fn obey(mut self, stop: CancellationToken, kill: CancellationToken) {
        self.next().await;
        say("stopping all nodes; once more kills them");
        stop.cancel();
        // One ctrl-C may arrive twice, from the terminal and from a wrapping script.
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.next().await;
        kill.cancel();
    }
}
