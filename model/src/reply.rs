//! What apply answers to a command: the same on every node, and remembered while its sender waits.

use serde::{Deserialize, Serialize};

use crate::{ids::RequestId, rejection::Rejection, spec_store::SpecsId, time::Timestamp};

/// An answer, or a refusal that changed nothing.
pub type Reply = Result<Answer, Rejection>;

/// What a command did. New variants go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It did what it says, and there is nothing to tell; also a repeat that changed nothing.
    Done,
    /// A variable was set.
    VariablePut {
        /// Its new revision.
        revision: u64,
        /// Whether it did not exist before.
        created: bool,
    },
    /// A variable was removed.
    VariableDeleted,
    /// A request was stored.
    RequestCreated {
        /// Its id.
        id: RequestId,
        /// The stamp of the entry that stored it.
        created_at: Timestamp,
        /// Whether a live node owns it, so that it is running.
        running: bool,
    },
    /// A stop was recorded, or the request had ended already.
    RequestStopping {
        /// Whether nothing of it runs any more.
        ended: bool,
    },
    /// Request specs are current.
    SpecsPushed {
        /// Their content.
        version: SpecsId,
        /// Whether they were not before.
        changed: bool,
    },
}
