//! What a caller must be allowed to do, for every route: one table, from which the check is made and the tests are.
//!
//! The table is a `match`, so that an operation of the surface without a row does not compile.

use capstan_model::auth::{Author, Denied, DeniedBecause, Operation, authorise};
use capstan_model::state::State;

use crate::{call::Head, error::InputError, receptor::route::Endpoint as Receptor, route::Endpoint};

/// What it takes to make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Nothing: whatever the call brings is not looked at.
    Open,
    /// That the cluster knows the caller.
    Known,
    /// That a role of the caller's grants it.
    Granted(Operation),
    /// That the spec of the request it is about grants it, which is known once the call has been read.
    BySpec(Operation),
}

/// One operation of the surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Its method.
    pub method: &'static str,
    /// A path that names it.
    pub path: &'static str,
    /// What it takes.
    pub permission: Permission,
}

/// Makes the `match` and the list of one table.
macro_rules! table {
    ($($endpoint:pat => $method:literal $path:literal, $permission:expr;)*) => {
        /// What it takes to make a call.
        pub(crate) fn of(endpoint: &Endpoint<'_>) -> Permission {
            match endpoint {
                $($endpoint => $permission,)*
            }
        }

        /// Every operation of the surface, with one path of each.
        pub const ROUTES: &[Route] = &[
            $(Route { method: $method, path: $path, permission: $permission },)*
        ];

        /// Whether an endpoint is that of a row.
        #[cfg(test)]
        fn is_of_row(endpoint: &Endpoint<'_>, row: usize) -> bool {
            [$(matches!(endpoint, $endpoint),)*][row]
        }
    };
}

use Operation::{
    Administer, Metrics, Read, ReadRequests, Start, Stop, WriteCluster, WriteLrps, WriteSpecs, WriteVariables,
};
use Permission::{BySpec, Granted, Known, Open};

