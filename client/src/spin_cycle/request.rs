//! A request, its args, and what a caller sends to make one.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{JobChain, State, UtcTime};

/// The body of `POST /api/v1/requests`. Keys it does not know are ignored, `user` among them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CreateRequest {
    /// The name of a sequence that is a request.
    #[serde(rename = "type", alias = "Type", default)]
    pub kind: String,
    /// The args by name; null counts as none.
    #[serde(alias = "Args", default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Map<String, Value>>,
}

/// A request as every answer shows it, with more or fewer of its optional parts.
///
/// A POST answers without chain; a GET has all; a list has neither args nor chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Twenty characters of `[0-9a-v]`.
    pub id: String,
    /// The name of the request's sequence.
    #[serde(rename = "type")]
    pub kind: String,
    /// How far it has come.
    pub state: State,
    /// Who asked for it; empty without authentication.
    pub user: String,
    /// The resolved args; not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<RequestArg>,
    /// When it was created.
    #[serde(rename = "createdAt")]
    pub created_at: UtcTime,
    /// When it began to run; null before.
    #[serde(rename = "startedAt")]
    pub started_at: Option<UtcTime>,
    /// When it ended; null before.
    #[serde(rename = "finishedAt")]
    pub finished_at: Option<UtcTime>,
    /// The jobs and their order; not in lists and not in the answer to a POST.
    #[serde(rename = "JobChain", default, skip_serializing_if = "Option::is_none")]
    pub job_chain: Option<Box<JobChain>>,
    /// How many jobs the chain has.
    #[serde(rename = "totalJobs")]
    pub total_jobs: u64,
    /// How many of them are complete.
    #[serde(rename = "finishedJobs")]
    pub finished_jobs: u64,
    /// The URL of the node that runs it; empty, and then omitted, while none does.
    #[serde(rename = "jrURL", default, skip_serializing_if = "String::is_empty")]
    pub jr_url: String,
}

/// One arg of a request. Keys are capitalised, and all are always there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestArg {
    /// The place among the args of its kind, from 0; always 0 in the request list.
    pub pos: u64,
    /// The arg's name.
    pub name: String,
    /// What the spec says about it.
    pub desc: String,
    /// Whether a caller must, may or cannot give it.
    #[serde(rename = "Type")]
    pub kind: ArgKind,
    /// Whether the caller gave it.
    pub given: bool,
    /// The spec's default, a string for optional args; null for the others.
    pub default: Value,
    /// What the jobs see; null in the request list.
    pub value: Value,
}

/// Whether a caller must, may or cannot give an arg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArgKind {
    /// Must be given.
    Required,
    /// May be given; else it has its default.
    Optional,
    /// Has the spec's value and cannot be given.
    Static,
}

impl fmt::Display for ArgKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Static => "static",
        })
    }
}
