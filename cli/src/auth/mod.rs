//! `capstan auth` and `capstan audit`: what the cluster asks of callers, and what they did.

pub(crate) mod audit;
mod change;
mod show;
#[cfg(test)]
mod tests;

use crate::{console::Console, failure::Failure, options::CallOptions};

/// What to do about who may do what.
#[derive(Debug, clap::Subcommand)]
pub enum AuthCommand {
    /// Show what the cluster asks of callers, and as whom it knows you
    Show,
    /// Have every caller say who he is from now on
    Require,
    /// Change what the cluster asks of callers
    Set(change::Set),
}

pub(crate) async fn run(
    command: AuthCommand,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    match command {
        AuthCommand::Show => show::run(options, console).await,
        AuthCommand::Require => change::require(options, console).await,
        AuthCommand::Set(set) => change::set(set, options, console).await,
    }
}
