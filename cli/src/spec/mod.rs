//! `capstan spec`: look at request specs on this machine, without a cluster.

mod graph;
mod lint;
#[cfg(test)]
mod tests;

use std::path::Path;

use capstan_model::spec::{Finding, JobTypes, Specs, lint};

use crate::{
    console::Console,
    failure::{Exit, Failure},
    options::Output,
    ports::SpecTools,
};

/// What to do with specs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum SpecCommand {
    /// Check every spec below a directory, and say everything that is wrong; exit 0 only if a node would take them
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
        SpecCommand::Lint(lint) => lint::run(&lint, args.output, tools, console).await,
        SpecCommand::Graph(graph) => graph::run(graph, args.output, tools, console).await,
    }
}

/// Loads specs to work with; what is wrong with them is told in full by `capstan spec lint`.
fn load(directory: &Path, tools: &dyn SpecTools) -> Result<Specs, Failure> {
    let files = tools.read(directory).map_err(unreadable)?;
    lint(files, &JobTypes::default()).into_specs().map_err(|findings| {
        let first = findings.iter().find(|finding| finding.is_error());
        let first = first.map_or_else(String::new, |finding: &Finding| format!(": {finding}"));
        Failure::new(
            Exit::Refused,
            format!("the specs have errors{first}"),
            format!("capstan spec lint {}", directory.display()),
        )
    })
}

/// The exit is 1 as for specs that are wrong: so Spin Cycle's linter ends.
fn unreadable(reason: String) -> Failure {
    Failure::new(Exit::Refused, reason, "name a directory with request specs")
}

fn no_plugins(reason: String) -> Failure {
    Failure::new(Exit::NotFound, reason, "name a directory with job plugins, or leave --jobs out")
}
