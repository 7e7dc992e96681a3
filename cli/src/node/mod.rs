//! `capstan node`: take nodes out of service and put them back.

mod drain;
#[cfg(test)]
mod tests;

use crate::{console::Console, failure::Failure, options::CallOptions};

/// What to do with nodes.
#[derive(Debug, clap::Subcommand)]
pub enum NodeCommand {
    /// Let a node take no new work and hand over what it has, also after a restart
    Drain(drain::Drain),
    /// Let a drained node take work again
    Undrain(drain::Undrain),
}

pub(crate) async fn run(
    command: NodeCommand,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    match command {
        NodeCommand::Drain(drain) => drain::drain(&drain, options, console).await,
        NodeCommand::Undrain(undrain) => drain::undrain(&undrain, options, console).await,
    }
}
