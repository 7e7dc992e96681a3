//! `capstan spec`: look at request specs on this machine, without a cluster.

mod graph;
mod lint;
#[cfg(test)]
mod tests;

use std::path::Path;

use capstan_model::spec::{Level, Specs};

use crate::{
    console::Console,
    failure::{Exit, Failure},
    options::Output,
    ports::{LoadError, SpecTools},
};

/// What to do with specs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum SpecCommand {
    /// Check every spec below a directory; exit 0 only if a node would load them
    Lint(lint::Lint),
    /// Show the jobs a request would be made of, without starting it
    ///
    /// The job types' create is called as a node would, but without a bound on its time: a node allows it three seconds in
    /// all for a request.
    Graph(graph::Graph),
}

/// The options of every `capstan spec` command.
#[derive(Debug, clap::Args)]
pub struct SpecArgs {
    /// How to show what was found
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(subcommand)]
    command: SpecCommand,
}

pub(crate) async fn run(args: SpecArgs, tools: &dyn SpecTools, console: &mut Console) -> Result<(), Failure> {
    match args.command {
        SpecCommand::Lint(lint) => lint::run(&lint, args.output, tools, console),
        SpecCommand::Graph(graph) => graph::run(graph, args.output, tools, console).await,
    }
}

/// Loads specs to work with; what is wrong with them is told in full by `capstan spec lint`.
fn load(directory: &Path, tools: &dyn SpecTools) -> Result<Specs, Failure> {
    tools.load(directory).map_err(|error| match error {
        LoadError::Unreadable(reason) => unreadable(reason),
        LoadError::Wrong(findings) => {
            let first = findings.iter().find(|finding| finding.level == Level::Error);
            let first = first.map_or_else(String::new, |finding| format!(": {finding}"));
            Failure::new(
                Exit::Refused,
                format!("the specs have errors{first}"),
                format!("capstan spec lint {}", directory.display()),
            )
        }
    })
}

fn unreadable(reason: String) -> Failure {
    Failure::new(Exit::NotFound, reason, "name a directory with request specs")
}
