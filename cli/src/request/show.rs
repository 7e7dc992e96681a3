//! `capstan request show ID`.

use std::collections::BTreeMap;

use capstan_client::{
    ReadOptions,
    cluster::RequestDetail,
    spin_cycle::{ArgKind, Job, JobStatus, Request, RequestArg, UtcTime},
};
use serde_json::Value;

use super::{about_request, beyond};
use crate::{
    console::{Console, shade_of},
    failure::Failure,
    options::{CallOptions, Output},
    text::{
        escape,
        table::{Cell, Table},
        time::{between, duration, when},
    },
};

/// Which request to show.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The request's id
    id: String,
}

/// As programs get it: Spin Cycle's shape, and Capstan's own beside it.
#[derive(serde::Serialize)]
struct Shown {
    #[serde(flatten)]
    request: Request,
    capstan: RequestDetail,
}

pub(super) async fn run(show: Show, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let client = options.client()?;
    let request = client.request(&show.id, ReadOptions::default()).await.map_err(about_request)?;
    let capstan = client.request_detail(&show.id, ReadOptions::default()).await.map_err(about_request)?;
    if options.output == Output::Json {
        return Ok(console.json(&Shown { request, capstan })?);
    }
    let running = if request.state.is_final() {
        Vec::new()
    } else {
        client.running(Some(&show.id), ReadOptions::default()).await?.jobs
    };
    let now = (console.now)();
    console.line(facts(&request, now, console))?;
    for line in beyond::lines(&capstan, now) {
        console.line(line)?;
    }
    if !request.args.is_empty() {
        console.line(format!("\n{}", arg_table(&request.args).draw(console)))?;
    }
    if let Some(chain) = &request.job_chain {
        console.line(format!("\n{}", job_table(&chain.in_order(), &running, now).draw(console)))?;
    }
    Ok(())
}

fn facts(request: &Request, now: UtcTime, console: &Console) -> String {
    let moment = |moment: Option<UtcTime>| moment.map_or_else(|| "-".to_owned(), |moment| when(moment, now));
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { escape::line(text) };
    let took = request.started_at.and_then(|start| between(start, request.finished_at.unwrap_or(now)));
    let facts = [
        ("id", escape::line(&request.id)),
        ("request", escape::line(&request.kind)),
        ("state", console.painted(shade_of(request.state), request.state.name())),
        ("user", or_dash(&request.user)),
        ("created", when(request.created_at, now)),
        ("started", moment(request.started_at)),
        ("finished", moment(request.finished_at)),
        ("took", took.map_or_else(|| "-".to_owned(), duration)),
        ("jobs", format!("{} of {} complete", request.finished_jobs, request.total_jobs)),
        ("node", or_dash(&request.jr_url)),
    ];
    facts.map(|(name, value)| format!("{name:<10}{value}")).join("\n")
}

fn arg_table(args: &[RequestArg]) -> Table {
    let mut table = Table::new(&["ARG", "VALUE", "KIND"]);
    for arg in args {
        let kind = match (arg.kind, arg.given) {
            (ArgKind::Optional, false) => "optional, default".to_owned(),
            (kind, _) => kind.to_string(),
        };
        table.row([Cell::text(&arg.name), Cell::text(plain(&arg.value)), Cell::text(kind)]);
    }
    table
}

/// A text without quotes, anything else as JSON.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn job_table(jobs: &[&Job], running: &[JobStatus], now: UtcTime) -> Table {
    let running: BTreeMap<&str, &JobStatus> = running.iter().map(|job| (job.job_id.as_str(), job)).collect();
    let mut table = Table::new(&["JOB", "NAME", "TYPE", "STATE", "TRY", "FOR", "STATUS"]);
    for job in jobs {
        let live = running.get(job.id.as_str());
        let since = live.and_then(|live| u64::try_from(live.started_at).ok()).map(UtcTime::from_unix_nanos);
        // The two answers are not of one moment: what runs now is the newer.
        let state = live.map_or(job.state, |live| live.state);
        table.row([
            Cell::text(&job.id),
            Cell::text(&job.name),
            Cell::text(&job.kind),
            Cell::text(state).shaded(shade_of(state)),
            Cell::maybe(live.map(|live| format!("{} of {}", live.try_no, job.retry + 1))),
            Cell::maybe(since.and_then(|since| between(since, now)).map(duration)),
            Cell::text(live.map_or("", |live| live.status.as_str())),
        ]);
    }
    table
}
