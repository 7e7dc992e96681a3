//! Finished requests, read from disk.

use capstan_model::{archive, ids::RequestId, workflow::view::RequestDetail};
use capstan_raft_store::handle::View;

pub(super) use crate::archive::read;
use crate::error::ArchiveError;

/// A request, live or finished; `None` when it is neither.
pub(super) async fn request(view: View, id: RequestId) -> Result<Option<RequestDetail>, ArchiveError> {
    match view.state().requests.get(&id) {
        Some(live) => Ok(Some(live.detail())),
        None => read(view, move |view| archive::finished_request(view, id)).await,
    }
}
