//! What a request has beyond Spin Cycle, as lines below its facts.

use capstan_client::{
    cluster::{ApprovalDecision, AwaitedApproval, RequestDetail},
    spin_cycle::UtcTime,
};

use crate::text::{escape, time::when, version::short};

/// One line for each; none for a request that has nothing.
pub(super) fn lines(request: &RequestDetail, now: UtcTime) -> Vec<String> {
    let mut lines = Vec::new();
    let mut fact = |name: &str, value: String| lines.push(format!("{name:<10}{value}"));
    if let Some(specs) = &request.specs {
        fact("specs", format!("version {}", short(specs)));
    }
    if let Some(timeout) = &request.timeout {
        let until = match (request.timed_out_at, request.deadline) {
            (Some(at), _) => format!(", ran out {}", when(at, now)),
            (None, Some(deadline)) => format!(", until {}", when(deadline, now)),
            (None, None) => String::new(),
        };
        fact("timeout", format!("{timeout}{until}"));
    }
    if let Some(pause) = &request.paused {
        fact("paused", format!("{}since {}", by(&pause.by), when(pause.since, now)));
    }
    if let Some(retry_of) = &request.retry_of {
        let kept = request.jobs.iter().filter(|job| job.kept).count();
        fact("retry of", format!("{retry_of}, {kept} jobs kept"));
    }
    for retry in &request.retried_by {
        fact("retried", format!("as {retry}"));
    }
    for decision in &request.decisions {
        fact("decided", decided(decision, request, now));
    }
    for awaited in &request.awaiting {
        fact("waiting", waiting(awaited, now));
        // By id: several may have the name, and a shell may take it apart.
        fact("", format!("capstan request approve {} {}", request.id, awaited.job_id));
    }
    lines
}

fn waiting(awaited: &AwaitedApproval, now: UtcTime) -> String {
    let name = escape::line(&awaited.name);
    let message = if awaited.message.is_empty() {
        String::new()
    } else {
        format!(": {}", escape::line(&awaited.message))
    };
    let until =
        awaited.deadline.map_or_else(String::new, |deadline| format!(", until {}", when(deadline, now)));
    format!("{name} for approval{message} (since {}{until})", when(awaited.since, now))
}

fn decided(decision: &ApprovalDecision, request: &RequestDetail, now: UtcTime) -> String {
    let job = request.jobs.iter().find(|job| job.id == decision.job_id);
    let name = escape::line(job.map_or(&decision.job_id, |job| &job.name));
    let verb = if decision.approved { "approved" } else { "rejected" };
    let comment = if decision.comment.is_empty() {
        String::new()
    } else {
        format!(": {}", escape::line(&decision.comment))
    };
    format!("{name} {verb} {}{}{comment}", by(&decision.by), when(decision.at, now))
}

fn by(who: &str) -> String {
    if who.is_empty() { String::new() } else { format!("by {} ", escape::line(who)) }
}
