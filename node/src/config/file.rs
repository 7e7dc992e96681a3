//! The configuration file, in TOML, with every setting optional, and messages that say where in it something is wrong.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use serde::Deserialize;

use super::{cell::CellSettings, secret::Secret};

/// The settings as given; nothing is checked between them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What the node is.
    pub node: NodeSettings,
    /// Its HTTP API.
    pub http: HttpSettings,
    /// Who may use the part of the API that is Diego's.
    pub receptor: ReceptorSettings,
    /// Its place among its peers.
    pub peer: PeerSettings,
    /// The cluster's voters.
    pub voter: Vec<VoterSettings>,
    /// Periods.
    pub timing: TimingSettings,
    /// The jobs it runs.
    pub jobs: JobsSettings,
    /// The long-running processes and tasks it runs.
    pub cell: CellSettings,
    /// The request specs it gives a new cluster.
    pub specs: SpecsSettings,
    /// Its log.
    pub log: LogSettings,
}

/// What the node is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeSettings {
    /// Its id among the voters.
    pub id: Option<u64>,
    /// Where it keeps its data.
    pub data: Option<PathBuf>,
    /// Threads of its runtime; as many as there are cores when not set.
    pub worker_threads: Option<usize>,
}

/// The HTTP API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    /// Address and port to listen on; the voter's own `http` when not set.
    pub listen: Option<SocketAddr>,
}

/// The part of the HTTP API that is Diego's, under `/v1`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReceptorSettings {
    /// The name that callers must bring; everybody may call when not set.
    pub username: Option<String>,
    /// The password that goes with it.
    pub password: Option<Secret>,
    /// Whether pages of other origins may call.
    pub cors: Option<bool>,
}

/// The node's place among its peers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeerSettings {
    /// Address and port to listen on; the voter's own `peer` when not set.
    pub listen: Option<SocketAddr>,
    /// By node id, where a peer is dialled instead of at its voter's address.
    pub dial: BTreeMap<String, String>,
}

/// One voter; the same list on every node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoterSettings {
    /// Its id.
    pub id: u64,
    /// `host:port` for its peers.
    pub peer: String,
    /// `host:port` of its HTTP API.
    pub http: String,
}

/// Periods; see [`capstan_raft_store::timing::Timing`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, clap::Args)]
#[command(next_help_heading = "Periods")]
#[serde(deny_unknown_fields, default)]
pub struct TimingSettings {
    /// How often a leader shows that it lives
    #[arg(long = "timing-raft-heartbeat", env = "CAPSTAN_TIMING_RAFT_HEARTBEAT", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    pub raft_heartbeat: Option<Duration>,
    /// The shortest random part of a follower's patience
    #[arg(long = "timing-election-min", env = "CAPSTAN_TIMING_ELECTION_MIN", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    pub election_min: Option<Duration>,
    /// The longest random part of a follower's patience, and the leader's lease
    #[arg(long = "timing-election-max", env = "CAPSTAN_TIMING_ELECTION_MAX", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    pub election_max: Option<Duration>,
    /// How often a node reports to the leader
    #[arg(long = "timing-node-heartbeat", env = "CAPSTAN_TIMING_NODE_HEARTBEAT", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    pub node_heartbeat: Option<Duration>,
    /// How old a leader's own quorum may be while it acknowledges reports
    #[arg(long = "timing-ack-age-max", env = "CAPSTAN_TIMING_ACK_AGE_MAX", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    pub ack_age_max: Option<Duration>,
    /// How long a node may run jobs after its last acknowledged report
    #[arg(long = "timing-lease", env = "CAPSTAN_TIMING_LEASE", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    pub lease: Option<Duration>,
    /// How long killing all jobs may take
    #[arg(long = "timing-kill", env = "CAPSTAN_TIMING_KILL", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    pub kill: Option<Duration>,
    /// Silence after which a node's jobs are given to others
    #[arg(long = "timing-owner-lost-after", env = "CAPSTAN_TIMING_OWNER_LOST_AFTER", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    pub owner_lost_after: Option<Duration>,
    /// How long one step of a snapshot's way may take
    #[arg(long = "timing-snapshot-step", env = "CAPSTAN_TIMING_SNAPSHOT_STEP", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    pub snapshot_step: Option<Duration>,
    /// Size of the log after which a snapshot is taken
    #[arg(long = "timing-snapshot-bytes", env = "CAPSTAN_TIMING_SNAPSHOT_BYTES", value_name = "SIZE")]
    pub snapshot_bytes: Option<ByteSize>,
    /// Time after which a snapshot is taken if anything was logged
    #[arg(long = "timing-snapshot-every", env = "CAPSTAN_TIMING_SNAPSHOT_EVERY", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    pub snapshot_every: Option<Duration>,
}

/// The jobs this node runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobsSettings {
    /// How many at a time; 16 for each core when not set.
    pub slots: Option<u32>,
    /// Where its job plugins are.
    pub directory: Option<PathBuf>,
}

/// The request specs this node gives a new cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpecsSettings {
    /// Where they are.
    pub directory: Option<PathBuf>,
}

/// The node's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// Text or JSON.
    pub format: Option<LogFormat>,
    /// What is logged.
    pub level: Option<String>,
    /// Whether text is coloured; standard error decides when not set.
    pub color: Option<bool>,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why a file holds no settings.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something in it is not a setting.
    #[error("{}:{place} {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where.
        place: Place,
        /// What is wrong, and what would be right.
        message: String,
    },
}

/// A place in a file, and the line there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The line's text.
    pub text: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: in `{}`:", self.line, self.column, self.text.trim())
    }
}

impl Settings {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// It cannot be read, is not TOML, or holds something that is no setting.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text =
            fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Parses the text of a file; `path` is for messages.
    ///
    /// # Errors
    /// It is not TOML, or holds something that is no setting.
    pub fn parse(text: &str, path: &Path) -> Result<Self, FileError> {
        toml::from_str(text).map_err(|error| FileError::Parse {
            path: path.to_owned(),
            place: place(text, error.span().map_or(0, |span| span.start)),
            message: with_suggestion(error.message()),
        })
    }
}

fn place(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        text: text[line_start..].lines().next().unwrap_or_default().to_owned(),
    }
}

/// Rewrites serde's words about an unknown field for people, and adds the known name that is nearest.
fn with_suggestion(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field ") else { return message.to_owned() };
    // serde writes: unknown field `a`, expected one of `b`, `c`
    let names: Vec<_> = rest.split('`').skip(1).step_by(2).collect();
    let Some((unknown, known)) = names.split_first() else { return message.to_owned() };
    let nearest = known.iter().max_by(|a, b| {
        let likeness = |name: &str| strsim::jaro_winkler(unknown, name);
        likeness(a).total_cmp(&likeness(b))
    });
    let suggestion = nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
    format!("unknown key `{unknown}`{suggestion} (known here: {})", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let text = "a = 1\nä = 22\n";
        let cases = [(0, (1, 1)), (4, (1, 5)), (6, (2, 1)), (8, (2, 2)), (999, (3, 1))];
        for (offset, (line, column)) in cases {
            let place = place(text, offset);
            assert_eq!((place.line, place.column), (line, column), "offset {offset}");
        }
    }
}
