//! What the tests share: a cluster of processes, a wire to talk to it, and waiting for conditions.

pub(crate) mod beats;
mod cables;
pub(crate) mod cli;
pub(crate) mod events;
pub(crate) mod lrps;
mod node;
mod ports;
pub(crate) mod wire;

use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

use capstan_client::cluster::{ClusterStatus, Role};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

pub(crate) use self::{
    cables::Cables,
    node::{Node, server},
    ports::free_address,
};

/// How long anything may take that is not measured, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Clusters run one at a time: two would only measure each other.
static TURN: Mutex<()> = Mutex::const_new(());

/// How often a test repeats what it does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) count: usize,
    /// Whether the count was asked for, so that budgets of time count too.
    pub(crate) is_proof: bool,
}

impl Rounds {
    /// `CAPSTAN_ROUNDS`, or `default`.
    pub(crate) fn or(default: usize) -> Self {
        match std::env::var("CAPSTAN_ROUNDS") {
            Ok(text) => Self { count: text.parse().expect("CAPSTAN_ROUNDS is a count"), is_proof: true },
            Err(_) => Self { count: default, is_proof: false },
        }
    }
}

/// What differs between the clusters of the tests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// Lines of the `timing` table.
    pub(crate) timing: &'static str,
    /// The size of a file system of its own for each node, in MiB; the test must be allowed to mount.
    pub(crate) disk_mib: Option<u64>,
    /// More settings of the `cell` table, each behind a comma.
    pub(crate) cell: &'static str,
    /// Lines of further tables.
    pub(crate) tables: &'static str,
    /// Whether the nodes reach each other through cables that can be cut.
    pub(crate) cables: bool,
}

/// Three voters, each a process with a folder of its own. What is left of them ends with this value.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    /// Outlives the nodes.
    pub(crate) directory: TempDir,
    /// None are laid unless the plan says so.
    pub(crate) cables: Cables,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Starts three nodes and waits until all are ready.
    pub(crate) async fn start() -> Self {
        Self::start_as(Plan::default()).await
    }

    /// As [`Cluster::start`], with differences.
    pub(crate) async fn start_as(plan: Plan) -> Self {
        let turn = TURN.lock().await;
        let directory = tempfile::tempdir().unwrap();
        let nodes = node::place(directory.path());
        let cables = match plan.cables {
            true => Cables::lay(&nodes.iter().map(|node| (node.id, node.peer)).collect()).await,
            false => Cables::default(),
        };
        let mut cluster = Self { nodes, directory, cables, _turn: turn };
        node::configure(cluster.directory.path(), &mut cluster.nodes, &plan, &cluster.cables);
        for node in &mut cluster.nodes {
            node.start();
        }
        cluster.all_ready().await;
        cluster
    }

    /// The node of this id, counted from 1.
    pub(crate) fn node(&mut self, id: u64) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.id == id).expect("there are three nodes")
    }

    /// A node that runs.
    pub(crate) fn running(&mut self) -> &mut Node {
        self.nodes.iter_mut().find_map(|node| node.is_running().then_some(node)).expect("a node runs")
    }

    /// The HTTP addresses of nodes, by their ids.
    pub(crate) fn addresses(&self, ids: &[u64]) -> Vec<SocketAddr> {
        let of =
            |id: &u64| self.nodes.iter().find(|node| node.id == *id).expect("there are three nodes").http;
        ids.iter().map(of).collect()
    }

    /// The ids of all nodes but this one.
    pub(crate) fn others(&self, id: u64) -> Vec<u64> {
        self.nodes.iter().map(|node| node.id).filter(|other| *other != id).collect()
    }

    /// Sees that no node has ended, and waits until all are ready.
    pub(crate) async fn all_live_on(&mut self) {
        for node in &mut self.nodes {
            assert!(node.is_running(), "node {} has ended", node.id);
        }
        self.all_ready().await;
    }

    /// Waits until every node that runs is ready.
    pub(crate) async fn all_ready(&mut self) {
        for node in &mut self.nodes {
            if node.is_running() {
                node.ready().await;
            }
        }
    }

    /// Waits until a majority names the same leader, itself among it, and returns its id.
    pub(crate) async fn leader(&self) -> u64 {
        self.leader_other_than(None).await
    }

    /// As [`Cluster::leader`], for one that is not `old`.
    pub(crate) async fn leader_other_than(&self, old: Option<u64>) -> u64 {
        until("a leader", async || {
            let statuses = self.statuses().await;
            let leader = statuses.iter().filter(|s| s.state == Role::Leader).max_by_key(|s| s.term)?;
            let agree = |s: &&ClusterStatus| s.leader_id == Some(leader.node_id) && s.term == leader.term;
            let is_new = old != Some(leader.node_id);
            (is_new && statuses.iter().filter(agree).count() >= 2).then_some(leader.node_id)
        })
        .await
    }

    /// What each node that answers says of itself.
    pub(crate) async fn statuses(&self) -> Vec<ClusterStatus> {
        let all = futures::future::join_all(self.nodes.iter().map(Node::status)).await;
        all.into_iter().flatten().collect()
    }

    /// Waits until all nodes show the same checksum of their states, taken past `index`, and returns its index. `write` is
    /// called to move the log on: checksums are taken at every 1,024th entry.
    pub(crate) async fn states_agree(&self, index: u64, mut write: impl AsyncFnMut()) -> u64 {
        until("equal checksums", async || {
            let statuses = self.statuses().await;
            let newest = statuses.iter().map(|s| s.checksum.as_ref()).collect::<Option<Vec<_>>>();
            if let Some(sums) = newest.filter(|sums| sums.len() == self.nodes.len())
                && sums.iter().all(|sum| sum.index == sums[0].index && sum.index > index)
            {
                assert!(sums.iter().all(|sum| sum.value == sums[0].value), "the states differ: {sums:?}");
                return Some(sums[0].index);
            }
            write().await;
            None
        })
        .await
    }

    /// Ends the test: no node may have panicked, and none still running may fail to stop when asked.
    pub(crate) async fn end(mut self) {
        for node in &mut self.nodes {
            let log = node.log();
            let panics: Vec<_> = log.lines().filter(|line| line.contains("panicked at")).collect();
            assert_eq!(panics, Vec::<&str>::new(), "node {}", node.id);
            if node.is_running() {
                node.signal(nix::sys::signal::Signal::SIGTERM);
                let status = node.exit().await;
                assert!(status.success(), "node {} ended with {status}", node.id);
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in &self.nodes {
                eprintln!("--- the end of the log of node {} ---\n{}", node.id, tail(&node.log(), 40));
            }
        }
    }
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Looks again and again until there is something.
///
/// # Panics
/// There was nothing for [`PATIENCE`].
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Durations in the order of their length, for a line of a table.
pub(crate) struct Spread(Vec<Duration>);

impl Spread {
    pub(crate) fn of(mut durations: Vec<Duration>) -> Self {
        assert!(!durations.is_empty(), "nothing was measured");
        durations.sort();
        Self(durations)
    }

    /// The smallest that `percent` of them do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |percent| self.percentile(percent).as_millis();
        write!(
            f,
            "p50 {} ms, p99 {} ms, max {} ms ({} times)",
            millis(50),
            millis(99),
            millis(100),
            self.0.len()
        )
    }
}
