//! What somebody may want to do, and which roles let him.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AuthCommand, acl::AclOperation};
use crate::{command::Command, lrp::command::LrpCommand, task::command::TaskCommand};

/// What a caller wants to do. Stored in the audit: new variants go at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operation {
    /// To look at requests, their logs and the list of what can be started: granted to everybody whom the cluster knows.
    ReadRequests,
    /// To start a request: granted by its spec.
    Start,
    /// To stop a request: granted by its spec.
    Stop,
    /// To look at everything else.
    Read,
    /// To read a node's measurements.
    Metrics,
    /// To set and remove variables.
    WriteVariables,
    /// To desire, change and remove LRPs and tasks, and to keep domains fresh.
    WriteLrps,
    /// To drain nodes and change settings.
    WriteCluster,
    /// To make and revoke tokens, to change the policy, and to read the audit: granted to the admin roles alone.
    Administer,
    /// To bring request specs into the cluster, and to go back to older ones. They say who may start and stop requests.
    WriteSpecs,
}

/// The role that may look at everything.
const READER: &str = "reader";
/// The role that may do everything but administer and bring in specs, which could let him start what he may not.
const OPERATOR: &str = "operator";

impl Operation {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Self; 10] = [
        Self::ReadRequests,
        Self::Start,
        Self::Stop,
        Self::Read,
        Self::Metrics,
        Self::WriteVariables,
        Self::WriteLrps,
        Self::WriteCluster,
        Self::WriteSpecs,
        Self::Administer,
    ];

    /// Its name, in messages, in the audit, and as a role of its own.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadRequests => "requests:read",
            Self::Start => "requests:start",
            Self::Stop => "requests:stop",
            Self::Read => "read",
            Self::Metrics => "metrics",
            Self::WriteVariables => "variables:write",
            Self::WriteLrps => "lrps:write",
            Self::WriteCluster => "cluster:write",
            Self::Administer => "auth:admin",
            Self::WriteSpecs => "specs:write",
        }
    }

    /// The operation of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// What a spec's ACL calls it, if it is about such a thing.
    pub(super) fn of_acl(self) -> Option<AclOperation> {
        match self {
            Self::Start => Some(AclOperation::Start),
            Self::Stop => Some(AclOperation::Stop),
            Self::ReadRequests
            | Self::Read
            | Self::Metrics
            | Self::WriteVariables
            | Self::WriteLrps
            | Self::WriteCluster
            | Self::WriteSpecs
            | Self::Administer => None,
        }
    }

    /// What a command does; `None` of one that only the cluster itself proposes.
    pub fn of(command: &Command) -> Option<Self> {
        Some(match command {
            Command::PutVariable { .. } | Command::DeleteVariable { .. } => Self::WriteVariables,
            Command::SetSetting(_) | Command::DrainNode { .. } | Command::UndrainNode { .. } => {
                Self::WriteCluster
            }
            // Who may not start a request decides nothing about how it goes on either.
            Command::CreateRequest(_) | Command::CreateWithTerms(_) | Command::DecideApproval(_) => {
                Self::Start
            }
            Command::StopRequest(_) | Command::PauseRequest(_) | Command::ResumeRequest(_) => Self::Stop,
            Command::PushSpecs(_) | Command::RevertSpecs(_) => Self::WriteSpecs,
            Command::Lrp(command) => return of_lrps(command),
            Command::Task(command) => return of_tasks(command),
            Command::Auth(command) => return of_auth(command),
            Command::FoundCluster { .. }
            | Command::NodeJoined(_)
            | Command::FinishTry(_)
            | Command::StartRetry(_)
            | Command::NodeLost { .. }
            | Command::TakeOver
            | Command::NodeLeaving { .. }
            | Command::EndSuspended { .. }
            | Command::Expire(_)
            | Command::TrimEvents { .. }
            | Command::TrimRequests(_) => return None,
        })
    }
}

fn of_lrps(command: &LrpCommand) -> Option<Operation> {
    match command {
        LrpCommand::Desire(_)
        | LrpCommand::Update(_)
        | LrpCommand::Remove { .. }
        | LrpCommand::Kill { .. }
        | LrpCommand::UpsertDomain { .. } => Some(Operation::WriteLrps),
        LrpCommand::AnnounceCell(_)
        | LrpCommand::CellSilent { .. }
        | LrpCommand::CellHeard { .. }
        | LrpCommand::Place(_)
        | LrpCommand::Running { .. }
        | LrpCommand::Crashed { .. }
        | LrpCommand::Stopped { .. }
        | LrpCommand::Converge { .. } => None,
    }
}

fn of_tasks(command: &TaskCommand) -> Option<Operation> {
    match command {
        TaskCommand::Desire(_) | TaskCommand::Cancel { .. } | TaskCommand::Delete { .. } => {
            Some(Operation::WriteLrps)
        }
        TaskCommand::Place(_)
        | TaskCommand::Ended { .. }
        | TaskCommand::Resolving { .. }
        | TaskCommand::Resolved { .. }
        | TaskCommand::Converge => None,
    }
}

fn of_auth(command: &AuthCommand) -> Option<Operation> {
    match command {
        AuthCommand::CreateToken(_) | AuthCommand::RevokeToken { .. } | AuthCommand::ChangePolicy(_) => {
            Some(Operation::Administer)
        }
        AuthCommand::DropExpired => None,
    }
}

/// The roles that grant an operation wherever they come up, beside the admin roles: `reader`, `operator`, and the operation's own name. Empty
/// where roles do not decide, or only the admin roles do.
pub fn roles_that_grant(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::ReadRequests | Operation::Start | Operation::Stop | Operation::Administer => &[],
        Operation::Read => &[READER, OPERATOR, "read"],
        Operation::Metrics => &[READER, OPERATOR, "metrics"],
        Operation::WriteVariables => &[OPERATOR, "variables:write"],
        Operation::WriteLrps => &[OPERATOR, "lrps:write"],
        Operation::WriteCluster => &[OPERATOR, "cluster:write"],
        Operation::WriteSpecs => &["specs:write"],
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_found_under_its_name_and_is_a_role_of_that_name() {
        for operation in Operation::ALL {
            assert_eq!(Operation::named(operation.name()), Some(operation));
            let roles = roles_that_grant(operation);
            assert!(roles.is_empty() || roles.contains(&operation.name()), "{operation}");
        }
        assert_eq!(Operation::named("requests"), None);
    }
}
