//! What a request would be, for dry runs and previews.

use capstan_client::cluster::{PlannedJob, RequestPlan};
use serde_json::Value;

use super::show::plain;
use crate::{
    console::{Console, Shade},
    failure::Failure,
    options::{CallOptions, Output},
    text::{
        escape,
        table::{Cell, Table},
    },
};

/// Shows a plan.
pub(super) fn print(plan: &RequestPlan, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    if options.output == Output::Json {
        return Ok(console.json(plan)?);
    }
    let types: Vec<String> =
        plan.types.iter().map(|(kind, count)| format!("{count} {}", escape::line(kind))).collect();
    let run = plan.total_jobs - plan.kept_jobs;
    let kept = if plan.retry_of.is_some() { format!("{} kept, ", plan.kept_jobs) } else { String::new() };
    console.line(format!(
        "{}: {} jobs, {kept}{run} to run: {}",
        plan.kind,
        plan.total_jobs,
        types.join(", ")
    ))?;
    for arg in &plan.args {
        console.line(format!("  {}={}", escape::line(&arg.name), escape::line(&plain(&arg.value))))?;
    }
    let mut table = Table::new(&["NAME", "TYPE", "DOES", "TRIES", "TIMEOUT", "ARGS"]);
    for job in plan.jobs.iter().filter(|job| job.kind != "noop") {
        table.row(row(job));
    }
    console.line(format!("\n{}", table.draw(console)))?;
    Ok(())
}

fn row(job: &PlannedJob) -> [Cell; 6] {
    let args: Vec<String> =
        job.args.iter().map(|(name, value): (&String, &Value)| format!("{name}={}", plain(value))).collect();
    let does = if job.kept { Cell::text("keep").shaded(Shade::Dim) } else { Cell::text("run") };
    [
        Cell::text(&job.name),
        Cell::text(&job.kind),
        does,
        Cell::number(job.retry.saturating_add(1)),
        Cell::maybe(job.timeout.as_ref()),
        Cell::text(args.join(" ")),
    ]
}
