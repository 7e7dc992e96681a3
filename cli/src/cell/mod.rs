//! `capstan cell`: look at cells, which host instances and tasks, and empty them.

pub(crate) mod emptying;
mod evacuate;
mod ls;
mod show;
#[cfg(test)]
mod tests;

use capstan_client::{
    CallError,
    cluster::{CellState, CellStatus},
};

use crate::{
    console::{Console, Shade},
    failure::Failure,
    options::CallOptions,
};

/// What to do with cells.
#[derive(Debug, clap::Subcommand)]
pub enum CellCommand {
    /// List the cells, and how much of them is taken
    Ls(ls::Ls),
    /// Show a cell and what it has
    Show(show::Show),
    /// Drain a cell's node: each instance goes on until another one runs elsewhere
    Evacuate(evacuate::Evacuate),
}

pub(crate) async fn run(
    command: CellCommand,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    match command {
        CellCommand::Ls(ls) => ls::run(&ls, options, console).await,
        CellCommand::Show(show) => show::run(&show, options, console).await,
        CellCommand::Evacuate(evacuate) => evacuate::run(&evacuate, options, console).await,
    }
}

/// Turns an error of a call about one cell into a failure.
fn about_cell(error: CallError) -> Failure {
    let missing = error.is_not_found();
    let failure = Failure::from(error);
    if missing { failure.suggesting("capstan cell ls shows the cells") } else { failure }
}

/// What a cell's state means to its reader.
fn shade_of(state: CellState) -> Shade {
    match state {
        CellState::Open => Shade::Good,
        CellState::Silent => Shade::Bad,
        CellState::Evacuating => Shade::Busy,
        CellState::Unknown => Shade::Plain,
    }
}

/// How much of each resource is taken, as `100 of 1024`: memory and disk in MiB, and containers.
fn used(cell: &CellStatus) -> [String; 3] {
    let (used, all) = (&cell.used, &cell.capacity);
    [
        format!("{} of {} MiB", used.memory_mb, all.memory_mb),
        format!("{} of {} MiB", used.disk_mb, all.disk_mb),
        format!("{} of {}", used.containers, all.containers),
    ]
}
