//! Calls about requests, under the Spin Cycle API and, for what goes beyond it, under Capstan's own.

use http::{HeaderName, Method};
use serde_json::{Map, Value};

use super::{
    Client, ReadOptions,
    call::{Call, Repeat},
    error::CallError,
    segment,
};
use crate::{
    cluster::{Decide, RequestDetail, RequestPlan, RetryRequest},
    spin_cycle::{CreateRequest, JobLogEntry, Request, RequestFilter, RequestListEntry, RunningStatus},
};

/// One page of a list of requests.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestPage {
    /// Newest first, without args and chains.
    pub requests: Vec<Request>,
    /// What to pass as `after` for the next page; `None` when nothing is behind this one.
    pub next: Option<String>,
}

impl Client {
    /// Lists what may be started, sorted by name.
    pub async fn request_list(&self) -> Result<Vec<RequestListEntry>, CallError> {
        self.read_json("/api/v1/request-list".to_owned(), Vec::new(), ReadOptions::default()).await
    }

    /// Starts a request. Carries an `Idempotency-Key` unless the options say otherwise, so that a lost answer does not
    /// start it twice.
    pub async fn create_request(&self, create: &CreateRequest) -> Result<Request, CallError> {
        let call = self.keyed(Method::POST, "/api/v1/requests".to_owned()).with_json(create);
        self.call(&call).await?.json()
    }

    /// Lists requests, newest first, without args and chains.
    pub async fn requests(
        &self,
        filter: &RequestFilter,
        options: ReadOptions,
    ) -> Result<Vec<Request>, CallError> {
        // Upstream answers null when nothing matches.
        let found: Option<Vec<Request>> =
            self.read_json("/api/v1/requests".to_owned(), filter.to_query(), options).await?;
        Ok(found.unwrap_or_default())
    }

    /// Lists one page of requests, as [`Client::requests`] does, and where the next begins.
    pub async fn requests_page(
        &self,
        filter: &RequestFilter,
        options: ReadOptions,
    ) -> Result<RequestPage, CallError> {
        let mut call = Call::read("/api/v1/requests".to_owned(), options);
        call.query.extend(filter.to_query());
        let answer = self.call(&call).await?;
        let found: Option<Vec<Request>> = answer.json()?;
        Ok(RequestPage { requests: found.unwrap_or_default(), next: answer.header(&next_header()) })
    }

    /// Reads a request with its args and chain; an unknown one is a refusal with status 404.
    pub async fn request(&self, id: &str, options: ReadOptions) -> Result<Request, CallError> {
        self.read_json(path(id)?, Vec::new(), options).await
    }

    /// Stops a request. Returns when it has ended, or after about 3 s while the stop goes on; a finished request is
    /// left as it is.
    pub async fn stop_request(&self, id: &str) -> Result<(), CallError> {
        let call = Call::new(Method::PUT, format!("{}/stop", path(id)?), Repeat::Harmless);
        self.call(&call).await.map(drop)
    }

    /// Reads a request with what it has beyond Spin Cycle; an unknown one is a refusal with status 404.
    pub async fn request_detail(&self, id: &str, options: ReadOptions) -> Result<RequestDetail, CallError> {
        self.read_json(cluster_path(id)?, Vec::new(), options).await
    }

    /// Lets nothing of a request start; what runs goes on to its end. Carries an `Idempotency-Key` unless the options say otherwise, so
    /// that a lost answer does not pause it again after somebody else has resumed it.
    pub async fn pause_request(&self, id: &str) -> Result<RequestDetail, CallError> {
        let call = self.keyed(Method::PUT, format!("{}/pause", cluster_path(id)?));
        self.call(&call).await?.json()
    }

    /// Lets a paused request go on. Carries an `Idempotency-Key` unless the options say otherwise, as [`Client::pause_request`] does.
    pub async fn resume_request(&self, id: &str) -> Result<RequestDetail, CallError> {
        let call = self.keyed(Method::PUT, format!("{}/resume", cluster_path(id)?));
        self.call(&call).await?.json()
    }

    /// Decides about a job that waits for it. Carries an `Idempotency-Key` unless the options say otherwise, so that a lost answer
    /// does not decide about a later try.
    pub async fn decide_approval(
        &self,
        id: &str,
        job: &str,
        approved: bool,
        decide: &Decide,
    ) -> Result<RequestDetail, CallError> {
        let verb = if approved { "approve" } else { "reject" };
        let path = format!("{}/jobs/{}/{verb}", cluster_path(id)?, segment(job)?);
        self.call(&self.keyed(Method::POST, path).with_json(decide)).await?.json()
    }

    /// Asks what a request would be; nothing is stored. The job types' `create` runs.
    pub async fn dry_run(&self, create: &CreateRequest) -> Result<RequestPlan, CallError> {
        let mut call = Call::new(Method::POST, "/cluster/v1/requests".to_owned(), Repeat::Harmless);
        call.query.push(("dry_run", "true".to_owned()));
        self.call(&call.with_json(create)).await?.json()
    }

    /// Goes on with a finished request, with other args where they are given. Carries an `Idempotency-Key` unless the options say
    /// otherwise.
    pub async fn retry_request(
        &self,
        id: &str,
        args: Map<String, Value>,
    ) -> Result<RequestDetail, CallError> {
        let path = format!("{}/retry", cluster_path(id)?);
        let retry = RetryRequest { args, preview: false };
        self.call(&self.keyed(Method::POST, path).with_json(&retry)).await?.json()
    }

    /// Asks what [`Client::retry_request`] would keep and run.
    pub async fn preview_retry(&self, id: &str, args: Map<String, Value>) -> Result<RequestPlan, CallError> {
        let call = Call::new(Method::POST, format!("{}/retry", cluster_path(id)?), Repeat::Harmless);
        self.call(&call.with_json(&RetryRequest { args, preview: true })).await?.json()
    }

    /// Reads what every try of every job of a request left behind, by job id, then try.
    pub async fn request_log(&self, id: &str, options: ReadOptions) -> Result<Vec<JobLogEntry>, CallError> {
        self.read_json(format!("{}/log", path(id)?), Vec::new(), options).await
    }

    /// Reads what the newest try of one job left behind; 404 when it has none yet.
    pub async fn job_log(&self, id: &str, job: &str, options: ReadOptions) -> Result<JobLogEntry, CallError> {
        self.read_json(format!("{}/log/{}", path(id)?, segment(job)?), Vec::new(), options).await
    }

    /// Reads what runs now: everything, or of one request. An unknown or finished request has nothing running.
    pub async fn running(
        &self,
        request: Option<&str>,
        options: ReadOptions,
    ) -> Result<RunningStatus, CallError> {
        let query = request.map(|id| ("requestId", id.to_owned())).into_iter().collect();
        self.read_json("/api/v1/status/running".to_owned(), query, options).await
    }
}

fn next_header() -> HeaderName {
    HeaderName::from_static("x-capstan-next")
}

fn cluster_path(id: &str) -> Result<String, CallError> {
    Ok(format!("/cluster/v1/requests/{}", segment(id)?))
}

fn path(id: &str) -> Result<String, CallError> {
    Ok(format!("/api/v1/requests/{}", segment(id)?))
}
