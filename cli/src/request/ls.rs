//! `capstan request ls`.

use capstan_client::{
    ReadOptions,
    spin_cycle::{Request, RequestFilter, State, UtcTime},
};

use crate::{
    console::{Console, Shade, shade_of},
    failure::Failure,
    options::{CallOptions, Output},
    text::{
        table::{Cell, Table},
        time::{ago, between, duration},
        when::{self, When},
    },
};

/// Which requests to list; all given filters must hold.
#[derive(Debug, clap::Args)]
pub struct Ls {
    /// Only requests of this name
    #[arg(long = "type", value_name = "NAME")]
    kind: Option<String>,
    /// Only requests in one of these states, such as RUNNING; several, or separated by commas
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',', value_parser = parse_state)]
    states: Vec<State>,
    /// Only requests of this user
    #[arg(long)]
    user: Option<String>,
    /// Only requests with this arg; several must all hold
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = parse_arg)]
    args: Vec<(String, String)>,
    /// Only requests that were not over by then: a time (2026-11-20T14:00:00Z) or an age (2h)
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    since: Option<When>,
    /// Only requests created before then: a time or an age
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    until: Option<When>,
    /// At most as many; 0 lists all
    #[arg(long, default_value_t = 20)]
    limit: u64,
    /// Skip as many of the newest
    #[arg(long, default_value_t = 0)]
    offset: u64,
}

pub(super) async fn run(ls: Ls, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let now = (console.now)();
    let filter = RequestFilter {
        kind: ls.kind,
        user: ls.user,
        states: ls.states,
        args: ls.args,
        since: ls.since.map(|when| when.from(now)),
        until: ls.until.map(|when| when.from(now)),
        limit: ls.limit,
        offset: ls.offset,
        after: None,
    };
    let requests = options.client()?.requests(&filter, ReadOptions::default()).await?;
    match options.output {
        Output::Json => console.json(&requests)?,
        Output::Table if requests.is_empty() => {
            console.note(&console.painted_for_error(Shade::Dim, "no requests"))?;
        }
        Output::Table => console.line(table(&requests, now).draw(console))?,
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

fn parse_state(text: &str) -> Result<State, String> {
    text.to_uppercase().parse().map_err(|_| {
        let names: Vec<&str> = State::ALL.into_iter().map(State::name).collect();
        format!("no such state; the states are {}", names.join(", "))
    })
}

fn parse_arg(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("an arg is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
