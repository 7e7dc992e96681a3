//! What a command is about, for the audit.

use super::AuthCommand;
use crate::{
    auth::PolicyChange, command::Command, lrp::command::LrpCommand, spec_store::SpecsId,
    task::command::TaskCommand, workflow::command::CreateWithTerms,
};

/// What a command does to what, in a few words; empty of one that only the cluster itself proposes.
pub(crate) fn subject(command: &Command) -> String {
    match command {
        Command::PutVariable { name, .. } => format!("set variable {name}"),
        Command::DeleteVariable { name, .. } => format!("removed variable {name}"),
        Command::SetSetting(setting) => format!("set {} to {}", setting.name(), setting.value()),
        Command::CreateRequest(create) => format!("started request {} ({})", create.id, create.request_type),
        Command::CreateWithTerms(CreateWithTerms { create, terms, .. }) => {
            let gone_on =
                terms.retry_of.as_ref().map(|retry_of| format!(", which goes on with {}", retry_of.request));
            format!("started request {} ({}){}", create.id, create.request_type, gone_on.unwrap_or_default())
        }
        Command::DecideApproval(decide) => {
            let decided = if decide.approved { "approved" } else { "rejected" };
            format!("{decided} job {} of request {}", decide.job, decide.request)
        }
        Command::PauseRequest(pause) => format!("paused request {}", pause.request),
        Command::ResumeRequest(resume) => format!("resumed request {}", resume.request),
        Command::StopRequest(stop) => format!("stopped request {}", stop.request),
        Command::DrainNode { node } => format!("drained node {node}"),
        Command::UndrainNode { node } => format!("undrained node {node}"),
        Command::PushSpecs(push) => {
            let files = push.files.iter().map(|file| (&*file.path, &*file.text));
            format!("pushed specs {}", SpecsId::of(files).short())
        }
        Command::RevertSpecs(revert) => format!("went back to specs {}", revert.to.short()),
        Command::Lrp(command) => of_lrps(command),
        Command::Task(command) => of_tasks(command),
        Command::Auth(command) => of_auth(command),
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
        | Command::TrimRequests(_) => String::new(),
    }
}

fn of_lrps(command: &LrpCommand) -> String {
    match command {
        LrpCommand::Desire(desire) => format!("desired LRP {}", desire.guid),
        LrpCommand::Update(update) => format!("changed LRP {}", update.guid),
        LrpCommand::Remove { guid, .. } => format!("removed LRP {guid}"),
        LrpCommand::Kill { key, .. } => format!("stopped index {} of LRP {}", key.index, key.guid),
        LrpCommand::UpsertDomain { domain, .. } => format!("made domain {domain} fresh"),
        LrpCommand::AnnounceCell(_)
        | LrpCommand::CellSilent { .. }
        | LrpCommand::CellHeard { .. }
        | LrpCommand::Place(_)
        | LrpCommand::Running { .. }
        | LrpCommand::Crashed { .. }
        | LrpCommand::Stopped { .. }
        | LrpCommand::Converge { .. } => String::new(),
    }
}

fn of_tasks(command: &TaskCommand) -> String {
    match command {
        TaskCommand::Desire(desire) => format!("desired task {}", desire.guid),
        TaskCommand::Cancel { guid } => format!("cancelled task {guid}"),
        TaskCommand::Delete { guid } => format!("removed task {guid}"),
        TaskCommand::Place(_)
        | TaskCommand::Ended { .. }
        | TaskCommand::Resolving { .. }
        | TaskCommand::Resolved { .. }
        | TaskCommand::Converge => String::new(),
    }
}

fn of_auth(command: &AuthCommand) -> String {
    match command {
        AuthCommand::CreateToken(create) => {
            format!("made token {} for {} with {}", create.id, create.caller, create.roles.join(", "))
        }
        AuthCommand::RevokeToken { id } => format!("revoked token {id}"),
        AuthCommand::DropExpired => String::new(),
        AuthCommand::ChangePolicy(PolicyChange { required, strict, admin_roles }) => {
            let switch = |name: &str, on: &Option<bool>| on.map(|on| format!("{name} to {on}"));
            let roles = admin_roles.as_ref().map(|roles| format!("admin_roles to {}", roles.join(", ")));
            let parts = [switch("required", required), switch("strict", strict), roles];
            format!("set auth {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
        }
    }
}
