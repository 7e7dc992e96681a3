//! Every setting as a flag and as an environment variable.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use super::{
    cell::CellSettings,
    file::{LogFormat, Settings, TimingSettings, VoterSettings},
    secret::Secret,
};

/// The arguments of `capstan server`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServerArgs {
    /// The configuration file; flags and CAPSTAN_* variables win over it
    #[arg(long, short, env = "CAPSTAN_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check the configuration and exit
    #[arg(long)]
    pub check: bool,
    /// Listen on other addresses than loopback although there is no authentication
    #[arg(long, env = "CAPSTAN_INSECURE")]
    pub insecure: bool,
    /// Stop when standard input ends; for a supervisor that wants its nodes to end with it
    #[arg(long, hide = true)]
    pub supervised: bool,

    /// This node's id among the voters
    #[arg(long, env = "CAPSTAN_NODE_ID", value_name = "ID")]
    pub node_id: Option<u64>,
    /// Where this node keeps its data
    #[arg(long, visible_alias = "data", env = "CAPSTAN_NODE_DATA", value_name = "DIR")]
    pub node_data: Option<PathBuf>,
    /// Threads of the runtime [default: one for each core]
    #[arg(long, env = "CAPSTAN_NODE_WORKER_THREADS", value_name = "N")]
    pub node_worker_threads: Option<usize>,
    /// Where the HTTP API listens [default: the voter's own http]
    #[arg(long, env = "CAPSTAN_HTTP_LISTEN", value_name = "IP:PORT")]
    pub http_listen: Option<SocketAddr>,
    /// The name callers of /v1 must bring; everybody may call when not set
    #[arg(long, env = "CAPSTAN_RECEPTOR_USERNAME", value_name = "NAME")]
    pub receptor_username: Option<String>,
    /// The password callers of /v1 must bring; safer in the file or the environment, where others do not see it
    #[arg(long, env = "CAPSTAN_RECEPTOR_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub receptor_password: Option<Secret>,
    /// Whether pages of other origins may call /v1 [default: false]
    #[arg(long, env = "CAPSTAN_RECEPTOR_CORS", value_name = "BOOL")]
    pub receptor_cors: Option<bool>,
    /// Where peers are listened to [default: the voter's own peer]
    #[arg(long, env = "CAPSTAN_PEER_LISTEN", value_name = "IP:PORT")]
    pub peer_listen: Option<SocketAddr>,
    /// Dial a peer somewhere else than at its voter's address
    #[arg(long, env = "CAPSTAN_PEER_DIAL", value_name = "ID=HOST:PORT", value_delimiter = ',')]
    pub peer_dial: Vec<DialArg>,
    /// A voter of the cluster, once for each; together they replace the file's
    #[arg(long, env = "CAPSTAN_VOTER", value_name = "ID=PEER,HTTP", value_delimiter = ';')]
    pub voter: Vec<VoterArg>,
    /// How many jobs run at a time [default: 16 for each core]
    #[arg(long, env = "CAPSTAN_JOBS_SLOTS", value_name = "N")]
    pub jobs_slots: Option<u32>,
    /// Where the job plugins are: executables, each a job type of its name
    #[arg(long, visible_alias = "jobs", env = "CAPSTAN_JOBS_DIRECTORY", value_name = "DIR")]
    pub jobs_directory: Option<PathBuf>,
    /// Where the first request specs of a new cluster are; later ones are pushed
    #[arg(long, visible_alias = "specs", env = "CAPSTAN_SPECS_DIRECTORY", value_name = "DIR")]
    pub specs_directory: Option<PathBuf>,
    /// How the log is written [default: text]
    #[arg(long, env = "CAPSTAN_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// What is logged, such as info or warn,capstan_node=debug [default: info]
    #[arg(long, env = "CAPSTAN_LOG_LEVEL", value_name = "FILTER")]
    pub log_level: Option<String>,
    /// Whether text in the log is coloured [default: when standard error is a terminal]
    #[arg(long, env = "CAPSTAN_LOG_COLOR", value_name = "BOOL")]
    pub log_color: Option<bool>,
    /// The node as a cell.
    #[command(flatten)]
    pub cell: CellSettings,
    /// Periods.
    #[command(flatten)]
    pub timing: TimingSettings,
}

/// `ID=HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialArg {
    id: String,
    address: String,
}

impl FromStr for DialArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, address) = text.split_once('=').ok_or("expected ID=HOST:PORT, such as 2=127.0.0.1:9742")?;
        Ok(Self { id: id.trim().to_owned(), address: address.trim().to_owned() })
    }
}

/// `ID=PEER,HTTP`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoterArg(VoterSettings);

impl FromStr for VoterArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected ID=PEER,HTTP, such as 1=127.0.0.1:8741,127.0.0.1:8641";
        let (id, addresses) = text.split_once('=').ok_or(EXPECTED)?;
        let (peer, http) = addresses.split_once(',').ok_or(EXPECTED)?;
        let id = id.trim().parse().map_err(|_| EXPECTED)?;
        Ok(Self(VoterSettings { id, peer: peer.trim().to_owned(), http: http.trim().to_owned() }))
    }
}

impl ServerArgs {
    /// Puts what was given here over `settings`.
    pub(super) fn overlay(self, settings: &mut Settings) {
        fn over<T>(setting: &mut Option<T>, given: Option<T>) {
            if given.is_some() {
                *setting = given;
            }
        }
        over(&mut settings.node.id, self.node_id);
        over(&mut settings.node.data, self.node_data);
        over(&mut settings.node.worker_threads, self.node_worker_threads);
        over(&mut settings.http.listen, self.http_listen);
        over(&mut settings.receptor.username, self.receptor_username);
        over(&mut settings.receptor.password, self.receptor_password);
        over(&mut settings.receptor.cors, self.receptor_cors);
        over(&mut settings.peer.listen, self.peer_listen);
        settings.peer.dial.extend(self.peer_dial.into_iter().map(|dial| (dial.id, dial.address)));
        if !self.voter.is_empty() {
            settings.voter = self.voter.into_iter().map(|voter| voter.0).collect();
        }
        over(&mut settings.jobs.slots, self.jobs_slots);
        over(&mut settings.jobs.directory, self.jobs_directory);
        settings.cell.overlay(self.cell);
        over(&mut settings.specs.directory, self.specs_directory);
        over(&mut settings.log.format, self.log_format);
        over(&mut settings.log.level, self.log_level);
        over(&mut settings.log.color, self.log_color);
        let (timing, given) = (&mut settings.timing, self.timing);
        over(&mut timing.raft_heartbeat, given.raft_heartbeat);
        over(&mut timing.election_min, given.election_min);
        over(&mut timing.election_max, given.election_max);
        over(&mut timing.node_heartbeat, given.node_heartbeat);
        over(&mut timing.ack_age_max, given.ack_age_max);
        over(&mut timing.lease, given.lease);
        over(&mut timing.kill, given.kill);
        over(&mut timing.owner_lost_after, given.owner_lost_after);
        over(&mut timing.snapshot_step, given.snapshot_step);
        over(&mut timing.snapshot_bytes, given.snapshot_bytes);
        over(&mut timing.snapshot_every, given.snapshot_every);
    }
}
