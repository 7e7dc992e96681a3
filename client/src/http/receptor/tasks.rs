//! Calls about tasks.

use http::Method;

use super::super::{Client, ReadOptions, error::CallError, segment};
use crate::receptor::{Task, TaskCreate};

impl Client {
    /// Makes a task. One that exists is a refusal with status 409.
    pub async fn create_task(&self, create: &TaskCreate) -> Result<(), CallError> {
        let call = self.keyed(Method::POST, "/v1/tasks".to_owned()).with_json(create);
        self.call(&call).await.map(drop)
    }

    /// Lists tasks: of one domain, or all.
    pub async fn tasks(&self, domain: Option<&str>) -> Result<Vec<Task>, CallError> {
        self.list("/v1/tasks".to_owned(), domain).await
    }

    /// Reads a task; an unknown one is a refusal with status 404.
    pub async fn task(&self, guid: &str) -> Result<Task, CallError> {
        self.read_json(path(guid)?, Vec::new(), ReadOptions::default()).await
    }

    /// Ends a task before its time. One that has ended is a refusal with status 409.
    pub async fn cancel_task(&self, guid: &str) -> Result<(), CallError> {
        let path = format!("{}/cancel", path(guid)?);
        self.call(&self.keyed(Method::POST, path)).await.map(drop)
    }

    /// Forgets a task that has ended. One that has not is a refusal with status 409.
    pub async fn delete_task(&self, guid: &str) -> Result<(), CallError> {
        self.call(&self.keyed(Method::DELETE, path(guid)?)).await.map(drop)
    }
}

fn path(guid: &str) -> Result<String, CallError> {
    Ok(format!("/v1/tasks/{}", segment(guid)?))
}
