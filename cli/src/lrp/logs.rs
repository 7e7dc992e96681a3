//! `capstan lrp logs GUID`: what an instance wrote.

use capstan_client::{CallError, LogQuery, Stream, receptor::OutputLine, spin_cycle::UtcTime};
use serde_json::json;

use super::about_lrp;
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
    text::{
        escape,
        when::{self, When},
    },
};

/// Which lines to show.
#[derive(Debug, clap::Args)]
pub struct Logs {
    /// The LRP
    guid: String,
    /// Which of its instances, from 0
    #[arg(short, long, default_value_t = 0)]
    index: u32,
    /// Go on with what is written from now on, until ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only lines from then on: a time (2026-11-20T14:00:00Z) or an age (2h)
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    since: Option<When>,
    /// Only lines of this stream
    #[arg(long, value_enum)]
    stream: Option<StreamArg>,
    /// At most so many of the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<u64>,
}

/// Where an instance writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum StreamArg {
    /// Standard output
    Stdout,
    /// Standard error
    Stderr,
}

pub(super) async fn run(logs: &Logs, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let query = LogQuery {
        follow: logs.follow,
        since: logs.since.map(|since| since.from((console.now)())),
        stream: logs.stream.map(|stream| match stream {
            StreamArg::Stdout => Stream::Out,
            StreamArg::Stderr => Stream::Err,
        }),
        tail: logs.tail,
    };
    let opened = options.client()?.instance_logs(&logs.guid, logs.index, query).await;
    let mut lines = opened.map_err(|error| about_instance(error, logs))?;
    let mut last = None;
    while let Some(line) = lines.next().await.map_err(|error| broken(error, logs, last))? {
        let written: Option<OutputLine> = serde_json::from_str(&line).ok();
        last = written.as_ref().map(|written| written.at).or(last);
        match (options.output, written) {
            // One object a line, as there may be no end.
            (Output::Json, Some(_)) => console.line(line)?,
            (Output::Json, None) => console.line(json!({ "text": line }))?,
            (Output::Table, written) => {
                let text = written.map_or(line, |written| written.text);
                console.line(if console.terminal.out { escape::line(&text) } else { text })?;
            }
        }
        if logs.follow {
            console.flush()?;
        }
    }
    if logs.follow {
        let Logs { guid, index, .. } = logs;
        let next = last.map_or_else(|| format!("capstan lrp show {guid}"), |last| go_on(logs, last));
        console.note(&format!("{guid}/{index} is gone, or runs on another cell now\nnext: {next}"))?;
    }
    Ok(())
}

/// Says how to go on where the lines broke off.
fn broken(error: CallError, logs: &Logs, last: Option<UtcTime>) -> Failure {
    let failure = Failure::from(error);
    let Some(last) = last else { return failure };
    failure.suggesting(go_on(logs, last))
}

fn go_on(logs: &Logs, last: UtcTime) -> String {
    let Logs { guid, index, .. } = logs;
    format!("capstan lrp logs {guid} --index {index} --follow --since {last}")
}

fn about_instance(error: CallError, logs: &Logs) -> Failure {
    let missing = error.is_not_found();
    let failure = about_lrp(error);
    let next = format!("capstan lrp show {} shows its instances", logs.guid);
    if missing { failure.suggesting(next) } else { failure }
}
