//! `capstan request ls`.

use capstan_client::{
    ReadOptions,
    spin_cycle::{Request, RequestFilter, UtcTime},
};

use super::filters::Filters;
use crate::{
    console::{Console, Shade, shade_of},
    failure::Failure,
    options::{CallOptions, Output},
    text::{
        table::{Cell, Table},
        time::{ago, between, duration},
    },
};

/// Which requests to list, and how many.
#[derive(Debug, clap::Args)]
pub struct Ls {
    #[command(flatten)]
    filters: Filters,
    /// At most as many; 0 lists all
    #[arg(long, default_value_t = 20)]
    limit: u64,
    /// Skip as many of the newest
    #[arg(long, default_value_t = 0)]
    offset: u64,
}

/// The most requests of a page that says where the next begins.
const PAGE_MAX: u64 = 1_000;

pub(super) async fn run(ls: Ls, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let now = (console.now)();
    let client = options.client()?;
    let mut filter = RequestFilter { offset: ls.offset, ..ls.filters.at(now) };
    let mut left = if ls.limit == 0 { u64::MAX } else { ls.limit };
    let mut requests = Vec::new();
    let next = loop {
        filter.limit = left.min(PAGE_MAX);
        let page = client.requests_page(&filter, ReadOptions::default()).await?;
        left -= left.min(page.requests.len() as u64);
        requests.extend(page.requests);
        if page.next.is_none() || left == 0 {
            break page.next;
        }
        (filter.after, filter.offset) = (page.next, 0);
    };
    match options.output {
        Output::Json => console.json(&requests)?,
        Output::Table if requests.is_empty() => {
            console.note(&console.painted_for_error(Shade::Dim, "no requests"))?;
        }
        Output::Table => console.line(table(&requests, now).draw(console))?,
    }
    if let Some(next) = next {
        let note = format!("there may be more: the same with --after {next}");
        console.note(&console.painted_for_error(Shade::Dim, &note))?;
    }
    Ok(())
}

fn table(requests: &[Request], now: UtcTime) -> Table {
    let mut table = Table::new(&["ID", "REQUEST", "USER", "STATE", "JOBS", "CREATED", "TOOK"]);
    for request in requests {
        let end = request.finished_at.unwrap_or(now);
        let took = request.started_at.and_then(|start| between(start, end));
        table.row([
            Cell::text(&request.id),
            Cell::text(&request.kind),
            Cell::maybe((!request.user.is_empty()).then_some(&request.user)),
            Cell::text(request.state).shaded(shade_of(request.state)),
            Cell::text(format!("{} of {}", request.finished_jobs, request.total_jobs)),
            Cell::text(ago(request.created_at, now)),
            Cell::maybe(took.map(duration)),
        ]);
    }
    table
}
