//! `capstan settings`: what all nodes go by.

mod ls;
mod set;
#[cfg(test)]
mod tests;

use crate::{console::Console, failure::Failure, options::CallOptions};

/// What to do with settings.
#[derive(Debug, clap::Subcommand)]
pub enum SettingsCommand {
    /// List all settings with their values
    Ls(ls::Ls),
    /// Change a setting, on all nodes at once
    Set(set::Set),
}

pub(crate) async fn run(
    command: SettingsCommand,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    match command {
        SettingsCommand::Ls(ls) => ls::run(&ls, options, console).await,
        SettingsCommand::Set(set) => set::run(&set, options, console).await,
    }
}
