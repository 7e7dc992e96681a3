//! The settings of one node: from a file, the environment and the command line, checked as a whole.
//!
//! A setting has one name in three spellings: `http.listen` in the file, `CAPSTAN_HTTP_LISTEN` in the environment and
//! `--http-listen` on the command line. The command line wins over the environment, which wins over the file. Unknown
//! names are errors, and all that is wrong is said at once.
//!
//! * `flags`: the command line and the environment. `file`: the file, and messages that say where in it.
//! * `cell`: the settings of the node as a cell, in all three spellings.
//! * `check`: what must hold between the settings; the only way to a [`Config`].

mod cell;
mod check;
mod file;
mod flags;
mod secret;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use capstan_api::Access;
use capstan_model::ids::NodeId;
use capstan_raft_store::timing::Timing;

pub use self::{
    cell::{CellConfig, CellSettings, HostPortRange, PORTS},
    file::{FileError, LogFormat, Settings},
    flags::ServerArgs,
    secret::Secret,
};

/// The exit code of a program whose configuration is wrong (EX_CONFIG of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// The most voters of one cluster.
pub const VOTERS_MAX: usize = 7;

/// Slots for each core when `jobs.slots` is not set.
pub const SLOTS_PER_CORE: usize = 16;

/// One node's settings, complete and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its id.
    pub node: NodeId,
    /// Where it keeps its data.
    pub data: PathBuf,
    /// Where its HTTP API listens.
    pub http_listen: SocketAddr,
    /// Who may use the part of the API that is Diego's.
    pub receptor: Access,
    /// Where it listens to its peers.
    pub peer_listen: SocketAddr,
    /// The voters of the cluster, itself among them, in order of their ids.
    pub voters: Vec<Voter>,
    /// Where it dials a peer instead of at that voter's address.
    pub dial: BTreeMap<NodeId, String>,
    /// Its periods.
    pub timing: Timing,
    /// How many jobs it runs at a time.
    pub slots: u32,
    /// Where its job plugins are.
    pub jobs_directory: Option<PathBuf>,
    /// What it is as a cell; `None` when it is none.
    pub cell: Option<CellConfig>,
    /// Where the request specs are that it gives a new cluster.
    pub specs_directory: Option<PathBuf>,
    /// Threads of its runtime.
    pub worker_threads: usize,
    /// What it logs, and how.
    pub log: LogConfig,
}

/// One voter of the first membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// Its id.
    pub id: NodeId,
    /// `host:port` for its peers.
    pub peer: String,
    /// `host:port` of its HTTP API.
    pub http: String,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Text for people or JSON for programs.
    pub format: LogFormat,
    /// A filter as of tracing's `EnvFilter`: `info`, `warn,capstan_node=debug`.
    pub level: String,
    /// Whether text is coloured; `None` when standard error decides.
    pub color: Option<bool>,
}

/// Why there is no [`Config`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or understood.
    #[error(transparent)]
    File(#[from] FileError),
    /// The settings do not fit together; one sentence each.
    #[error("{}", listed(.0))]
    Wrong(Vec<String>),
}

fn listed(problems: &[String]) -> String {
    match problems {
        [only] => only.clone(),
        many => many.iter().map(|problem| format!("\n  - {problem}")).collect(),
    }
}

impl Config {
    /// Reads the file that `args` names, overlays the environment and the command line, and checks the result.
    ///
    /// # Errors
    /// All that is wrong, for the person who writes the configuration.
    pub fn load(args: ServerArgs) -> Result<Self, ConfigError> {
        let mut settings = match &args.config {
            Some(path) => Settings::read(path)?,
            None => Settings::default(),
        };
        let insecure = args.insecure;
        args.overlay(&mut settings);
        Self::check(settings, insecure)
    }

    /// Checks the settings as a whole and completes them; `insecure` allows listening where other machines can reach.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn check(settings: Settings, insecure: bool) -> Result<Self, ConfigError> {
        check::check(settings, insecure).map_err(ConfigError::Wrong)
    }

    /// This node among the voters.
    pub fn me(&self) -> &Voter {
        self.voters.iter().find(|voter| voter.id == self.node).expect("checked: the node is a voter")
    }

    /// Where the other voters are dialled.
    pub fn peers(&self) -> BTreeMap<NodeId, String> {
        let others = self.voters.iter().filter(|voter| voter.id != self.node);
        others.map(|voter| (voter.id, self.dial.get(&voter.id).unwrap_or(&voter.peer).clone())).collect()
    }
}
