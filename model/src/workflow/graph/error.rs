//! Why a request cannot be built, and where in it.

use std::{fmt, sync::Arc};

use super::CreateError;
use crate::{command::COMMAND_BYTES_MAX, workflow::chain::JOBS_MAX};

/// How many ids are drawn for a job before the building gives up: all of them were taken.
pub(super) const DRAWS_MAX: usize = 100;

/// Why a request cannot be built: the caller's or the spec's doing, but for [`CreateError::Unavailable`], which passes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// No type was given.
    #[error("Type is empty, must be a request name")]
    EmptyType,
    /// No spec has this name.
    #[error("cannot find specs for request: {0}")]
    UnknownType(String),
    /// The spec is not one that callers may start.
    #[error("{0} is not a request")]
    NotARequest(String),
    /// A required arg was not given.
    #[error("required arg '{0}' not set")]
    RequiredArgMissing(Arc<str>),
    /// A static arg was given.
    #[error("static arg '{0}' cannot be given: the spec fixes its value")]
    StaticArgGiven(Arc<str>),
    /// A node was not given an arg, because what should have set it did not.
    #[error("{path}cannot create job {job_type}: missing {arg} from job args")]
    ArgNotSet {
        /// Where, from the request inwards.
        path: NodePath,
        /// The job type or sequence.
        job_type: Arc<str>,
        /// The arg.
        arg: Arc<str>,
    },
    /// A node did not set what its `sets` promise.
    #[error("{path}expected {job_type} to set {arg} in jobargs")]
    SetMissing {
        /// Where, from the request inwards.
        path: NodePath,
        /// The job type or sequence.
        job_type: Arc<str>,
        /// The arg.
        arg: Arc<str>,
    },
    /// A list to expand over is none, or not as long as the others.
    #[error("{path}invalid 'each:': {reason}")]
    Each {
        /// Where, from the request inwards.
        path: NodePath,
        /// What is wrong.
        reason: EachError,
    },
    /// The value that chooses a sequence is no text.
    #[error("{path}'if' arg '{arg}' is not a string")]
    ConditionNotText {
        /// Where, from the request inwards.
        path: NodePath,
        /// The arg.
        arg: Arc<str>,
    },
    /// No sequence is there for the value that chooses, and none for all others.
    #[error("{path}'if: {arg}' value '{value}' does not match any options: {}", options.join(", "))]
    NoBranch {
        /// Where, from the request inwards.
        path: NodePath,
        /// The arg.
        arg: Arc<str>,
        /// Its value.
        value: String,
        /// The values there are, sorted.
        options: Vec<Arc<str>>,
    },
    /// A job's type did not create it.
    #[error("{path}cannot build job: {}", create_failure(.job_type, .name, .error))]
    NotCreated {
        /// Where, from the request inwards.
        path: NodePath,
        /// The job type.
        job_type: Arc<str>,
        /// The node's name.
        name: Arc<str>,
        /// What the type said.
        error: CreateError,
    },
    /// The request would have too many jobs.
    #[error("the request would have more than {JOBS_MAX} jobs")]
    TooManyJobs,
    /// The request would be too large to store: its jobs hold too much.
    #[error("the args and bytes of the request's jobs would be more than {COMMAND_BYTES_MAX} bytes")]
    TooLarge,
    /// No job id was free any more.
    #[error("no job id was free after {DRAWS_MAX} draws")]
    NoJobId,
}

/// What is wrong with lists to expand over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EachError {
    /// The value is no list.
    #[error("arg {arg} is a {kind}, expected a list")]
    NotAList {
        /// The arg.
        arg: Arc<str>,
        /// What it is instead.
        kind: &'static str,
    },
    /// Lists that are gone through in step differ in length.
    #[error("each lists have different lengths")]
    Lengths,
}

/// Where in nested sequences a node stands, outermost first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodePath(pub(super) Vec<(Arc<str>, Arc<str>)>);

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(sequence, node)| write!(f, "in seq {sequence}, node {node}: "))
    }
}

fn create_failure(job_type: &str, name: &str, error: &CreateError) -> String {
    match error {
        CreateError::UnknownType => format!("Error making '{job_type} {name}' job: unknown job type"),
        CreateError::Failed(reason) | CreateError::Unavailable(reason) => {
            format!("Error creating '{job_type} {name}' job: {reason}")
        }
    }
}
