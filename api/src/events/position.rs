//! Where a stream begins.

use capstan_model::{
    history::{EventId, first_after},
    mutant, sometimes,
};
use capstan_raft_store::handle::{ClusterHandle, Consistency, View};
use http::{HeaderMap, HeaderName};

use crate::{
    archive,
    call::Head,
    error::{ApiError, InputError},
    headers, read,
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A place between two events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// The number of the next event.
    pub(super) next: u64,
    /// The log index of the state in which it was found.
    pub(super) index: u64,
}

/// Finds where the call wants to begin: behind the event it names, or behind all that a read of the same kind would show.
///
/// # Errors
/// [`InputError::Header`] for an id that is none, [`InputError::EventsGone`] when what came after it may be kept no more,
/// [`InputError::NotOfThisLog`] for an id from beyond the log, [`ApiError::Read`] when this node does not reach the event in time.
pub(super) async fn find(cluster: &ClusterHandle, head: &Head<'_>) -> Result<Position, ApiError> {
    let Some(id) = last_event_id(head.headers)? else {
        let view =
            if mutant!("stream-begins-stale") { cluster.view() } else { read::view(cluster, head).await? };
        return Ok(Position { next: view.state().history.next(), index: view.index() });
    };
    let mut view = reach(cluster, id).await?;
    loop {
        let (index, history) = (view.index(), view.state().history);
        let found = archive::read(view, move |view| first_after(history, view, id)).await;
        view = cluster.view();
        match found {
            // Rows that were removed meanwhile look like damage.
            Err(_) if view.state().history.first() > history.first() => {}
            Err(error) => return Err(error.into()),
            Ok(Some(next)) => return Ok(Position { next, index }),
            Ok(None) => return Err(InputError::EventsGone { id }.into()),
        }
    }
}

/// A view that has the event's entry. An event that anybody was told of is committed, so a confirmed read shows it: one that
/// does not proves that the id is of another log.
async fn reach(cluster: &ClusterHandle, id: EventId) -> Result<View, ApiError> {
    let view = cluster.view();
    if view.index() >= id.index || mutant!("event-not-awaited") {
        return Ok(view);
    }
    sometimes!("a stream is to go on behind an event that its node has not seen");
    let view = cluster.read(Consistency::Linearizable).await?;
    if view.index() >= id.index {
        return Ok(view);
    }
    Err(InputError::NotOfThisLog { id, index: view.index() }.into())
}

/// The event that the caller saw last. The Go client sends the header empty as long as it has seen none.
fn last_event_id(headers: &HeaderMap) -> Result<Option<EventId>, InputError> {
    match headers::single(headers, &LAST_EVENT_ID, "Last-Event-ID")? {
        None | Some("") => Ok(None),
        Some(text) => match text.parse() {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err(headers::refused(
                "Last-Event-ID",
                "it must be the id of an event as it was sent, such as 1234-0, or be left out",
            )),
        },
    }
}