table! {
    Endpoint::Health => "GET" "/health", Open;
    Endpoint::Ready => "GET" "/ready", Open;
    Endpoint::Version => "GET" "/version", Known;
    Endpoint::Metrics => "GET" "/metrics", Granted(Metrics);

    Endpoint::CreateRequest => "POST" "/api/v1/requests", BySpec(Start);
    Endpoint::ListRequests => "GET" "/api/v1/requests", Granted(ReadRequests);
    Endpoint::GetRequest { .. } => "GET" "/api/v1/requests/9m4e2mr0ui3e8a215n4g", Granted(ReadRequests);
    Endpoint::GetJobChain { .. } => "GET" "/api/v1/requests/9m4e2mr0ui3e8a215n4g/job-chain", Granted(ReadRequests);
    Endpoint::GetLog { .. } => "GET" "/api/v1/requests/9m4e2mr0ui3e8a215n4g/log", Granted(ReadRequests);
    Endpoint::GetJobLog { .. } => "GET" "/api/v1/requests/9m4e2mr0ui3e8a215n4g/log/abcd", Granted(ReadRequests);
    Endpoint::StopRequest { .. } => "PUT" "/api/v1/requests/9m4e2mr0ui3e8a215n4g/stop", BySpec(Stop);
    Endpoint::StartRequest { .. } => "PUT" "/api/v1/requests/9m4e2mr0ui3e8a215n4g/start", Granted(ReadRequests);
    Endpoint::RequestList => "GET" "/api/v1/request-list", Granted(ReadRequests);
    Endpoint::Running => "GET" "/api/v1/status/running", Granted(ReadRequests);
    Endpoint::JobRunnerOnly => "PUT" "/api/v1/requests/9m4e2mr0ui3e8a215n4g/finish", Granted(ReadRequests);

    Endpoint::PutVariable { .. } => "PUT" "/cluster/v1/variables/a", Granted(WriteVariables);
    Endpoint::GetVariable { .. } => "GET" "/cluster/v1/variables/a", Granted(Read);
    Endpoint::DeleteVariable { .. } => "DELETE" "/cluster/v1/variables/a", Granted(WriteVariables);
    Endpoint::ListVariables => "GET" "/cluster/v1/variables", Granted(Read);
    Endpoint::ListSettings => "GET" "/cluster/v1/settings", Granted(Read);
    Endpoint::PutSetting { .. } => "PUT" "/cluster/v1/settings/archive_days", Granted(WriteCluster);
    Endpoint::DryRun => "POST" "/cluster/v1/requests", BySpec(Start);
    Endpoint::ShowRequest { .. } => "GET" "/cluster/v1/requests/9m4e2mr0ui3e8a215n4g", Granted(ReadRequests);
    Endpoint::RetryRequest { .. } => "POST" "/cluster/v1/requests/9m4e2mr0ui3e8a215n4g/retry", BySpec(Start);
    Endpoint::PauseRequest { paused: true, .. } => "PUT" "/cluster/v1/requests/9m4e2mr0ui3e8a215n4g/pause", BySpec(Stop);
    Endpoint::PauseRequest { paused: false, .. } => "PUT" "/cluster/v1/requests/9m4e2mr0ui3e8a215n4g/resume", BySpec(Stop);
    Endpoint::DecideApproval { approved: true, .. } => "POST" "/cluster/v1/requests/9m4e2mr0ui3e8a215n4g/jobs/abcd/approve", BySpec(Start);
    Endpoint::DecideApproval { approved: false, .. } => "POST" "/cluster/v1/requests/9m4e2mr0ui3e8a215n4g/jobs/abcd/reject", BySpec(Start);
    Endpoint::ExportRequests => "GET" "/cluster/v1/requests/export", Granted(ReadRequests);
    Endpoint::ListSpecs => "GET" "/cluster/v1/specs", Granted(Read);
    Endpoint::PushSpecs => "PUT" "/cluster/v1/specs", Granted(WriteSpecs);
    Endpoint::GetSpecs { .. } => "GET" "/cluster/v1/specs/current", Granted(Read);
    Endpoint::RevertSpecs { .. } => "POST" "/cluster/v1/specs/current/revert", Granted(WriteSpecs);
    Endpoint::Events => "GET" "/cluster/v1/events", Granted(Read);
    Endpoint::DrainNode { draining: true, .. } => "POST" "/cluster/v1/nodes/9/drain", Granted(WriteCluster);
    Endpoint::DrainNode { draining: false, .. } => "POST" "/cluster/v1/nodes/9/undrain", Granted(WriteCluster);
    Endpoint::ExplainLrp { .. } => "GET" "/cluster/v1/lrps/p/explain", Granted(Read);
    Endpoint::ListCells => "GET" "/cluster/v1/cells", Granted(Read);
    Endpoint::GetCell { .. } => "GET" "/cluster/v1/cells/cell-1", Granted(Read);
    Endpoint::ClusterStatus => "GET" "/cluster/v1/status", Granted(Read);
    Endpoint::GetAuth => "GET" "/cluster/v1/auth", Known;
    Endpoint::ChangeAuth => "PATCH" "/cluster/v1/auth", Granted(Administer);
    Endpoint::ListTokens => "GET" "/cluster/v1/auth/tokens", Granted(Administer);
    Endpoint::CreateToken => "POST" "/cluster/v1/auth/tokens", Granted(Administer);
    Endpoint::RevokeToken { .. } => "DELETE" "/cluster/v1/auth/tokens/0000000000000000", Granted(Administer);
    Endpoint::Audit => "GET" "/cluster/v1/audit", Granted(Administer);

    Endpoint::Receptor(Receptor::CreateDesired) => "POST" "/v1/desired_lrps", Granted(WriteLrps);
    Endpoint::Receptor(Receptor::ListDesired) => "GET" "/v1/desired_lrps", Granted(Read);
    Endpoint::Receptor(Receptor::GetDesired { .. }) => "GET" "/v1/desired_lrps/p", Granted(Read);
    Endpoint::Receptor(Receptor::UpdateDesired { .. }) => "PUT" "/v1/desired_lrps/p", Granted(WriteLrps);
    Endpoint::Receptor(Receptor::RemoveDesired { .. }) => "DELETE" "/v1/desired_lrps/p", Granted(WriteLrps);
    Endpoint::Receptor(Receptor::ListActual) => "GET" "/v1/actual_lrps", Granted(Read);
    Endpoint::Receptor(Receptor::ListActualOf { .. }) => "GET" "/v1/actual_lrps/p", Granted(Read);
    Endpoint::Receptor(Receptor::GetActual { .. }) => "GET" "/v1/actual_lrps/p/index/0", Granted(Read);
    Endpoint::Receptor(Receptor::KillActual { .. }) => "DELETE" "/v1/actual_lrps/p/index/0", Granted(WriteLrps);
    Endpoint::Receptor(Receptor::GetOutput { .. }) => "GET" "/v1/actual_lrps/p/index/0/logs", Granted(Read);
    Endpoint::Receptor(Receptor::Events) => "GET" "/v1/events", Granted(Read);
    Endpoint::Receptor(Receptor::ListCells) => "GET" "/v1/cells", Granted(Read);
    Endpoint::Receptor(Receptor::ListDomains) => "GET" "/v1/domains", Granted(Read);
    Endpoint::Receptor(Receptor::UpsertDomain { .. }) => "PUT" "/v1/domains/d", Granted(WriteLrps);
    Endpoint::Receptor(Receptor::CreateTask) => "POST" "/v1/tasks", Granted(WriteLrps);
    Endpoint::Receptor(Receptor::ListTasks) => "GET" "/v1/tasks", Granted(Read);
    Endpoint::Receptor(Receptor::GetTask { .. }) => "GET" "/v1/tasks/t", Granted(Read);
    Endpoint::Receptor(Receptor::DeleteTask { .. }) => "DELETE" "/v1/tasks/t", Granted(WriteLrps);
    Endpoint::Receptor(Receptor::CancelTask { .. }) => "POST" "/v1/tasks/t/cancel", Granted(WriteLrps);
    Endpoint::Receptor(Receptor::AuthCookie) => "POST" "/v1/auth_cookie", Known;
    Endpoint::Receptor(Receptor::Version) => "GET" "/v1/version", Known;
}

