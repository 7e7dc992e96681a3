//! `capstan variable ls`.

use capstan_client::{VariableQuery, cluster::VariableEntry};

use super::Freshness;
use crate::{
    console::{Console, Shade},
    failure::Failure,
    options::{CallOptions, Output},
    text::table::{Cell, Table},
};

/// Which variables to list.
#[derive(Debug, clap::Args)]
pub struct Ls {
    /// Only names that begin with this
    #[arg(long, default_value = "")]
    prefix: String,
    #[command(flatten)]
    freshness: Freshness,
}

/// The most variables the server gives in one page.
const PAGE_MAX: u64 = 1_000;

pub(super) async fn run(ls: Ls, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let client = options.client()?;
    let mut query = VariableQuery { prefix: ls.prefix, after: None, limit: Some(PAGE_MAX) };
    let mut variables = Vec::new();
    loop {
        let page = client.list_variables(&query, ls.freshness.into()).await?;
        variables.extend(page.variables);
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    match options.output {
        Output::Json => console.json(&variables)?,
        Output::Table if variables.is_empty() => {
            console.note(&console.painted_for_error(Shade::Dim, "no variables"))?;
        }
        Output::Table => console.line(table(&variables).draw(console))?,
    }
    Ok(())
}

fn table(variables: &[VariableEntry]) -> Table {
    let mut table = Table::new(&["NAME", "REVISION", "BYTES"]);
    for variable in variables {
        table.row([Cell::text(&variable.name), Cell::number(variable.revision), Cell::number(variable.size)]);
    }
    table
}
