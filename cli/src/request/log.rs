//! `capstan request log ID`: what the jobs of a request wrote.

use std::time::Duration;

use capstan_client::{
    ReadOptions,
    spin_cycle::{JobLogEntry, State},
};

use super::about_request;
use crate::{
    console::{Console, Shade, shade_of},
    failure::{Exit, Failure},
    options::{CallOptions, Output},
    text::{escape, time::duration},
};

/// Which part of a log to show.
#[derive(Debug, clap::Args)]
pub struct Log {
    /// The request's id
    id: String,
    /// Only this job: its id, or its name in the spec
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Show the noops too, which mark where sequences begin and end
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(log: Log, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let mut entries =
        options.client()?.request_log(&log.id, ReadOptions::default()).await.map_err(about_request)?;
    if let Some(job) = &log.job {
        let before = entries.len();
        entries.retain(|entry| entry.job_id == *job || entry.name == *job);
        if entries.is_empty() {
            let message = format!("none of the {before} entries is of a job {job}; it may not have run yet");
            return Err(Failure::new(Exit::NotFound, message, format!("capstan request show {}", log.id)));
        }
    }
    entries.sort_by(|a, b| (a.started_at, &a.job_id, a.try_no).cmp(&(b.started_at, &b.job_id, b.try_no)));
    if options.output == Output::Json {
        return Ok(console.json(&entries)?);
    }
    let hide_noops = !log.all && log.job.is_none();
    let mut hidden = 0;
    for entry in &entries {
        if hide_noops && is_uneventful(entry) {
            hidden += 1;
        } else {
            show(entry, console)?;
        }
    }
    if hidden > 0 {
        let what = if hidden == 1 { "noop" } else { "noops" };
        let note = format!("{hidden} {what} not shown; --all shows all");
        console.note(&console.painted_for_error(Shade::Dim, &note))?;
    }
    Ok(())
}

fn is_uneventful(entry: &JobLogEntry) -> bool {
    entry.kind == "noop" && entry.state == State::Complete
}

fn show(entry: &JobLogEntry, console: &mut Console) -> Result<(), Failure> {
    let took = u64::try_from(entry.finished_at - entry.started_at)
        .map_or_else(|_| "-".to_owned(), |nanos| duration(Duration::from_nanos(nanos)));
    let name = console.painted(Shade::Strong, &escape::line(&entry.name));
    let state = console.painted(shade_of(entry.state), entry.state.name());
    let (kind, job) = (escape::line(&entry.kind), escape::line(&entry.job_id));
    console
        .line(format!("{name} ({job}, {kind}) try {}: {state}, exit {}, {took}", entry.try_no, entry.exit))?;
    if !entry.error.is_empty() {
        stream("error", &entry.error, console)?;
    }
    stream("stdout", &entry.stdout, console)?;
    stream("stderr", &entry.stderr, console)
}

/// Writes what a job wrote, each line behind the name of its stream. A terminal must not be driven by it; a file gets
/// it as it is.
fn stream(name: &str, text: &str, console: &mut Console) -> Result<(), Failure> {
    let text = if console.terminal.out { escape::lines(text) } else { text.to_owned() };
    for line in text.lines() {
        let name = console.painted(Shade::Dim, &format!("  {name:<6} |"));
        console.line(format!("{name} {line}"))?;
    }
    Ok(())
}
