//! The request specs a node has loaded, and loading them again on SIGHUP.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use capstan_api::ports::Workflows;
use capstan_model::spec::Specs;
use capstan_raft_store::handle::ClusterHandle;
use tokio::{signal::unix::Signal, task::spawn_blocking};

use crate::specs_dir::{self, SpecsDir, SpecsDirError};

/// The specs in use. Cheap to clone; all clones see what was loaded last.
#[derive(Debug, Clone)]
pub(super) struct LoadedSpecs {
    directory: Option<PathBuf>,
    loaded: Arc<Mutex<Loaded>>,
}

#[derive(Debug, Default)]
struct Loaded {
    specs: Arc<Specs>,
    hash: Option<u128>,
    /// Why the newest files are not in use.
    trouble: Option<String>,
}

impl LoadedSpecs {
    /// Loads a directory, if there is one.
    ///
    /// # Errors
    /// Something cannot be read, or a spec is wrong.
    pub(super) fn load(directory: Option<PathBuf>) -> Result<Self, SpecsDirError> {
        let specs = Self { directory, loaded: Arc::default() };
        if let Some(directory) = &specs.directory {
            let found = specs_dir::load(directory)?;
            specs.lock().take(found);
        }
        Ok(specs)
    }

    /// Tells the cluster which specs are in use. Called as soon as the store is open, so that no heartbeat goes out
    /// without them.
    pub(super) fn announce(&self, cluster: &ClusterHandle) {
        cluster.announce_specs(self.lock().hash);
    }

    /// Loads the directory again whenever the signal comes. Specs that are wrong leave those in use that were.
    pub(super) async fn reload_on(self, mut signal: Signal, cluster: ClusterHandle) {
        self.announce(&cluster);
        while signal.recv().await.is_some() {
            let Some(directory) = self.directory.clone() else {
                tracing::warn!("asked to reload the request specs, but specs.directory is not set");
                continue;
            };
            let found = spawn_blocking(move || specs_dir::load(&directory)).await;
            let mut loaded = self.lock();
            match found.expect("loading specs does not panic") {
                Ok(found) => {
                    tracing::info!(requests = found.specs.request_list().len(), "reloaded the request specs");
                    loaded.take(found);
                }
                Err(error) => {
                    tracing::error!(%error, "the request specs were not reloaded; those from before stay in use");
                    loaded.trouble = Some(error.to_string());
                }
            }
            cluster.announce_specs(loaded.hash);
        }
    }

    /// What an operator should know of the specs.
    pub(super) fn alarm(&self) -> Option<String> {
        let trouble = self.lock().trouble.clone()?;
        Some(format!("the request specs were not reloaded, those from before stay in use: {trouble}"))
    }

    fn lock(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().expect("no holder of this lock panics")
    }
}

impl Loaded {
    fn take(&mut self, found: SpecsDir) {
        for warning in found.specs.warnings() {
            tracing::warn!("request specs: {warning}");
        }
        if found.specs.sequences().next().is_none() {
            tracing::warn!("the directory of request specs defines no sequence");
        }
        *self = Self { specs: Arc::new(found.specs), hash: Some(found.hash), trouble: None };
    }
}

impl Workflows for LoadedSpecs {
    fn specs(&self) -> Arc<Specs> {
        Arc::clone(&self.lock().specs)
    }
}
