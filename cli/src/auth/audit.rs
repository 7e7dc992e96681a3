//! `capstan audit`.

use capstan_client::{
    AuditQuery,
    cluster::{AuditPage, AuditRecord},
};

use crate::{
    console::{Console, Shade},
    failure::Failure,
    options::{CallOptions, Output},
    text::{
        table::{Cell, Table},
        time,
    },
};

/// Which records to list, the newest first.
#[derive(Debug, clap::Args)]
pub struct Audit {
    /// Only what this caller did
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// Only what takes this operation: requests:start, requests:stop, variables:write, lrps:write, cluster:write, specs:write, auth:admin
    #[arg(long)]
    operation: Option<String>,
    /// Only what came before the record of this number
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    limit: u64,
}

/// The most records the server gives in one page.
const PAGE_MAX: u64 = 1_000;

pub(crate) async fn run(audit: Audit, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let client = options.client()?;
    let Audit { caller, operation, after, limit } = audit;
    let mut query = AuditQuery { caller, operation, after, limit: None };
    let mut found = AuditPage { records: Vec::new(), next: after };
    while (found.records.len() as u64) < limit {
        query.limit = Some((limit - found.records.len() as u64).min(PAGE_MAX));
        let page = client.audit(&query).await?;
        found.records.extend(page.records);
        (found.next, query.after) = (page.next, page.next);
        if page.next.is_none() {
            break;
        }
    }
    match options.output {
        Output::Json => console.json(&found)?,
        Output::Table if found.records.is_empty() => {
            console.note(&console.painted_for_error(Shade::Dim, "no records"))?;
        }
        Output::Table => {
            console.line(table(&found.records, console).draw(console))?;
            if let Some(next) = found.next {
                console.note(&format!("next: there may be more: --after {next}"))?;
            }
        }
    }
    Ok(())
}

fn table(records: &[AuditRecord], console: &Console) -> Table {
    let now = (console.now)();
    let mut table = Table::new(&["NUMBER", "WHEN", "CALLER", "TOKEN", "OPERATION", "WHAT"]);
    for record in records {
        table.row([
            Cell::number(record.number),
            Cell::text(time::when(record.at, now)),
            Cell::text(&record.caller),
            Cell::maybe(record.token.as_ref()),
            Cell::text(&record.operation),
            Cell::text(&record.what),
        ]);
    }
    table
}