/// Lets a call pass whose caller may make it, as far as can be said before its body is read.
///
/// # Errors
/// [`InputError::Denied`].
pub(crate) fn check(state: &State, head: &Head<'_>, permission: Permission) -> Result<(), InputError> {
    match permission {
        Open | Known | BySpec(_) => Ok(()),
        Granted(operation) => Ok(authorise(state.auth.policy(), &head.caller(), operation, None)?),
    }
}

/// Whether an answer that goes on may still be sent to somebody who was allowed to begin it.
///
/// # Errors
/// Why not.
pub(crate) fn may_go_on(state: &State, author: &Author, operation: Operation) -> Result<(), Denied> {
    let caller = state.auth.caller(author, state.log_time()).map_err(|_| Denied {
        caller: author.name.clone(),
        operation,
        because: DeniedBecause::Anonymous,
    })?;
    authorise(state.auth.policy(), &caller, operation, None)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::route;

    #[test]
    fn every_row_has_a_path_that_leads_to_it() {
        for (row, Route { method, path, permission }) in ROUTES.iter().enumerate() {
            let method: Method = method.parse().unwrap();
            let endpoint =
                route::find(&method, path).unwrap_or_else(|_| panic!("{method} {path} leads nowhere"));
            assert!(is_of_row(&endpoint, row), "{method} {path} leads to {endpoint:?}");
            assert_eq!(of(&endpoint), *permission, "{method} {path}");
        }
    }

    #[test]
    fn every_operation_is_needed_somewhere() {
        for operation in Operation::ALL {
            let is_needed =
                |route: &Route| [Granted(operation), BySpec(operation)].contains(&route.permission);
            assert!(ROUTES.iter().any(is_needed), "{operation}");
        }
    }
}
