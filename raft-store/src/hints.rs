//! Hints: which requests something happened to, for those who act on them.
//!
//! Told after the view that shows it was published. Most entries concern no request, and wake nobody here.

use std::{collections::BTreeSet, sync::Arc};

use capstan_model::{buggify, ids::RequestId};
use tokio::sync::broadcast::{self, error::RecvError};

/// How many batches of entries a listener may be behind before it is told to look at everything; a set of ids each.
const BACKLOG_MAX: usize = 64;

/// What may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// These requests.
    Some(BTreeSet<RequestId>),
    /// Any request.
    All,
}

/// Where hints are told.
pub(crate) struct Hints(broadcast::Sender<Arc<Touched>>);

/// Where hints are heard.
#[derive(Debug)]
pub struct RequestHints(broadcast::Receiver<Arc<Touched>>);

impl Touched {
    /// Whether this request may have changed.
    pub fn contains(&self, request: &RequestId) -> bool {
        match self {
            Self::Some(requests) => requests.contains(request),
            Self::All => true,
        }
    }

    fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Some(known), Self::Some(more)) => known.extend(more),
            (Self::All, _) => {}
            (_, Self::All) => *self = Self::All,
        }
    }
}

impl Hints {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BACKLOG_MAX))
    }

    pub(crate) fn subscribe(&self) -> RequestHints {
        RequestHints(self.0.subscribe())
    }

    pub(crate) fn tell(&self, touched: Touched) {
        if buggify!("buggify: a hint is lost") {
            return;
        }
        let is_vague = buggify!("buggify: a hint names no request");
        let touched = Arc::new(if is_vague { Touched::All } else { touched });
        if buggify!("buggify: a hint is told twice") {
            drop(self.0.send(Arc::clone(&touched)));
        }
        // Nobody may listen.
        drop(self.0.send(touched));
    }
}

impl RequestHints {
    /// Waits for the next hint and joins to it whatever was told by then; `None` once the node has stopped. Losing the answer costs
    /// its listener no more than a delay if it looks by itself now and then.
    pub async fn next(&mut self) -> Option<Touched> {
        let mut touched = match self.0.recv().await {
            Ok(first) => Arc::unwrap_or_clone(first),
            Err(RecvError::Lagged(_)) => Touched::All,
            Err(RecvError::Closed) => return None,
        };
        while !self.0.is_empty() {
            match self.0.try_recv() {
                Ok(more) => touched.merge(&more),
                Err(_lagged_or_closed) => touched = Touched::All,
            }
        }
        Some(touched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(ids: impl IntoIterator<Item = u8>) -> Touched {
        Touched::Some(ids.into_iter().map(|id| RequestId([id; 12])).collect())
    }

    #[tokio::test]
    async fn what_was_told_meanwhile_is_one_hint() {
        let hints = Hints::new();
        hints.tell(some([9]));
        let mut listener = hints.subscribe();
        hints.tell(some([1, 2]));
        hints.tell(some([2, 3]));
        assert_eq!(listener.next().await, Some(some([1, 2, 3])));
        hints.tell(some([4]));
        hints.tell(Touched::All);
        hints.tell(some([5]));
        assert_eq!(listener.next().await, Some(Touched::All));
    }

    #[tokio::test]
    async fn who_is_far_behind_looks_at_everything() {
        let hints = Hints::new();
        let mut listener = hints.subscribe();
        for _ in 0..=BACKLOG_MAX {
            hints.tell(some([1]));
        }
        assert_eq!(listener.next().await, Some(Touched::All));
        drop(hints);
        assert_eq!(listener.next().await, None);
    }
}
