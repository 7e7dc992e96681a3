//! What must hold of the settings together.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    thread,
};

use capstan_api::{Access, Credentials};
use capstan_model::{auth::token::TokenId, ids::NodeId};
use capstan_raft_store::timing::Timing;

use super::{
    Config, LogConfig, SLOTS_PER_CORE, VOTERS_MAX, Voter, cell,
    file::{ReceptorSettings, Settings, TimingSettings, VoterSettings},
    secret::Secret,
};

/// Turns settings into a configuration, or says everything that is wrong with them.
pub(super) fn check(settings: Settings, insecure: bool) -> Result<Config, Vec<String>> {
    let mut problems = Vec::new();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let voters = voters(settings.voter, &mut problems);
    let node = node(settings.node.id, &voters, &mut problems);
    let me = voters.iter().find(|voter| Some(voter.id) == node);
    let own = |address: fn(&Voter) -> &str| me.map(address);
    let http_listen = listener("http.listen", settings.http.listen, own(|me| &me.http), &mut problems);
    let peer_listen = listener("peer.listen", settings.peer.listen, own(|me| &me.peer), &mut problems);
    let is_open = |address: &SocketAddr| !address.ip().is_loopback() && !insecure;
    if let Some(address) = peer_listen.filter(is_open) {
        problems.push(format!(
            "peer.listen = {address} can be reached from other machines, and peers are not authenticated: \
             listen on loopback, or say --insecure if the network is a trusted one"
        ));
    }
    if let (Some(http), Some(peer)) = (http_listen, peer_listen)
        && http == peer
    {
        problems.push(format!("http.listen and peer.listen are both {http}: they need an address each"));
    }
    let receptor = receptor(settings.receptor, &mut problems);
    let dial = dial(settings.peer.dial, node, &voters, peer_listen, &mut problems);
    let http_host = http_listen.map(|address| address.ip()).filter(|ip| !ip.is_unspecified());
    let http_host = http_host.map(|ip| ip.to_string()).or_else(|| me.and_then(|me| host_of(&me.http)));
    let cell = cell::check(settings.cell, http_host, &mut problems);
    let timing = timing(settings.timing);
    if let Err(error) = timing.check() {
        problems.push(format!("timing: {error}"));
    }
    if settings.node.data.is_none() {
        problems.push("node.data is missing: where should this node keep its data?".to_owned());
    }
    if settings.jobs.slots == Some(0) {
        problems.push("jobs.slots = 0: a node runs at least one job at a time".to_owned());
    }
    if settings.jobs.token.as_ref().is_some_and(|token| !is_token(token)) {
        problems.push("jobs.token: a token is ID.SECRET, as capstan token create told it".to_owned());
    }
    if settings.node.worker_threads == Some(0) {
        problems.push("node.worker_threads = 0: a runtime has at least one thread".to_owned());
    }
    let directories =
        [("specs.directory", &settings.specs.directory), ("jobs.directory", &settings.jobs.directory)];
    for (setting, directory) in directories {
        if let Some(directory) = directory
            && !directory.is_dir()
        {
            problems.push(format!("{setting} = {}: there is no such directory", directory.display()));
        }
    }
    let level = settings.log.level.unwrap_or_else(|| "info".to_owned());
    if let Err(error) = tracing_subscriber::EnvFilter::builder().parse(&level) {
        problems.push(format!("log.level = {level:?}: {error}"));
    }
    let (Some(node), Some(data), Some(http_listen), Some(peer_listen), []) =
        (node, settings.node.data, http_listen, peer_listen, problems.as_slice())
    else {
        return Err(problems);
    };
    Ok(Config {
        node,
        data,
        http_listen,
        http_needs_auth: is_open(&http_listen),
        receptor,
        peer_listen,
        voters,
        dial,
        timing,
        slots: settings
            .jobs
            .slots
            .unwrap_or_else(|| u32::try_from(cores * SLOTS_PER_CORE).unwrap_or(u32::MAX)),
        jobs_directory: settings.jobs.directory,
        jobs_token: settings.jobs.token,
        cell,
        specs_directory: settings.specs.directory,
        worker_threads: settings.node.worker_threads.unwrap_or(cores),
        log: LogConfig { format: settings.log.format.unwrap_or_default(), level, color: settings.log.color },
    })
}

fn voters(given: Vec<VoterSettings>, problems: &mut Vec<String>) -> Vec<Voter> {
    if given.is_empty() {
        problems.push(
            "there is no [[voter]]: each voter of the cluster needs one, with id, peer and http".to_owned(),
        );
    }
    if given.len() > VOTERS_MAX {
        problems.push(format!("{} voters: a cluster has at most {VOTERS_MAX}", given.len()));
    }
    let mut ids: BTreeMap<u64, ()> = BTreeMap::new();
    let mut addresses: BTreeMap<&str, u64> = BTreeMap::new();
    for VoterSettings { id, peer, http } in &given {
        if *id == 0 {
            problems.push("voter 0: ids count from 1".to_owned());
        }
        if ids.insert(*id, ()).is_some() {
            problems.push(format!("voter {id} is there twice: every voter has an id of its own"));
        }
        for (setting, address) in [("peer", peer), ("http", http)] {
            if !is_host_and_port(address) {
                problems.push(format!("voter {id}: {setting} = {address:?} is not host:port"));
            }
            if let Some(other) = addresses.insert(address, *id) {
                problems.push(if other == *id {
                    format!("voter {id}: peer and http are both {address}: they need an address each")
                } else {
                    format!("voters {other} and {id} share the address {address}: every address belongs to one voter")
                });
            }
        }
    }
    let mut voters: Vec<_> = given
        .into_iter()
        .map(|VoterSettings { id, peer, http }| Voter { id: NodeId(id), peer, http })
        .collect();
    voters.sort_by_key(|voter| voter.id);
    voters
}

