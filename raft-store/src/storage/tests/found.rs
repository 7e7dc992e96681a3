//! What is found in a directory that was opened.

use openraft::{
    RaftLogReader,
    storage::{RaftLogStorage, RaftStateMachine},
};

use crate::{storage::Opened, type_config::LogId};

/// What the log engine holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) entries: Vec<LogId>,
    pub(super) purged: Option<LogId>,
    pub(super) term: u64,
}

impl Log {
    pub(super) fn last(&self) -> Option<LogId> {
        self.entries.last().copied().or(self.purged)
    }
}

/// A directory as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) log: Log,
    pub(super) applied: Option<LogId>,
    pub(super) snapshot: Option<LogId>,
}

/// Looks at everything that openraft would ask for when it starts.
pub(super) async fn found(opened: &mut Opened) -> Found {
    let state = opened.log.get_log_state().await.unwrap();
    let term = opened.log.read_vote().await.unwrap().map_or(0, |vote| vote.leader_id.term);
    let entries = opened.log_ids().await;
    assert_eq!(state.last_log_id, entries.last().copied().or(state.last_purged_log_id));
    let snapshot = opened.machine.get_current_snapshot().await.unwrap();
    Found {
        log: Log { entries, purged: state.last_purged_log_id, term },
        applied: opened.machine.applied(),
        snapshot: snapshot.and_then(|snapshot| snapshot.meta.last_log_id),
    }
}
