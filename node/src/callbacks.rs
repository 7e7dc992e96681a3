//! Tells those who asked for it that a task is done: a POST to a URL of theirs.

use std::{sync::Arc, time::Duration};

use capstan_model::task::Task;
use futures::future::{BoxFuture, FutureExt};
use serde_json::json;
use tokio::task::spawn_blocking;
use ureq::{
    Agent,
    http::header,
    tls::{RootCerts, TlsConfig},
};

/// How long one call may take in all.
const CALL_MAX: Duration = Duration::from_secs(10);

/// Calls back.
pub trait Callbacks: Send + Sync {
    /// Sends a JSON body to a URL, once, and returns the status of the answer.
    ///
    /// # Errors
    /// There was none; the text may hold what is secret in the URL.
    fn post(&self, url: &str, body: String) -> BoxFuture<'static, Result<u16, String>>;
}

/// Calls over HTTP.
#[derive(Debug, Clone)]
pub struct HttpCallbacks(Agent);

impl Default for HttpCallbacks {
    fn default() -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(CALL_MAX))
            .http_status_as_error(false)
            .user_agent(concat!("capstan/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build());
        Self(Agent::new_with_config(config.build()))
    }
}

impl Callbacks for HttpCallbacks {
    fn post(&self, url: &str, body: String) -> BoxFuture<'static, Result<u16, String>> {
        let request = self.0.post(url).header(header::CONTENT_TYPE, "application/json");
        let called = spawn_blocking(move || request.send(body).map(|answer| answer.status().as_u16()));
        async move { called.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string()) }
            .boxed()
    }
}

/// What is told of a task that is done; the shape is Diego's.
pub(crate) fn body(task: &Arc<Task>) -> Option<String> {
    let outcome = &task.completed()?.outcome;
    let told = json!({
        "task_guid": task.guid.as_str(),
        "failed": outcome.failed,
        "failure_reason": &*outcome.failure_reason,
        "result": &*outcome.result,
        "annotation": &*task.definition.annotation,
        "created_at": task.created_at.0,
    });
    Some(told.to_string())
}
