//! `POST /cluster/v1/requests?dry_run`: builds a request as `POST /api/v1/requests` would, and stores nothing. The job types' `create`
//! runs, as there.

use http::StatusCode;
use tokio::time::Instant;

use super::{error::Refusal, plan};
use crate::{
    answer::{self, Answer},
    auth,
    call::Head,
    error::{ApiError, InputError},
    query,
    service::Inner,
    spin_cycle::create,
};

/// Answers what the request would be, to whom may start it.
pub(crate) async fn dry_run(api: &Inner, head: &Head<'_>, body: &[u8]) -> Result<Answer, ApiError> {
    match query::first(head.query, "dry_run").as_deref() {
        Some("" | "true") => {}
        Some(other) => {
            let shown: String = other.chars().take(100).collect();
            let reason = format!("parameter dry_run: {shown:?} is not true");
            return Err(InputError::Query { reason }.into());
        }
        None => return Err(InputError::from(Refusal::NotADryRun).into()),
    }
    let (kind, args) = create::asked(head, body)?;
    let in_use = api.specs_in_use(api.parts.cluster.view().state()).await?;
    auth::requests::may_start(api, head, &in_use.specs, &kind)?;
    let built = create::build_in_time(&api.parts, in_use, (&kind, &args), Instant::now()).await?;
    Ok(answer::json(StatusCode::OK, &plan::of_built(&built)))
}
