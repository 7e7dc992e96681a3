//! What runs at this moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Request, State};

/// The body of `GET /api/v1/status/running`. Capstan always sends both parts; upstream sends nulls when nothing
/// runs, which are read as empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunningStatus {
    /// The running jobs, those that sleep between tries included, by the time they started.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub jobs: Vec<JobStatus>,
    /// The running requests, by id.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub requests: BTreeMap<String, Request>,
}

/// One running job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// The request.
    pub request_id: String,
    /// The job within it.
    pub job_id: String,
    /// The job type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of the job's node in the spec.
    pub name: String,
    /// When the job first started in this run of its sequence, in Unix nanoseconds.
    pub started_at: i64,
    /// How far it has come, normally running.
    pub state: State,
    /// What the job says it is doing; omitted when it says nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The try, counted from 1; while it waits between tries, already the next one.
    #[serde(rename = "try")]
    pub try_no: u64,
}

fn null_is_empty<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
