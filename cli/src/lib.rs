//! The client commands of the `capstan` binary: `capstan variable | cluster | node | request | spec | lrp | task | cell | domain`.
//!
//! They talk to a running cluster through `capstan-client` and never touch a data directory, so this crate does not
//! link the store. `capstan spec` needs no cluster: it reads files through [`ports`]. The binary embeds [`Command`] in its own command line and hands what was parsed to [`run`]:
//!
//! ```
//! #[derive(clap::Parser)]
//! enum Capstan {
//!     // The server's own subcommands stand beside these.
//!     #[command(flatten)]
//!     Client(capstan_cli::Command),
//! }
//! ```
//!
//! What a command found goes to standard output, as a table or as JSON; progress and errors go to standard error. An
//! error ends with the next thing to try, and the exit code says which kind it was ([`EXIT_CODES`]).

mod cell;
mod cluster;
mod console;
mod domain;
mod failure;
mod lrp;
mod manifest;
mod node;
mod options;
pub mod ports;
mod request;
mod spec;
mod task;
#[cfg(test)]
mod testing;
mod text;
mod variable;

use std::process::ExitCode;

pub use failure::EXIT_CODES;
pub use options::CallOptions;

use console::Console;
use failure::Failure;
use ports::SpecTools;

/// What a client command is asked to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Read and write variables, the cluster's named values
    #[command(after_help = EXIT_CODES)]
    Variable(Called<variable::VariableCommand>),
    /// Look at the cluster itself
    #[command(after_help = EXIT_CODES)]
    Cluster(Called<cluster::ClusterCommand>),
    /// Take nodes out of service and put them back
    #[command(after_help = EXIT_CODES)]
    Node(Called<node::NodeCommand>),
    /// Start requests and follow them
    #[command(after_help = EXIT_CODES)]
    Request(Called<request::RequestCommand>),
    /// Desire long-running processes, change them and look at them
    #[command(after_help = EXIT_CODES)]
    Lrp(Called<lrp::LrpCommand>),
    /// Run one-off tasks on cells
    #[command(after_help = EXIT_CODES)]
    Task(Called<task::TaskCommand>),
    /// Look at cells, which host instances and tasks, and empty them
    #[command(after_help = EXIT_CODES)]
    Cell(Called<cell::CellCommand>),
    /// Say which domains are fresh
    #[command(after_help = EXIT_CODES)]
    Domain(Called<domain::DomainCommand>),
    /// Check request specs, and bring them into the cluster
    #[command(after_help = EXIT_CODES)]
    Spec(Called<spec::SpecCommand>),
}

/// A subcommand with the options every client command has.
#[derive(Debug, clap::Args)]
pub struct Called<C: clap::Subcommand> {
    #[command(flatten)]
    options: CallOptions,
    #[command(subcommand)]
    command: C,
}

/// Runs one client command on the process's own standard streams.
pub async fn run(command: Command, tools: &dyn SpecTools) -> ExitCode {
    let mut console = Console::of_process();
    let result = execute(command, tools, &mut console).await;
    failure::conclude(result, &mut console).into()
}

async fn execute(command: Command, tools: &dyn SpecTools, console: &mut Console) -> Result<(), Failure> {
    match command {
        Command::Variable(called) => variable::run(called.command, &called.options, console).await,
        Command::Cluster(called) => cluster::run(called.command, &called.options, console).await,
        Command::Node(called) => node::run(called.command, &called.options, console).await,
        Command::Request(called) => request::run(called.command, &called.options, console).await,
        Command::Lrp(called) => lrp::run(called.command, &called.options, console).await,
        Command::Task(called) => task::run(called.command, &called.options, console).await,
        Command::Cell(called) => cell::run(called.command, &called.options, console).await,
        Command::Domain(called) => domain::run(called.command, &called.options, console).await,
        Command::Spec(called) => spec::run(called.command, &called.options, tools, console).await,
    }
}
