//! The jobs of a request and their order.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};

use super::State;

/// An acyclic graph of jobs with one source and one sink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobChain {
    /// The request the chain belongs to.
    pub request_id: String,
    /// Every job, by id.
    pub jobs: BTreeMap<String, Job>,
    /// The direct successors of each job that has any, by id.
    pub adjacency_list: BTreeMap<String, Vec<String>>,
    /// How far the chain has come.
    pub state: State,
    /// How many jobs are complete.
    pub finished_jobs: u64,
}

/// One job of a chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Four characters, unique within the request.
    pub id: String,
    /// The name of its node in the spec.
    pub name: String,
    /// The job type, which says what is done.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the job type stored when the job was created; base64 in JSON, omitted when empty.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "to_base64",
        deserialize_with = "from_base64"
    )]
    pub bytes: Vec<u8>,
    /// How far the job has come.
    pub state: State,
    /// The args it was created with; omitted when there are none.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
    /// What jobs before it passed on at run time; omitted when there is none.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
    /// How many times it may be tried again.
    pub retry: u64,
    /// The wait between tries, such as `1m30s`; omitted when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub retry_wait: String,
    /// The first job of the sequence it belongs to.
    pub sequence_id: String,
    /// How many times the sequence may be tried again; 0 but on the sequence's first job.
    pub sequence_retry: u64,
    /// The wait between tries of the sequence; omitted when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sequence_retry_wait: String,
}

impl JobChain {
    /// The jobs from source to sink: each after all it depends on, those free to run earlier in the order of
    /// their ids. Jobs of a cycle, which no server makes, are left out.
    pub fn in_order(&self) -> Vec<&Job> {
        let mut waits_for: BTreeMap<&str, usize> = self.jobs.keys().map(|id| (id.as_str(), 0)).collect();
        for successor in self.adjacency_list.values().flatten() {
            if let Some(count) = waits_for.get_mut(successor.as_str()) {
                *count += 1;
            }
        }
        let mut layer: Vec<&str> =
            waits_for.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
        let mut ordered = Vec::with_capacity(self.jobs.len());
        while !layer.is_empty() {
            let mut freed = Vec::new();
            for id in layer {
                ordered.extend(self.jobs.get(id));
                for successor in self.adjacency_list.get(id).into_iter().flatten() {
                    if let Some(count) = waits_for.get_mut(successor.as_str()) {
                        *count -= 1;
                        if *count == 0 {
                            freed.push(successor.as_str());
                        }
                    }
                }
            }
            layer = freed;
        }
        ordered
    }
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    STANDARD.decode(text).map_err(|e| D::Error::custom(format!("not base64: {e}")))
}
