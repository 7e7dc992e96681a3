//! The request specs that requests are built from: the cluster's, once there are any; before that the node's own.
//!
//! A version is turned into [`Specs`] once, away from the runtime, and kept as long as it is the newest asked for.

use std::sync::{Arc, Mutex};

use capstan_model::{spec::Specs, spec_store::SpecsId, state::State};
use capstan_raft_store::runtime;

use crate::{
    error::{ApiError, ArchiveError, InputError},
    ports::Workflows,
};

/// The specs that were built last.
#[derive(Default)]
pub(crate) struct SpecsInUse(Mutex<Option<(SpecsId, Arc<Specs>)>>);

/// Specs, and which version of the cluster's they are.
pub(crate) struct Versioned {
    pub(crate) specs: Arc<Specs>,
    /// `None` when they are the node's own.
    pub(crate) version: Option<SpecsId>,
}

impl SpecsInUse {
    /// The specs that are in use in this state.
    ///
    /// # Errors
    /// This node's program finds errors where the one that took them found none.
    pub(crate) async fn of(&self, state: &State, own: &dyn Workflows) -> Result<Versioned, ApiError> {
        let Some(current) = state.specs.current() else {
            return Ok(Versioned { specs: own.specs(), version: None });
        };
        let version = Some(current.id);
        if let Some((id, specs)) = &*self.lock()
            && (*id == current.id || capstan_model::mutant!("specs-in-use-not-compared"))
        {
            return Ok(Versioned { specs: Arc::clone(specs), version });
        }
        let files: Vec<_> =
            state.specs.files(current).map(|(path, text)| (path.clone(), text.clone())).collect();
        let built = runtime::spawn_blocking(move || Specs::load(files)).await.map_err(ArchiveError::Task)?;
        let specs = Arc::new(built.map_err(|findings| {
            let first = findings.iter().find(|finding| finding.is_error());
            let reason = first.map(ToString::to_string).unwrap_or_default();
            InputError::SpecsUnusable { version: current.id.short(), reason }
        })?);
        *self.lock() = Some((current.id, Arc::clone(&specs)));
        Ok(Versioned { specs, version })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(SpecsId, Arc<Specs>)>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}
