//! The request specs of this node's own directory: the first of a new cluster.
//!
//! A cluster that has none yet is given them, by whichever node comes first. From then on specs change by a push
//! (`capstan spec push`), and the directory counts no more; until then requests are built from it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use capstan_api::ports::Workflows;
use capstan_model::{spec::Specs, spec_store::SpecFile};
use capstan_raft_store::handle::ClusterHandle;
use tokio::signal::unix::Signal;

use crate::{
    specs_dir::{self, SpecsDir, SpecsDirError},
    specs_seed,
};

/// The specs of the node's own directory. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnSpecs {
    specs: Arc<Specs>,
    files: Arc<Vec<SpecFile>>,
    hash: Option<u128>,
    /// Why the cluster did not take them.
    trouble: Arc<Mutex<Option<String>>>,
}

impl OwnSpecs {
    /// Loads a directory, if there is one.
    ///
    /// # Errors
    /// Something cannot be read, or a spec is wrong.
    pub(super) fn load(directory: Option<PathBuf>) -> Result<Self, SpecsDirError> {
        let Some(directory) = directory else { return Ok(Self::default()) };
        let SpecsDir { specs, files, hash } = specs_dir::load(&directory)?;
        for warning in specs.warnings() {
            tracing::warn!("request specs: {warning}");
        }
        if specs.sequences().next().is_none() {
            tracing::warn!("the directory of request specs defines no sequence");
        }
        let file = |(path, text): (String, String)| SpecFile { path: path.into(), text: text.into() };
        let files = Arc::new(files.into_iter().map(file).collect());
        Ok(Self { specs: Arc::new(specs), files, hash: Some(hash), trouble: Arc::default() })
    }

    /// Tells the cluster which specs these are. Called as soon as the store is open, so that no heartbeat goes out
    /// without them.
    pub(super) fn announce(&self, cluster: &ClusterHandle) {
        cluster.announce_specs(self.hash);
    }

    /// Gives them to a cluster that has none. Ends when it has some.
    pub(super) async fn seed(self, cluster: ClusterHandle) {
        if self.files.is_empty() {
            return;
        }
        if let Err(rejection) = specs_seed::seed(&self.files, &cluster).await {
            tracing::error!(%rejection, "the cluster did not take the request specs");
            *self.trouble.lock().expect("no holder of this lock panics") = Some(rejection.to_string());
        }
    }

    /// What an operator should know of the specs.
    pub(super) fn alarm(&self) -> Option<String> {
        let trouble = self.trouble.lock().expect("no holder of this lock panics").clone()?;
        Some(format!("the cluster did not take the request specs of this node's directory: {trouble}"))
    }
}

/// Says to whoever sends the signal that nothing is loaded again.
pub(super) async fn answer_hangups(mut signal: Signal) {
    while signal.recv().await.is_some() {
        tracing::warn!("SIGHUP loads nothing: capstan spec push brings new request specs into the cluster");
    }
}

impl Workflows for OwnSpecs {
    fn specs(&self) -> Arc<Specs> {
        Arc::clone(&self.specs)
    }
}
