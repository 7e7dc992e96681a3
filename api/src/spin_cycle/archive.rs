//! Reading what is on disk only, without holding up the tasks that serve others.

use capstan_model::{archive, ids::RequestId, rows::LoadError, workflow::view::RequestDetail};
use capstan_raft_store::{handle::View, runtime};

use crate::error::ArchiveError;

/// Runs a read that may touch many rows away from the runtime.
pub(super) async fn read<T: Send + 'static>(
    view: View,
    reading: impl FnOnce(&View) -> Result<T, LoadError> + Send + 'static,
) -> Result<T, ArchiveError> {
    Ok(runtime::spawn_blocking(move || reading(&view)).await??)
}

/// A request, live or finished; `None` when it is neither.
pub(super) async fn request(view: View, id: RequestId) -> Result<Option<RequestDetail>, ArchiveError> {
    match view.state().requests.get(&id) {
        Some(live) => Ok(Some(live.detail())),
        None => read(view, move |view| archive::finished_request(view, id)).await,
    }
}
