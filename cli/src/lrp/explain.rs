//! `capstan lrp explain GUID`: why its instances are where they are, or nowhere.

use capstan_client::cluster::{CellVerdict, LrpExplanation, OneMore};

use super::{about_lrp, words};
use crate::{
    console::{Console, Shade},
    failure::Failure,
    options::{CallOptions, Output},
    text::{
        escape,
        table::{Cell, Table},
    },
};

/// What to explain.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// The LRP
    guid: String,
    /// Only this of its instances, from 0
    #[arg(short, long)]
    index: Option<u32>,
}

pub(super) async fn run(
    explain: &Explain,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let mut explanation = options.client()?.explain_lrp(&explain.guid).await.map_err(about_lrp)?;
    if let Some(index) = explain.index {
        explanation.records.retain(|record| record.index == index);
    }
    if options.output == Output::Json {
        return Ok(console.json(&explanation)?);
    }
    show(&explanation, console)
}

fn show(explanation: &LrpExplanation, console: &mut Console) -> Result<(), Failure> {
    let now = (console.now)();
    console.line(escape::line(&words::desire(explanation)))?;
    for record in &explanation.records {
        console.line(escape::line(&words::record(&explanation.process_guid, record, now)))?;
    }
    if let Some(one_more) = &explanation.one_more {
        console.line(format!("\n{}", escape::line(&words::one_more(one_more))))?;
        if !one_more.cells.is_empty() {
            console.line(table(one_more).draw(console))?;
        }
        for line in words::isolation(&one_more.cells) {
            console.line(escape::line(&line))?;
        }
    }
    Ok(())
}

fn table(one_more: &OneMore) -> Table {
    let mut table = Table::new(&["CELL", "ZONE", "IN ZONE", "ON CELL", "SAYS"]);
    for cell in &one_more.cells {
        let chosen = one_more.cell_id.as_ref() == Some(&cell.cell_id);
        table.row([
            Cell::text(&cell.cell_id).shaded(if chosen { Shade::Good } else { Shade::Plain }),
            Cell::text(&cell.zone),
            Cell::number(cell.zone_instances),
            Cell::number(cell.instances),
            says(cell),
        ]);
    }
    table
}

fn says(cell: &CellVerdict) -> Cell {
    let shade = if cell.score.is_some() { Shade::Plain } else { Shade::Dim };
    Cell::text(words::verdict(cell)).shaded(shade)
}
