//! `GET /api/v1/requests/{id}/log`: what the tries of a request left behind.

use capstan_model::{archive as model, ids::JobId};

use super::{archive, no_such_request, request_id, requests, shapes};
use crate::{
    answer::Answer,
    call::Head,
    error::{ApiError, InputError},
    read,
    service::Inner,
};

/// Every try that has ended, by job and then by try; `[]` while none has.
pub(crate) async fn of_request(api: &Inner, head: &Head<'_>, id: &str) -> Result<Answer, ApiError> {
    let request = request_id(id)?;
    let view = read::view(&api.parts.cluster, head).await?;
    let found = archive::read(view.clone(), move |view| {
        let logs = model::job_logs(view, request)?;
        let known = !logs.is_empty() || model::request(view.state(), view, request)?.is_some();
        Ok(known.then_some(logs))
    });
    let logs = found.await?.ok_or_else(|| no_such_request(id))?;
    let body: Vec<_> = logs.iter().map(shapes::log).collect();
    Ok(requests::answer(head, &view, &body))
}

/// `…/{job}`: the job's newest try that has ended.
pub(crate) async fn of_job(api: &Inner, head: &Head<'_>, id: &str, job: &str) -> Result<Answer, ApiError> {
    let not_found = || {
        let cut = |text: &str| text.chars().take(100).collect();
        InputError::NoSuchJobLog { id: cut(id), job: cut(job) }
    };
    let request = request_id(id).map_err(|_| not_found())?;
    let job_id: JobId = job.parse().map_err(|_| not_found())?;
    let view = read::view(&api.parts.cluster, head).await?;
    let found = archive::read(view.clone(), move |view| model::newest_job_log(view, request, job_id)).await?;
    let log = found.ok_or_else(not_found)?;
    Ok(requests::answer(head, &view, &shapes::log(&log)))
}
