//! `capstan request running [ID]`: the jobs that run now.

use std::collections::BTreeMap;

use capstan_client::{
    ReadOptions,
    spin_cycle::{JobStatus, Request, UtcTime},
};

use crate::{
    console::{Console, Shade},
    failure::Failure,
    options::{CallOptions, Output},
    text::{
        table::{Cell, Table},
        time::{between, duration},
    },
};

/// Whose jobs to show.
#[derive(Debug, clap::Args)]
pub struct Running {
    /// Only jobs of this request
    id: Option<String>,
}

pub(super) async fn run(
    running: Running,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let status = options.client()?.running(running.id.as_deref(), ReadOptions::default()).await?;
    match options.output {
        Output::Json => console.json(&status)?,
        Output::Table if status.jobs.is_empty() => {
            console.note(&console.painted_for_error(Shade::Dim, "no running jobs"))?;
        }
        Output::Table => {
            let now = (console.now)();
            console.line(table(&status.jobs, &status.requests, now).draw(console))?;
        }
    }
    Ok(())
}

fn table(jobs: &[JobStatus], requests: &BTreeMap<String, Request>, now: UtcTime) -> Table {
    let mut table = Table::new(&["ID", "REQUEST", "DONE", "JOB", "TYPE", "TRY", "RUNS FOR", "STATUS"]);
    for job in jobs {
        let request = requests.get(&job.request_id);
        let started = u64::try_from(job.started_at).ok().map(UtcTime::from_unix_nanos);
        table.row([
            Cell::text(&job.request_id),
            Cell::maybe(request.map(|request| &request.kind)),
            Cell::maybe(
                request.map(|request| format!("{} of {}", request.finished_jobs, request.total_jobs)),
            ),
            Cell::text(&job.name),
            Cell::text(&job.kind),
            Cell::number(job.try_no),
            Cell::maybe(started.and_then(|started| between(started, now)).map(duration)),
            Cell::text(job.status.trim()),
        ]);
    }
    table
}
