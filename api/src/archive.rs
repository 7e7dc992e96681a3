//! Reading what is on disk only, without holding up the tasks that serve others.

use capstan_model::rows::LoadError;
use capstan_raft_store::{handle::View, runtime};

use crate::error::ArchiveError;

/// Runs a read that may touch many rows away from the runtime.
pub(crate) async fn read<T: Send + 'static>(
    view: View,
    reading: impl FnOnce(&View) -> Result<T, LoadError> + Send + 'static,
) -> Result<T, ArchiveError> {
    Ok(runtime::spawn_blocking(move || reading(&view)).await??)
}
