//! What the API asks of the node.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use capstan_api::ports::{NodeHealth, Workflows};
use capstan_model::spec::Specs;

/// The specs this node was started with.
#[derive(Debug, Default)]
pub(super) struct LoadedSpecs(Arc<Specs>);

impl LoadedSpecs {
    pub(super) fn new(specs: Specs) -> Self {
        for warning in specs.warnings() {
            tracing::warn!("request specs: {warning}");
        }
        Self(Arc::new(specs))
    }
}

impl Workflows for LoadedSpecs {
    fn specs(&self) -> Arc<Specs> {
        Arc::clone(&self.0)
    }
}

/// How the node itself is; the API adds what the store says.
#[derive(Debug, Default)]
pub(super) struct Health {
    draining: AtomicBool,
}

impl Health {
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
        Vec::new()
    }

    fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
