//! `capstan request`: start requests and follow them.

mod beyond;
mod decide;
mod export;
mod filters;
mod log;
mod ls;
mod pause;
mod plan;
mod prompt;
mod retry;
mod running;
mod show;
mod start;
mod stop;
mod suggest;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_beyond;
mod wait;

use capstan_client::CallError;

use crate::{console::Console, failure::Failure, options::CallOptions};

/// What to do with requests.
#[derive(Debug, clap::Subcommand)]
pub enum RequestCommand {
    /// Start a request
    #[command(after_help = crate::EXIT_CODES)]
    Start(start::Start),
    /// List requests, newest first
    Ls(ls::Ls),
    /// Write requests with their jobs as lines of JSON, newest first
    #[command(after_help = crate::EXIT_CODES)]
    Export(export::Export),
    /// Show what runs now
    Running(running::Running),
    /// Show a request and its jobs
    Show(show::Show),
    /// Show what the jobs of a request wrote
    Log(log::Log),
    /// Wait until a request has ended; exit 0 only if it is complete
    #[command(after_help = crate::EXIT_CODES)]
    Wait(wait::Wait),
    /// Stop a request
    Stop(stop::Stop),
    /// Let nothing of a request start; what runs goes on to its end
    Pause(pause::Pause),
    /// Let a paused request go on
    Resume(pause::Pause),
    /// Approve a job that waits for it
    Approve(decide::Decision),
    /// Reject a job that waits for approval: it fails for good
    Reject(decide::Decision),
    /// Go on with a finished request: keep what is complete, run the rest
    #[command(after_help = crate::EXIT_CODES)]
    Retry(retry::Retry),
}

pub(crate) async fn run(
    command: RequestCommand,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    match command {
        RequestCommand::Start(start) => start::run(start, options, console).await,
        RequestCommand::Ls(ls) => ls::run(ls, options, console).await,
        RequestCommand::Export(export) => export::run(export, options, console).await,
        RequestCommand::Running(running) => running::run(running, options, console).await,
        RequestCommand::Show(show) => show::run(show, options, console).await,
        RequestCommand::Log(log) => log::run(log, options, console).await,
        RequestCommand::Wait(wait) => wait::run(wait, options, console).await,
        RequestCommand::Stop(stop) => stop::run(stop, options, console).await,
        RequestCommand::Pause(pause) => pause::run(pause, true, options, console).await,
        RequestCommand::Resume(pause) => pause::run(pause, false, options, console).await,
        RequestCommand::Approve(decision) => decide::run(decision, true, options, console).await,
        RequestCommand::Reject(decision) => decide::run(decision, false, options, console).await,
        RequestCommand::Retry(retry) => retry::run(retry, options, console).await,
    }
}

/// Turns an error of a call about one request into a failure.
fn about_request(error: CallError) -> Failure {
    let missing = error.is_not_found();
    let failure = Failure::from(error);
    if missing {
        failure.suggesting("capstan request ls shows the newest requests and their ids")
    } else {
        failure
    }
}
