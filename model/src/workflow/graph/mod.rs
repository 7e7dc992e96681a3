//! Expands a request into its chain: a pure machine, fed with what the job types' `create` answer.
//!
//! A [`Builder`] walks the request's sequence and those it calls, each node once all it depends on is built
//! (`reference/spin-cycle.md` 3.2). Jobs that need their type's `create` are handed out by [`Builder::step`]
//! in as large groups as the order allows, and may be answered in any order; the chain does not depend on it.
//!
//! A sequence called by node `n` becomes `sequence_n_begin → S_begin → … → S_end → sequence_n_end`, all of
//! them real jobs of type `noop`; the request itself becomes `request_R_begin → R_begin → … → R_end →
//! request_R_end`, the choice of a conditional `conditional_n_begin → …`. A node that is expanded over lists of several
//! elements becomes its expansions side by side between two pairs of `repeat_n_begin` and `repeat_n_end`, over empty
//! ones `noop_n_begin → noop_n_end`, and over lists of one element what it is without `each`.
//!
//! A request is bounded before it is built: its jobs by [`super::chain::JOBS_MAX`], what they hold by the size of a command.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    chain::ValidChain,
    command::{CreateRequest, RequestArg},
    json::JsonMap,
};
use crate::ids::{JobId, RequestId};

mod args;
mod builder;
mod calls;
mod each;
mod error;
mod plan;

pub use self::{
    builder::Builder,
    error::{BuildError, EachError, NodePath},
};

/// What the builder needs, has, or refuses.
#[derive(Debug)]
pub enum Step {
    /// These jobs are to be created before it can go on. Empty while others are still out.
    Need(Vec<CreateCall>),
    /// The chain is complete.
    Done(Box<Built>),
    /// Nothing can be built; the builder is used up.
    Refused(BuildError),
}

/// A job that its type has to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateCall {
    /// The job's id; the answer repeats it.
    pub job: JobId,
    /// Its type.
    pub job_type: Arc<str>,
    /// Its node's name.
    pub name: Arc<str>,
    /// Its args, and nothing else of the request's.
    pub args: JsonMap,
}

/// What a job type answered.
#[derive(Debug, Clone)]
pub struct Created {
    /// The job that was to be created.
    pub job: JobId,
    /// How it went.
    pub result: Result<CreateOutput, CreateError>,
}

/// A job that was created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateOutput {
    /// Args it added or changed; they are seen by others only through `sets`.
    pub args: JsonMap,
    /// What it stored for its runs; opaque.
    pub bytes: Bytes,
    /// Whether its type says that it does no harm to run it again when nobody knows how far it came.
    pub idempotent: bool,
}

/// Why a job was not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// No node offers the type.
    #[error("unknown job type")]
    UnknownType,
    /// The type refused.
    #[error("{0}")]
    Failed(String),
    /// The node cannot ask the type just now; the same call may be answered later.
    #[error("{0}")]
    Unavailable(String),
}

/// A request that was built, without its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The name of its spec.
    pub request_type: Arc<str>,
    /// Its args, as they are recorded.
    pub args: Vec<RequestArg>,
    /// Its jobs and their order.
    pub chain: ValidChain,
}

impl Built {
    /// The command that stores it.
    pub fn into_request(self, id: RequestId, user: Arc<str>) -> CreateRequest {
        let Self { request_type, args, chain } = self;
        CreateRequest { id, request_type, user, args, chain, specs: None }
    }
}