fn node(given: Option<u64>, voters: &[Voter], problems: &mut Vec<String>) -> Option<NodeId> {
    let Some(id) = given.map(NodeId) else {
        problems.push("node.id is missing: which of the voters is this node?".to_owned());
        return None;
    };
    if !voters.is_empty() && voters.iter().all(|voter| voter.id != id) {
        let known: Vec<_> = voters.iter().map(|voter| voter.id.to_string()).collect();
        problems.push(format!(
            "node.id = {id} is not among the voters ({}): add a [[voter]] for it on every node; \
             members that do not vote are not supported yet",
            known.join(", ")
        ));
    }
    Some(id)
}

fn receptor(given: ReceptorSettings, problems: &mut Vec<String>) -> Access {
    let credentials = match (given.username, given.password) {
        (None, None) => None,
        (Some(username), _) if username.is_empty() || username.contains(':') => {
            problems.push(format!("receptor.username = {username:?}: it is not empty and has no colon"));
            None
        }
        (Some(username), Some(password)) => Some(Credentials { username, password: password.reveal() }),
        (Some(_), None) => {
            problems
                .push("receptor.password is missing: receptor.username alone keeps nobody out".to_owned());
            None
        }
        (None, Some(_)) => {
            problems.push("receptor.username is missing: who brings receptor.password?".to_owned());
            None
        }
    };
    Access { credentials, cors: given.cors.unwrap_or(false) }
}

/// The address to listen on: as given, or the node's own address among the voters.
fn listener(
    setting: &str,
    given: Option<SocketAddr>,
    own: Option<&str>,
    problems: &mut Vec<String>,
) -> Option<SocketAddr> {
    if given.is_some() {
        return given;
    }
    let parsed = own?.parse();
    if parsed.is_err() {
        problems.push(format!(
            "{setting} is missing, and this voter's own address is no IP address to listen on"
        ));
    }
    parsed.ok()
}

fn dial(
    given: BTreeMap<String, String>,
    node: Option<NodeId>,
    voters: &[Voter],
    peer_listen: Option<SocketAddr>,
    problems: &mut Vec<String>,
) -> BTreeMap<NodeId, String> {
    let own_address = voters.iter().find(|voter| Some(voter.id) == node).map(|me| me.peer.clone());
    let own = [own_address, peer_listen.map(|address| address.to_string())];
    let mut dial = BTreeMap::new();
    for (key, address) in given {
        let Some(voter) = voters.iter().find(|voter| voter.id.to_string() == key) else {
            problems.push(format!("peer.dial: {key:?} is not the id of a voter"));
            continue;
        };
        if Some(voter.id) == node {
            problems.push(format!("peer.dial: {key} is this node itself"));
        } else if own.contains(&Some(address.clone())) {
            problems.push(format!("peer.dial: {key} = {address:?} points at this node itself"));
        } else if !is_host_and_port(&address) {
            problems.push(format!("peer.dial: {key} = {address:?} is not host:port"));
        }
        dial.insert(voter.id, address);
    }
    for voter in voters {
        let listens_here = peer_listen.is_some_and(|listen| listen.to_string() == voter.peer);
        if Some(voter.id) != node && listens_here && !dial.contains_key(&voter.id) {
            problems.push(format!("voter {}: peer = {} is where this node listens", voter.id, voter.peer));
        }
    }
    dial
}

fn timing(given: TimingSettings) -> Timing {
    let default = Timing::default();
    Timing {
        raft_heartbeat: given.raft_heartbeat.unwrap_or(default.raft_heartbeat),
        election_min: given.election_min.unwrap_or(default.election_min),
        election_max: given.election_max.unwrap_or(default.election_max),
        node_heartbeat: given.node_heartbeat.unwrap_or(default.node_heartbeat),
        ack_age_max: given.ack_age_max.unwrap_or(default.ack_age_max),
        lease: given.lease.unwrap_or(default.lease),
        kill: given.kill.unwrap_or(default.kill),
        owner_lost_after: given.owner_lost_after.unwrap_or(default.owner_lost_after),
        snapshot_step: given.snapshot_step.unwrap_or(default.snapshot_step),
        snapshot_bytes: given.snapshot_bytes.map_or(default.snapshot_bytes, |size| size.as_u64()),
        snapshot_every: given.snapshot_every.unwrap_or(default.snapshot_every),
        log_kept: default.log_kept,
    }
}

/// Whether a text is an id and something visible behind a dot.
fn is_token(token: &Secret) -> bool {
    let token = token.clone().reveal();
    token.split_once('.').is_some_and(|(id, secret)| {
        id.parse::<TokenId>().is_ok() && !secret.is_empty() && secret.bytes().all(|b| b.is_ascii_graphic())
    })
}

/// The host of `host:port`, without the brackets of an IPv6 address.
fn host_of(address: &str) -> Option<String> {
    let (host, _) = address.rsplit_once(':')?;
    Some(host.trim_matches(['[', ']']).to_owned())
}

/// Whether `address` is `host:port`, with a name, an IPv4 address or a bracketed IPv6 address as host.
fn is_host_and_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()),
        None => {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        }
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        for good in ["127.0.0.1:8741", "db-1.example:1", "localhost:65535", "[::1]:80"] {
            assert!(is_host_and_port(good), "{good}");
        }
        for bad in [
            "",
            "localhost",
            ":80",
            "host:0",
            "host:65536",
            "host:x",
            "::1:80",
            "[nope]:80",
            "a b:80",
            "http://x:80",
        ] {
            assert!(!is_host_and_port(bad), "{bad}");
        }
    }
}
