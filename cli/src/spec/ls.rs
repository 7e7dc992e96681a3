//! `capstan spec ls`.

use capstan_client::{ReadOptions, cluster::SpecsList};

use crate::{
    console::{Console, Shade},
    failure::Failure,
    options::{CallOptions, Output},
    text::{
        table::{Cell, Table},
        time::ago,
        version::short,
    },
};

/// Lists the versions.
#[derive(Debug, clap::Args)]
pub struct Ls {}

pub(super) async fn run(_: &Ls, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let list = options.client()?.specs(ReadOptions::default()).await?;
    match options.output {
        Output::Json => console.json(&list)?,
        Output::Table if list.versions.is_empty() => {
            console.note(
                &console.painted_for_error(Shade::Dim, "no specs were pushed yet: each node uses its own"),
            )?;
        }
        Output::Table => console.line(table(&list, console).draw(console))?,
    }
    Ok(())
}

fn table(list: &SpecsList, console: &Console) -> Table {
    let mut table = Table::new(&["NUMBER", "VERSION", "PUSHED", "BY", "FILES", "BYTES", "BEFORE"]);
    let now = (console.now)();
    for (place, version) in list.versions.iter().enumerate() {
        let shade = if place == 0 { Shade::Good } else { Shade::Plain };
        table.row([
            Cell::number(version.number),
            Cell::text(short(&version.version)).shaded(shade),
            Cell::text(ago(version.pushed_at, now)),
            Cell::maybe((!version.pushed_by.is_empty()).then_some(&version.pushed_by)),
            Cell::number(version.file_count),
            Cell::number(version.bytes),
            Cell::maybe(version.parent.as_deref().map(short)),
        ]);
    }
    table
}
