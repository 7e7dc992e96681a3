//! `capstan settings ls`.

use capstan_client::cluster::SettingEntry;

use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
    text::table::{Cell, Table},
    variable::Freshness,
};

/// How fresh the values are to be.
#[derive(Debug, clap::Args)]
pub struct Ls {
    #[command(flatten)]
    freshness: Freshness,
}

pub(super) async fn run(ls: &Ls, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let list = options.client()?.settings(ls.freshness.into()).await?;
    match options.output {
        Output::Json => console.json(&list.settings)?,
        Output::Table => console.line(table(&list.settings).draw(console))?,
    }
    Ok(())
}

fn table(settings: &[SettingEntry]) -> Table {
    let mut table = Table::new(&["NAME", "VALUE", "DEFAULT"]);
    for setting in settings {
        table.row([Cell::text(&setting.name), Cell::text(&setting.value), Cell::text(&setting.default)]);
    }
    table
}
