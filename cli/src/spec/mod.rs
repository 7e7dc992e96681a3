//! `capstan spec`: look at request specs on this machine, without a cluster, and bring them into one.

mod cluster;
mod diff;
mod graph;
mod lint;
mod ls;
mod push;
mod revert;
mod show;
#[cfg(test)]
mod tests;

use std::path::Path;

use capstan_model::spec::{Finding, JobTypes, Specs, lint};

use crate::{
    console::Console,
    failure::{Exit, Failure},
    options::CallOptions,
    ports::SpecTools,
};

/// What to do with specs.
#[derive(Debug, clap::Subcommand)]
pub enum SpecCommand {
    /// Check every spec below a directory, and say everything that is wrong; exit 0 only if a node would take them
    Lint(lint::Lint),
    /// Show the jobs a request would be made of, without starting it
    ///
    /// The job types' create is called as a node would, but without a bound on its time: a node allows it three seconds in
    /// all for a request.
    Graph(graph::Graph),
    /// Put the specs of a directory in the place of the cluster's: checks them, shows what changes, and asks
    Push(push::Push),
    /// List the versions of the cluster's specs, newest first
    Ls(ls::Ls),
    /// Show a version of the cluster's specs, or a file of it
    Show(show::Show),
    /// Show how a directory, or a version, differs from the cluster's specs
    Diff(diff::Diff),
    /// Make an older version of the cluster's specs current again
    Revert(revert::Revert),
}

pub(crate) async fn run(
    command: SpecCommand,
    options: &CallOptions,
    tools: &dyn SpecTools,
    console: &mut Console,
) -> Result<(), Failure> {
    match command {
        SpecCommand::Lint(lint) => lint::run(&lint, options.output, tools, console).await,
        SpecCommand::Graph(graph) => graph::run(graph, options.output, tools, console).await,
        SpecCommand::Push(push) => push::run(&push, options, tools, console).await,
        SpecCommand::Ls(ls) => ls::run(&ls, options, console).await,
        SpecCommand::Show(show) => show::run(&show, options, console).await,
        SpecCommand::Diff(diff) => diff::run(&diff, options, tools, console).await,
        SpecCommand::Revert(revert) => revert::run(&revert, options, console).await,
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
