//! The shapes under `/cluster/v1`, the part of the surface that is Capstan's own.

mod cells;
mod events;
mod explanation;
mod specs;
mod status;
mod variables;

pub use cells::{CellDetail, CellIsolation, CellState, CellStatus, HostedInstance, Unlimited};
pub use events::{EVENT_KINDS, JobEvent, NodeEvent, RequestEvent, TaskEvent, VariableEvent};
pub use explanation::{CellVerdict, ExplainedDesire, ExplainedRecord, LrpExplanation, OneMore, Verdict};
pub use specs::{
    SpecFinding, SpecText, SpecsContent, SpecsList, SpecsPush, SpecsPushed, SpecsRefused, SpecsVersion,
};
pub use status::{ClusterStatus, NodeDrain, NodeStatus, Role, StateChecksum};
pub use variables::{VariableEntry, VariableList, VariablePut};

use serde::{Deserialize, Serialize};

/// The body of every refusal under `/cluster/v1`, and of routes outside every prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A stable word for programs, such as `revision_mismatch`.
    pub code: String,
    /// What was wrong, where, and what would be right; for people.
    pub message: String,
}
