//! `capstan cell ls`.

use capstan_client::cluster::CellStatus;

use super::{shade_of, used};
use crate::{
    console::{Console, Shade},
    failure::Failure,
    options::{CallOptions, Output},
    text::table::{Cell, Table},
};

/// Lists the cells.
#[derive(Debug, clap::Args)]
pub struct Ls {}

pub(super) async fn run(_: &Ls, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let cells = options.client()?.cell_statuses().await?;
    match options.output {
        Output::Json => console.json(&cells)?,
        Output::Table if cells.is_empty() => {
            console.note(&console.painted_for_error(Shade::Dim, "no cells"))?;
        }
        Output::Table => console.line(table(&cells).draw(console))?,
    }
    Ok(())
}

fn table(cells: &[CellStatus]) -> Table {
    let header = ["CELL", "NODE", "ZONE", "STATE", "MEMORY", "DISK", "CONTAINERS", "INSTANCES", "TASKS"];
    let mut table = Table::new(&header);
    for cell in cells {
        let [memory, disk, containers] = used(cell);
        table.row([
            Cell::text(&cell.cell_id),
            Cell::number(cell.node),
            Cell::text(&cell.zone),
            Cell::text(cell.state.name()).shaded(shade_of(cell.state)),
            Cell::number(memory),
            Cell::number(disk),
            Cell::number(containers),
            Cell::number(cell.instances),
            Cell::number(cell.tasks),
        ]);
    }
    table
}
