//! `capstan task ls`.

use capstan_client::{receptor::Task, spin_cycle::UtcTime};

use super::state_of;
use crate::{
    console::{Console, Shade},
    failure::Failure,
    options::{CallOptions, Output},
    text::{
        table::{Cell, Table},
        time::ago,
    },
};

/// Which tasks to list.
#[derive(Debug, clap::Args)]
pub struct Ls {
    /// Only tasks of this domain
    #[arg(long)]
    domain: Option<String>,
}

pub(super) async fn run(ls: &Ls, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let tasks = options.client()?.tasks(ls.domain.as_deref()).await?;
    match options.output {
        Output::Json => console.json(&tasks)?,
        Output::Table if tasks.is_empty() => {
            console.note(&console.painted_for_error(Shade::Dim, "no tasks"))?;
        }
        Output::Table => console.line(table(&tasks, (console.now)()).draw(console))?,
    }
    Ok(())
}

fn table(tasks: &[Task], now: UtcTime) -> Table {
    let mut table = Table::new(&["GUID", "DOMAIN", "STATE", "CELL", "CREATED", "WHY"]);
    for task in tasks {
        let (state, shade) = state_of(task);
        let created = u64::try_from(task.created_at).ok().map(UtcTime::from_unix_nanos);
        table.row([
            Cell::text(&task.task_guid),
            Cell::text(&task.domain),
            Cell::text(state).shaded(shade),
            Cell::maybe((!task.cell_id.is_empty()).then_some(&task.cell_id)),
            Cell::maybe(created.map(|created| ago(created, now))),
            Cell::text(&task.failure_reason),
        ]);
    }
    table
}
