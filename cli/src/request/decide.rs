//! `capstan request approve ID [JOB]` and `reject ID [JOB]`.

use capstan_client::{
    ReadOptions,
    cluster::{AwaitedApproval, Decide, RequestDetail},
};

use super::about_request;
use crate::{
    console::Console,
    failure::{Exit, Failure},
    options::{CallOptions, Output},
    text::escape,
};

/// What to decide about.
#[derive(Debug, clap::Args)]
pub struct Decision {
    /// The request's id
    id: String,
    /// The job, by name or id; may be left out when only one waits
    job: Option<String>,
    /// Why; kept in the job's log
    #[arg(short, long, default_value = "")]
    comment: String,
}

pub(super) async fn run(
    Decision { id, job, comment }: Decision,
    approved: bool,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let client = options.client()?;
    let request = client.request_detail(&id, ReadOptions::default()).await.map_err(about_request)?;
    let awaited = choose(&request, job.as_deref())?;
    let decide = Decide { comment, try_no: Some(awaited.try_no) };
    let decided = client.decide_approval(&id, &awaited.job_id, approved, &decide).await;
    let request = decided.map_err(about_request)?;
    if options.output == Output::Json {
        return Ok(console.json(&request)?);
    }
    let verb = if approved { "approved" } else { "rejected" };
    console.line(format!("{verb} {} of {id}", escape::line(&awaited.name)))?;
    Ok(())
}

/// The one job that waits under this name or id, or the only one that waits.
fn choose<'a>(request: &'a RequestDetail, named: Option<&str>) -> Result<&'a AwaitedApproval, Failure> {
    let is_meant = |awaited: &&AwaitedApproval| {
        named.is_none_or(|named| awaited.job_id == named || awaited.name == named)
    };
    let found: Vec<&AwaitedApproval> = request.awaiting.iter().filter(is_meant).collect();
    if let [awaited] = found[..] {
        return Ok(awaited);
    }
    let id = &request.id;
    let what = match (named, found.len()) {
        (None, 0) => format!("no job of {id} waits for approval: it is {}", request.state),
        (Some(named), 0) => format!("no job {named} of {id} waits for approval"),
        (None, _) => format!("several jobs of {id} wait for approval: name one"),
        (Some(named), _) => format!("several jobs {named} of {id} wait for approval: name one by its id"),
    };
    let waiting: Vec<String> =
        request.awaiting.iter().map(|awaited| format!("{} ({})", awaited.job_id, awaited.name)).collect();
    let hint = if waiting.is_empty() {
        format!("capstan request show {id} shows its jobs")
    } else {
        format!("waiting: {}", waiting.join(", "))
    };
    Err(Failure::new(Exit::Refused, what, hint))
}
