//! `/v1/cells`.

use http::StatusCode;

use super::{answer, at_index, shapes};
use crate::{answer::Answer, call::Head, error::ApiError, read, service::Inner};

/// `GET …`: those that are there, drained ones included.
pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let view = read::view(&api.parts.cluster, head).await?;
    let present = view.state().lrps.cells().filter(|(_, cell)| !cell.silent);
    let cells: Vec<_> = present.map(|(node, cell)| shapes::cell(node, cell)).collect();
    Ok(at_index(answer::json(StatusCode::OK, &cells), view.index()))
}
