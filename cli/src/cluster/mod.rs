//! `capstan cluster`: the cluster itself.

mod status;
#[cfg(test)]
mod tests;

use crate::{console::Console, failure::Failure, options::CallOptions};

/// What to look at.
#[derive(Debug, clap::Subcommand)]
pub enum ClusterCommand {
    /// Ask every node what it knows of the cluster
    Status,
}

pub(crate) async fn run(
    command: ClusterCommand,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    match command {
        ClusterCommand::Status => status::run(options, console).await,
    }
}
