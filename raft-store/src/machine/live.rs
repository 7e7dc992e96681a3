//! The database that is live now, for those outside the state machine.

use std::{
    io,
    sync::{Arc, Mutex},
};

use crate::{generation::Generation, runtime};

/// Follows the state machine from one generation to the next.
pub(crate) struct Live(Mutex<Arc<Generation>>);

impl Live {
    pub(crate) fn new(generation: Arc<Generation>) -> Self {
        Self(Mutex::new(generation))
    }

    /// The one that is live now.
    pub(crate) fn get(&self) -> Arc<Generation> {
        Arc::clone(&self.0.lock().expect("nothing panics while holding it"))
    }

    pub(super) fn set(&self, generation: Arc<Generation>) {
        *self.0.lock().expect("nothing panics while holding it") = generation;
    }

    /// Writes what the database holds in memory to its files, beside apply. A snapshot that is asked for next then finds little to
    /// flush while it holds apply up.
    ///
    /// # Errors
    /// The disk failed or is full.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        let generation = self.get();
        runtime::spawn_blocking(move || generation.engine().flush()).await.flatten()
    }
}
