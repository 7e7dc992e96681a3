//! `capstan lrp`: desire long-running processes, change them and look at them.

mod desire;
mod events;
mod explain;
mod instances;
mod kill;
mod logs;
mod ls;
mod rm;
mod show;
#[cfg(test)]
mod tests;
mod update;
mod wait;
mod words;

use capstan_client::CallError;

use crate::{console::Console, failure::Failure, options::CallOptions};

/// What to do with long-running processes.
#[derive(Debug, clap::Subcommand)]
pub enum LrpCommand {
    /// Desire an LRP, and wait until all its instances run
    #[command(after_help = crate::EXIT_CODES)]
    Desire(desire::DesireArgs),
    /// List what is desired, and how much of it runs
    Ls(ls::Ls),
    /// Show an LRP and its instances
    Show(show::Show),
    /// Change how many instances an LRP has, and wait until they run
    Scale(update::Scale),
    /// Change instances, routes or annotation of an LRP; a new number of instances is waited for
    Update(update::UpdateArgs),
    /// Stop one instance; another takes its place
    Kill(kill::Kill),
    /// Desire an LRP no longer, and wait until its instances have stopped
    Rm(rm::Rm),
    /// Show what an instance wrote
    Logs(logs::Logs),
    /// Follow what happens to LRPs
    Events(events::Events),
    /// Say why the instances of an LRP are where they are, or nowhere
    Explain(explain::Explain),
}

pub(crate) async fn run(
    command: LrpCommand,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    match command {
        LrpCommand::Desire(args) => desire::run(&args, options, console).await,
        LrpCommand::Ls(ls) => ls::run(&ls, options, console).await,
        LrpCommand::Show(show) => show::run(&show, options, console).await,
        LrpCommand::Scale(scale) => update::scale(&scale, options, console).await,
        LrpCommand::Update(args) => update::update(&args, options, console).await,
        LrpCommand::Kill(kill) => kill::run(&kill, options, console).await,
        LrpCommand::Rm(rm) => rm::run(&rm, options, console).await,
        LrpCommand::Logs(logs) => logs::run(&logs, options, console).await,
        LrpCommand::Events(events) => events::run(&events, options, console).await,
        LrpCommand::Explain(explain) => explain::run(&explain, options, console).await,
    }
}

/// Turns an error of a call about one LRP into a failure.
fn about_lrp(error: CallError) -> Failure {
    let missing = error.is_not_found();
    let failure = Failure::from(error);
    if missing { failure.suggesting("capstan lrp ls shows what is desired") } else { failure }
}
