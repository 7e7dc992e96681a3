//! What the API asks of the node.

use std::sync::atomic::{AtomicBool, Ordering};

use capstan_api::ports::NodeHealth;
use capstan_raft_store::handle::ClusterHandle;

use super::specs::OwnSpecs;

/// How the node itself is; the API adds what the store says.
#[derive(Debug)]
pub(super) struct Health {
    draining: AtomicBool,
    specs: OwnSpecs,
    /// The cluster that must ask who calls, if others can reach this node.
    must_ask: Option<ClusterHandle>,
}

impl Health {
    /// A node that takes requests built from these specs.
    pub(super) fn new(specs: OwnSpecs, must_ask: Option<ClusterHandle>) -> Self {
        Self { draining: AtomicBool::new(false), specs, must_ask }
    }

    /// From now on the node takes no new request.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

impl NodeHealth for Health {
    fn not_ready(&self) -> Vec<String> {
        if self.draining() { vec!["this node is shutting down".to_owned()] } else { Vec::new() }
    }

    fn alarms(&self) -> Vec<String> {
        let is_open = |cluster: &ClusterHandle| !cluster.view().state().auth.policy().required;
        let open = self.must_ask.as_ref().filter(|cluster| is_open(cluster)).map(|_| {
            "auth is required no longer, and other machines can reach this node: capstan auth require, or restart it on loopback"
                .to_owned()
        });
        self.specs.alarm().into_iter().chain(open).collect()
    }

    fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
