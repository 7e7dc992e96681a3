//! `capstan variable`: the cluster's named values.

mod get;
mod ls;
mod put;
mod rm;
#[cfg(test)]
mod tests;

use capstan_client::{Precondition, ReadOptions};

use crate::{console::Console, failure::Failure, options::CallOptions};

/// What to do with variables.
#[derive(Debug, clap::Subcommand)]
pub enum VariableCommand {
    /// Write a variable's value to standard output, byte for byte
    Get(get::Get),
    /// Set a variable
    Put(put::Put),
    /// List variables by name
    Ls(ls::Ls),
    /// Delete a variable
    Rm(rm::Rm),
}

/// When a write may happen.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Condition {
    /// Only if the variable still has this revision, as `variable ls` shows it
    #[arg(long, value_name = "REVISION")]
    if_revision: Option<u64>,
}

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Freshness {
    /// Take what the asked node has, without making sure that it is the newest
    #[arg(long)]
    stale: bool,
    /// Wait until the node has applied this log index
    #[arg(long, value_name = "INDEX")]
    at_least: Option<u64>,
}

impl From<Condition> for Precondition {
    fn from(condition: Condition) -> Self {
        condition.if_revision.map_or(Self::None, Self::Revision)
    }
}

impl From<Freshness> for ReadOptions {
    fn from(freshness: Freshness) -> Self {
        let consistency = if freshness.stale {
            capstan_client::Consistency::Stale
        } else {
            capstan_client::Consistency::Default
        };
        Self { consistency, at_least: freshness.at_least }
    }
}

pub(crate) async fn run(
    command: VariableCommand,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    match command {
        VariableCommand::Get(get) => get::run(get, options, console).await,
        VariableCommand::Put(put) => put::run(put, options, console).await,
        VariableCommand::Ls(ls) => ls::run(ls, options, console).await,
        VariableCommand::Rm(rm) => rm::run(rm, options, console).await,
    }
}
