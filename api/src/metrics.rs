//! What is counted about calls, by operation.

use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram, counter, histogram};

use crate::{receptor, route::Endpoint};

/// Operations as metrics label them. Few, so that a call costs an index into an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    PutVariable,
    GetVariable,
    DeleteVariable,
    ListVariables,
    CreateRequest,
    StopRequest,
    ReadRequest,
    ListRequests,
    ManageNode,
    WriteSpecs,
    ReadSpecs,
    WriteLrp,
    ReadLrp,
    ListLrps,
    WriteTask,
    ReadTask,
    ListTasks,
    Follow,
    Local,
    Unknown,
}

/// The counters of one node's surface. They count into whichever recorder was installed when they were made.
pub(crate) struct CallMetrics {
    by_operation: Vec<OperationMetrics>,
}

struct OperationMetrics {
    succeeded: Counter,
    refused: Counter,
    failed: Counter,
    seconds: Histogram,
}

impl Operation {
    const ALL: [Self; 20] = [
        Self::PutVariable,
        Self::GetVariable,
        Self::DeleteVariable,
        Self::ListVariables,
        Self::CreateRequest,
        Self::StopRequest,
        Self::ReadRequest,
        Self::ListRequests,
        Self::ManageNode,
        Self::WriteSpecs,
        Self::ReadSpecs,
        Self::WriteLrp,
        Self::ReadLrp,
        Self::ListLrps,
        Self::WriteTask,
        Self::ReadTask,
        Self::ListTasks,
        Self::Follow,
        Self::Local,
        Self::Unknown,
    ];

    pub(crate) fn of(endpoint: &Endpoint<'_>) -> Self {
        match endpoint {
            Endpoint::PutVariable { .. } => Self::PutVariable,
            Endpoint::GetVariable { .. } => Self::GetVariable,
            Endpoint::DeleteVariable { .. } => Self::DeleteVariable,
            Endpoint::ListVariables => Self::ListVariables,
            Endpoint::CreateRequest => Self::CreateRequest,
            Endpoint::StopRequest { .. } | Endpoint::StartRequest { .. } => Self::StopRequest,
            Endpoint::GetRequest { .. }
            | Endpoint::GetJobChain { .. }
            | Endpoint::GetLog { .. }
            | Endpoint::GetJobLog { .. }
            | Endpoint::Running => Self::ReadRequest,
            Endpoint::ListRequests => Self::ListRequests,
            Endpoint::Events => Self::Follow,
            Endpoint::DrainNode { .. } => Self::ManageNode,
            Endpoint::PushSpecs | Endpoint::RevertSpecs { .. } => Self::WriteSpecs,
            Endpoint::ListSpecs | Endpoint::GetSpecs { .. } => Self::ReadSpecs,
            Endpoint::ExplainLrp { .. } => Self::ReadLrp,
            Endpoint::ListCells | Endpoint::GetCell { .. } => Self::ListLrps,
            Endpoint::ClusterStatus
            | Endpoint::Health
            | Endpoint::Ready
            | Endpoint::Metrics
            | Endpoint::Version
            | Endpoint::RequestList
            | Endpoint::JobRunnerOnly => Self::Local,
            Endpoint::Receptor(endpoint) => Self::of_receptor(endpoint),
        }
    }

    fn of_receptor(endpoint: &receptor::route::Endpoint<'_>) -> Self {
        use receptor::route::Endpoint;
        match endpoint {
            Endpoint::CreateDesired
            | Endpoint::UpdateDesired { .. }
            | Endpoint::RemoveDesired { .. }
            | Endpoint::KillActual { .. }
            | Endpoint::UpsertDomain { .. } => Self::WriteLrp,
            Endpoint::GetDesired { .. } | Endpoint::ListActualOf { .. } | Endpoint::GetActual { .. } => {
                Self::ReadLrp
            }
            Endpoint::ListDesired | Endpoint::ListActual | Endpoint::ListCells | Endpoint::ListDomains => {
                Self::ListLrps
            }
            Endpoint::CreateTask | Endpoint::DeleteTask { .. } | Endpoint::CancelTask { .. } => {
                Self::WriteTask
            }
            Endpoint::GetTask { .. } => Self::ReadTask,
            Endpoint::ListTasks => Self::ListTasks,
            Endpoint::Events | Endpoint::GetOutput { .. } => Self::Follow,
            Endpoint::AuthCookie | Endpoint::Version => Self::Local,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::PutVariable => "put_variable",
            Self::GetVariable => "get_variable",
            Self::DeleteVariable => "delete_variable",
            Self::ListVariables => "list_variables",
            Self::CreateRequest => "create_request",
            Self::StopRequest => "stop_request",
            Self::ReadRequest => "read_request",
            Self::ListRequests => "list_requests",
            Self::ManageNode => "manage_node",
            Self::WriteSpecs => "write_specs",
            Self::ReadSpecs => "read_specs",
            Self::WriteLrp => "write_lrp",
            Self::ReadLrp => "read_lrp",
            Self::ListLrps => "list_lrps",
            Self::WriteTask => "write_task",
            Self::ReadTask => "read_task",
            Self::ListTasks => "list_tasks",
            Self::Follow => "follow",
            Self::Local => "local",
            Self::Unknown => "unknown",
        }
    }
}

impl CallMetrics {
    pub(crate) fn new() -> Self {
        let by_operation = Operation::ALL.into_iter().map(OperationMetrics::new).collect();
        Self { by_operation }
    }

    /// Counts one answered call.
    pub(crate) fn record(&self, operation: Operation, status: StatusCode, took: Duration) {
        let metrics = &self.by_operation[operation as usize];
        let counter = match status.as_u16() {
            ..400 => &metrics.succeeded,
            400..500 => &metrics.refused,
            500.. => &metrics.failed,
        };
        counter.increment(1);
        metrics.seconds.record(took);
    }
}

impl OperationMetrics {
    fn new(operation: Operation) -> Self {
        let name = operation.name();
        let calls = |outcome: &'static str| counter!("capstan_http_calls_total", "operation" => name, "outcome" => outcome);
        Self {
            succeeded: calls("succeeded"),
            refused: calls("refused"),
            failed: calls("failed"),
            seconds: histogram!("capstan_http_call_seconds", "operation" => name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_numbered_in_order() {
        for (at, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, at, "{}", operation.name());
        }
    }
}
