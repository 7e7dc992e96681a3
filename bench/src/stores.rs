//! Stores without the nodes around them: replicated over loopback, in this process.

use std::{collections::BTreeMap, path::Path, process, sync::Arc, time::Duration};

use anyhow::Context;
use capstan_model::{
    command::{Command, NodeJoined},
    ids::NodeId,
};
use capstan_node::{clock::SystemClock, entropy::SystemEntropy, peer_net::PeerNet};
use capstan_raft_store::{
    cluster::{self, Options, Parts, Started},
    engine::RocksDisk,
    handle::{ClusterHandle, ProposeOptions},
    peer::NodeFacts,
    ports::{Clock, FatalSink},
    timing::Timing,
};
use tokio::{net::TcpListener, time::sleep};

use crate::scratch::Scratch;

/// How often to look whether a node was heard of and admitted.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One store, as a node has it, without the rest of the node.
pub(crate) struct Store {
    /// What is proposed to and read from it.
    pub(crate) handle: ClusterHandle,
    net: PeerNet,
}

impl Store {
    /// Stops it; its data stays.
    pub(crate) async fn stop(&self) {
        self.handle.shutdown().await;
        self.net.close();
    }
}

/// Starts `count` stores that are a cluster, as `capstan server` would, and admits each.
pub(crate) async fn start(scratch: &Scratch, count: u64) -> anyhow::Result<Vec<Store>> {
    start_on(scratch.path(), count, Arc::new(SystemClock)).await
}

/// As [`start`], in a folder that may have their data already, and with a clock of one's own.
pub(crate) async fn start_on(folder: &Path, count: u64, clock: Arc<dyn Clock>) -> anyhow::Result<Vec<Store>> {
    let mut listeners = BTreeMap::new();
    for id in 1..=count {
        listeners.insert(NodeId(id), TcpListener::bind("127.0.0.1:0").await?);
    }
    let mut addresses = BTreeMap::new();
    for (id, listener) in &listeners {
        addresses.insert(*id, listener.local_addr()?.to_string());
    }
    let mut nodes = Vec::new();
    for (id, listener) in listeners {
        let others = addresses.iter().filter(|(other, _)| **other != id);
        let net = PeerNet::new(&others.map(|(other, address)| (*other, address.clone())).collect());
        let options = Options {
            node: id,
            voters: addresses.keys().copied().collect(),
            facts: NodeFacts {
                peer_address: addresses[&id].as_str().into(),
                http_address: "none".into(),
                slots: 1,
                job_types: vec!["sleep".into()],
            },
            timing: Timing::default(),
        };
        let parts = Parts {
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            disk: Arc::new(RocksDisk::open(&folder.join(format!("n{id}")))?),
            transport: Arc::new(net.clone()),
            fatal: Arc::new(ExitOnFatal),
        };
        let Started { handle, peers } = cluster::start(options, parts).await?;
        handle.begin_reports();
        net.serve(listener, peers);
        nodes.push(Store { handle, net });
    }
    tokio::time::timeout(Duration::from_secs(30), admit_all(&nodes))
        .await
        .context("the stores were not ready within 30 s")??;
    Ok(nodes)
}

/// Does the liveness actor's part: opens the session of every store that reports to the leader.
async fn admit_all(nodes: &[Store]) -> anyhow::Result<()> {
    let joined = |node: &Store| node.handle.view().state().sessions.of(node.handle.incarnation()).is_some();
    while !nodes.iter().all(joined) {
        sleep(LOOK_EVERY).await;
        let Some(leader) = nodes.iter().find(|node| node.handle.leadership().borrow().is_some()) else {
            continue;
        };
        for seen in leader.handle.heartbeats() {
            let joining = NodeJoined {
                incarnation: seen.incarnation,
                disk: seen.disk,
                peer_address: seen.facts.peer_address,
                http_address: seen.facts.http_address,
                slots: seen.facts.slots,
                job_types: seen.facts.job_types,
            };
            leader.handle.propose(Command::NodeJoined(joining), ProposeOptions::progress()).await?;
        }
    }
    Ok(())
}

struct ExitOnFatal;

impl FatalSink for ExitOnFatal {
    fn fatal(&self, reason: &str) {
        eprintln!("bench: a store failed: {reason}");
        process::exit(74);
    }
}
