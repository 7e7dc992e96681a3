//! What the API asks of the node.

use std::sync::atomic::{AtomicBool, Ordering};

use capstan_api::ports::NodeHealth;

use super::specs::OwnSpecs;

/// How the node itself is; the API adds what the store says.
#[derive(Debug)]
pub(super) struct Health {
    draining: AtomicBool,
    specs: OwnSpecs,
}

impl Health {
    /// A node that takes requests built from these specs.
    pub(super) fn new(specs: OwnSpecs) -> Self {
        Self { draining: AtomicBool::new(false), specs }
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
        self.specs.alarm().into_iter().collect()
    }

    fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
