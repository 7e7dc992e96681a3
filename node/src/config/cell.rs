//! The settings of a node as a cell: what it offers to long-running processes and tasks.

use std::{fmt, net::IpAddr, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error};

/// The host ports of instances when `cell.ports` is not set: above those that Linux gives out by itself.
pub const PORTS: HostPortRange = HostPortRange { first: 61_001, last: 65_535 };

/// How many instances and tasks a cell takes at a time when `cell.containers` is not set.
const CONTAINERS: u32 = 256;

/// The zone of a cell when `cell.zone` is not set.
const ZONE: &str = "default";

/// What the host stands in for when `cell.rootfs` is not set.
const ROOTFS: &str = "host";

/// The node as a cell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, clap::Args)]
#[command(next_help_heading = "Long-running processes and tasks")]
#[serde(deny_unknown_fields, default)]
pub struct CellSettings {
    /// Whether this node runs any [default: true]
    #[arg(long = "cell-enabled", env = "CAPSTAN_CELL_ENABLED", value_name = "BOOL")]
    pub enabled: Option<bool>,
    /// Where this node stands; instances are spread over zones [default: default]
    #[arg(long = "cell-zone", env = "CAPSTAN_CELL_ZONE", value_name = "NAME")]
    pub zone: Option<String>,
    /// The host at which others reach them [default: that of the HTTP API]
    #[arg(long = "cell-address", env = "CAPSTAN_CELL_ADDRESS", value_name = "HOST")]
    pub address: Option<String>,
    /// The memory that they may ask for, in MiB [default: what the machine has]
    #[arg(long = "cell-memory-mb", env = "CAPSTAN_CELL_MEMORY_MB", value_name = "MIB")]
    pub memory_mb: Option<u32>,
    /// The disk that they may ask for, in MiB [default: the size of the file system of the data]
    #[arg(long = "cell-disk-mb", env = "CAPSTAN_CELL_DISK_MB", value_name = "MIB")]
    pub disk_mb: Option<u32>,
    /// How many of them run at a time [default: 256]
    #[arg(long = "cell-containers", env = "CAPSTAN_CELL_CONTAINERS", value_name = "N")]
    pub containers: Option<u32>,
    /// The names behind preloaded: that this machine stands in for [default: host]
    #[arg(long = "cell-rootfs", env = "CAPSTAN_CELL_ROOTFS", value_name = "NAME", value_delimiter = ',')]
    pub rootfs: Option<Vec<String>>,
    /// The ports that instances get, of their own [default: 61001-65535]
    #[arg(long = "cell-ports", env = "CAPSTAN_CELL_PORTS", value_name = "FIRST-LAST")]
    pub ports: Option<HostPortRange>,
    /// Whether they may run as root [default: false]
    #[arg(long = "cell-allow-root", env = "CAPSTAN_CELL_ALLOW_ROOT", value_name = "BOOL")]
    pub allow_root: Option<bool>,
    /// Whether each has a network of its own, which takes root [default: false]
    #[arg(long = "cell-netns", env = "CAPSTAN_CELL_NETNS", value_name = "BOOL")]
    pub netns: Option<bool>,
}

/// `FIRST-LAST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPortRange {
    first: u16,
    last: u16,
}

/// A node as a cell, complete and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellConfig {
    /// Where it stands.
    pub zone: String,
    /// Where others reach its instances: an IP address, or a name for one.
    pub address: String,
    /// What instances may ask for, in MiB; what the machine has when `None`.
    pub memory_mb: Option<u32>,
    /// As for memory.
    pub disk_mb: Option<u32>,
    /// How many instances and tasks it runs at a time.
    pub containers: u32,
    /// The preloaded names that the machine stands in for.
    pub rootfs: Vec<String>,
    /// The host ports of instances.
    pub ports: RangeInclusive<u16>,
    /// Whether instances may run as root.
    pub allow_root: bool,
    /// Whether each instance and task has a network of its own.
    pub netns: bool,
}

impl HostPortRange {
    /// One of `parts` ranges of equal size that do not overlap, for cells on one machine; counted from 0.
    pub fn part(self, part: u16, parts: u16) -> Self {
        let size = (self.last - self.first) / parts;
        let first = self.first + part * size;
        Self { first, last: first + size - 1 }
    }
}

impl fmt::Display for HostPortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for HostPortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        let ends = text.split_once('-').and_then(|(first, last)| port(first).zip(port(last)));
        match ends {
            Some((first, last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!("{text:?} is not FIRST-LAST, such as 61001-65535")),
        }
    }
}

impl<'de> Deserialize<'de> for HostPortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl CellSettings {
    /// Puts what was given on the command line over these.
    pub(super) fn overlay(&mut self, given: Self) {
        let settings = std::mem::take(self);
        *self = Self {
            enabled: given.enabled.or(settings.enabled),
            zone: given.zone.or(settings.zone),
            address: given.address.or(settings.address),
            memory_mb: given.memory_mb.or(settings.memory_mb),
            disk_mb: given.disk_mb.or(settings.disk_mb),
            containers: given.containers.or(settings.containers),
            rootfs: given.rootfs.or(settings.rootfs),
            ports: given.ports.or(settings.ports),
            allow_root: given.allow_root.or(settings.allow_root),
            netns: given.netns.or(settings.netns),
        };
    }
}

/// Completes the settings of a cell; `http` is the host at which the node's HTTP API can be reached. `None` when the node is to be none.
pub(super) fn check(
    settings: CellSettings,
    http: Option<String>,
    problems: &mut Vec<String>,
) -> Option<CellConfig> {
    if settings.enabled == Some(false) {
        return None;
    }
    let zone = settings.zone.unwrap_or_else(|| ZONE.to_owned());
    if zone.trim().is_empty() {
        problems.push("cell.zone is empty: it names where the machine stands".to_owned());
    }
    let address = settings.address.or(http);
    if let Some(address) = &address
        && (address.is_empty() || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()))
    {
        problems.push(format!(
            "cell.address = {address:?}: it is shown to callers, and nobody can reach an instance there"
        ));
    }
    for (setting, value) in [("memory_mb", settings.memory_mb), ("containers", settings.containers)] {
        if value == Some(0) {
            problems.push(format!(
                "cell.{setting} = 0: a cell has some; cell.enabled = false makes the node no cell"
            ));
        }
    }
    let rootfs = settings.rootfs.unwrap_or_else(|| vec![ROOTFS.to_owned()]);
    for name in &rootfs {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || !name.chars().all(is_legal) {
            problems.push(format!(
                "cell.rootfs: {name:?} is no name: NAME of preloaded:NAME, of letters, digits, `.`, `_` and `-`"
            ));
        }
    }
    let HostPortRange { first, last } = settings.ports.unwrap_or(PORTS);
    Some(CellConfig {
        zone,
        address: address?,
        memory_mb: settings.memory_mb,
        disk_mb: settings.disk_mb,
        containers: settings.containers.unwrap_or(CONTAINERS),
        rootfs,
        ports: first..=last,
        allow_root: settings.allow_root.unwrap_or(false),
        netns: settings.netns.unwrap_or(false),
    })
}
