//! The shapes under `/cluster/v1`, the part of the surface that is Capstan's own.

mod auth;
mod cells;
mod events;
mod explanation;
mod export;
mod requests;
mod settings;
mod specs;
mod status;
mod variables;

pub use auth::{
    AuditPage, AuditRecord, AuthChange, AuthStatus, CallerStatus, TokenCreate, TokenCreated, TokenEntry,
    TokenList,
};
pub use cells::{CellDetail, CellIsolation, CellState, CellStatus, HostedInstance, Unlimited};
pub use events::{EVENT_KINDS, JobDecision, JobEvent, NodeEvent, RequestEvent, TaskEvent, VariableEvent};
pub use explanation::{CellVerdict, ExplainedDesire, ExplainedRecord, LrpExplanation, OneMore, Verdict};
pub use export::ExportedRequest;
pub use requests::{
    ApprovalDecision, AwaitedApproval, Decide, JobState, PlannedJob, RequestDetail, RequestPause,
    RequestPlan, RetryRequest,
};
pub use settings::{SettingEntry, SettingList};
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
