//! `capstan token`: what callers show to say who they are.

mod create;
mod ls;
mod revoke;
#[cfg(test)]
mod tests;

use crate::{console::Console, failure::Failure, options::CallOptions};

/// What to do with tokens.
#[derive(Debug, clap::Subcommand)]
pub enum TokenCommand {
    /// Make a token, and tell its secret once
    Create(create::Create),
    /// List tokens, without their secrets
    Ls,
    /// Make a token worthless, on every node at once
    Revoke(revoke::Revoke),
}

pub(crate) async fn run(
    command: TokenCommand,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(create) => create::run(create, options, console).await,
        TokenCommand::Ls => ls::run(options, console).await,
        TokenCommand::Revoke(revoke) => revoke::run(&revoke, options, console).await,
    }
}
