//! `capstan request wait ID`: follows a request until it has ended.

use std::{borrow::Cow, time::Duration};

use capstan_client::{
    Client, ReadOptions,
    spin_cycle::{JobLogEntry, Request, State},
};
use indicatif::ProgressBar;
use tokio::time::Instant;

use super::about_request;
use crate::{
    console::{Console, shade_of},
    failure::{Exit, Failure},
    options::{CallOptions, Output},
    text::{
        bar::bar,
        escape,
        time::{between, duration},
    },
};

/// Which request to wait for.
#[derive(Debug, clap::Args)]
pub struct Wait {
    /// The request's id
    id: String,
}

/// Shortest and longest pause between two looks at the request.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(50);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(1);

/// What the status of a job says that waits for somebody.
const WAITS_FOR_SOMEBODY: [&str; 2] = ["(paused)", "(waiting for approval)"];

/// How many of the last lines of a failed job's output are shown.
const OUTPUT_LINES_MAX: usize = 10;

pub(super) async fn run(wait: Wait, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    until_ended(&options.client()?, &wait.id, options, console).await
}

/// Shows a request's progress until it has ended, then how it ended.
pub(super) async fn until_ended(
    client: &Client,
    id: &str,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let mut progress = Progress::new(console);
    let ended = follow(client, id, &mut progress, console).await;
    progress.clear();
    let mut request = ended?;
    let complete = request.state == State::Complete;
    if options.output == Output::Json {
        request.job_chain = None;
        console.json(&request)?;
    } else {
        console.line(summary(&request, console))?;
        if !complete {
            let log = client.request_log(id, ReadOptions::default()).await?;
            for line in failed_jobs(&log) {
                console.note(&escape::lines(&line))?;
            }
            console.note(&format!("next: capstan request log {id}"))?;
        }
    }
    if complete { Ok(()) } else { Err(Failure::Shown(Exit::Refused)) }
}

/// Looks at the request until it has ended. A cluster that cannot answer for a while, as during a failover, is waited
/// for, once the request has been seen.
async fn follow(
    client: &Client,
    id: &str,
    progress: &mut Progress,
    console: &mut Console,
) -> Result<Request, Failure> {
    let mut pause = LOOK_AGAIN_MIN;
    let mut seen = false;
    loop {
        match look(client, id).await {
            Ok(seen_now) if seen_now.request.state.is_final() => return Ok(seen_now.request),
            Ok(seen_now) => {
                seen = true;
                progress.show(&seen_now, console)?;
            }
            Err(failure) if seen && failure.is_unavailable() => progress.show_silence(console)?,
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_AGAIN_MAX);
    }
}

/// A request as it was seen.
struct Seen {
    request: Request,
    /// What somebody has to do before it goes on.
    waits_for: Option<&'static str>,
}

/// Reads the request without its chain while it runs: the chain may have ten thousand jobs.
async fn look(client: &Client, id: &str) -> Result<Seen, Failure> {
    let mut running = client.running(Some(id), ReadOptions::default()).await?;
    if let Some(request) = running.requests.remove(id) {
        let says = |words: &&str| running.jobs.iter().any(|job| job.status == **words);
        return Ok(Seen { request, waits_for: WAITS_FOR_SOMEBODY.into_iter().find(says) });
    }
    let request = client.request(id, ReadOptions::default()).await.map_err(about_request)?;
    Ok(Seen { request, waits_for: None })
}

/// What is shown while waiting: a bar on a terminal, else a line whenever something has changed.
struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    shown: Option<(State, u64, Option<&'static str>)>,
    silent: bool,
}

impl Progress {
    fn new(console: &Console) -> Self {
        let bar = bar(console, "jobs");
        Self { bar, started: Instant::now(), shown: None, silent: false }
    }

    fn show(&mut self, Seen { request, waits_for }: &Seen, console: &mut Console) -> Result<(), Failure> {
        self.silent = false;
        let state = waits_for.map_or(Cow::Borrowed(request.state.name()), |waits_for| {
            Cow::Owned(format!("{} {waits_for}", request.state))
        });
        if let Some(bar) = &self.bar {
            bar.set_length(request.total_jobs);
            bar.set_position(request.finished_jobs);
            bar.set_message(state.into_owned());
            return Ok(());
        }
        let now = (request.state, request.finished_jobs, *waits_for);
        if self.shown.replace(now) == Some(now) {
            return Ok(());
        }
        let elapsed = duration(self.started.elapsed());
        let line = format!("{state}, {} of {} jobs, {elapsed}", request.finished_jobs, request.total_jobs);
        Ok(console.note(&line)?)
    }

    fn show_silence(&mut self, console: &mut Console) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.set_message("no answer");
            return Ok(());
        }
        if !std::mem::replace(&mut self.silent, true) {
            console.note("no node can answer now; still waiting")?;
        }
        Ok(())
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn summary(request: &Request, console: &Console) -> String {
    let took = request.started_at.zip(request.finished_at).and_then(|(start, end)| between(start, end));
    let took = took.map_or(Cow::Borrowed("never ran"), |took| Cow::Owned(duration(took)));
    let state = console.painted(shade_of(request.state), request.state.name());
    let (id, done, all) = (escape::line(&request.id), request.finished_jobs, request.total_jobs);
    format!("{id} {state}, {done} of {all} jobs, {took}")
}

/// The jobs whose newest try failed, with why, and the end of what they wrote to standard error.
fn failed_jobs(log: &[JobLogEntry]) -> Vec<String> {
    let newest = |entry: &JobLogEntry| {
        log.iter().filter(|other| other.job_id == entry.job_id).all(|other| other.try_no <= entry.try_no)
    };
    let failed = log.iter().filter(|entry| entry.state == State::Fail && newest(entry));
    failed
        .flat_map(|entry| {
            let why =
                if entry.error.is_empty() { format!("exit {}", entry.exit) } else { entry.error.clone() };
            let head = format!("job {} ({}) failed in try {}: {why}", entry.name, entry.job_id, entry.try_no);
            let lines: Vec<&str> = entry.stderr.lines().collect();
            let tail =
                lines[lines.len().saturating_sub(OUTPUT_LINES_MAX)..].iter().map(|line| format!("  {line}"));
            std::iter::once(head).chain(tail.collect::<Vec<_>>())
        })
        .collect()
}
