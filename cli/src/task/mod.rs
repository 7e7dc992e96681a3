//! `capstan task`: run one-off tasks on cells.

mod create;
mod end;
mod ls;
mod show;
#[cfg(test)]
mod tests;

use capstan_client::{
    CallError,
    receptor::{Task, TaskState},
};

use crate::{
    console::{Console, Shade},
    failure::Failure,
    options::CallOptions,
};

/// What to do with tasks.
#[derive(Debug, clap::Subcommand)]
pub enum TaskCommand {
    /// Make a task
    #[command(after_help = crate::EXIT_CODES)]
    Create(create::Create),
    /// List tasks
    Ls(ls::Ls),
    /// Show a task
    Show(show::Show),
    /// End a task before its time
    Cancel(end::Cancel),
    /// Forget a task that has ended
    Rm(end::Rm),
}

pub(crate) async fn run(
    command: TaskCommand,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    match command {
        TaskCommand::Create(create) => create::run(&create, options, console).await,
        TaskCommand::Ls(ls) => ls::run(&ls, options, console).await,
        TaskCommand::Show(show) => show::run(&show, options, console).await,
        TaskCommand::Cancel(cancel) => end::cancel(&cancel, options, console).await,
        TaskCommand::Rm(rm) => end::rm(&rm, options, console).await,
    }
}

/// Turns an error of a call about one task into a failure.
fn about_task(error: CallError) -> Failure {
    let missing = error.is_not_found();
    let failure = Failure::from(error);
    if missing { failure.suggesting("capstan task ls shows the tasks there are") } else { failure }
}

/// How far a task is, and how it ended.
fn state_of(task: &Task) -> (&'static str, Shade) {
    match task.state {
        TaskState::Pending => ("PENDING", Shade::Plain),
        TaskState::Running => ("RUNNING", Shade::Busy),
        TaskState::Completed | TaskState::Resolving if task.failed => ("FAILED", Shade::Bad),
        TaskState::Completed => ("COMPLETED", Shade::Good),
        TaskState::Resolving => ("RESOLVING", Shade::Good),
        TaskState::Invalid => ("INVALID", Shade::Plain),
    }
}
