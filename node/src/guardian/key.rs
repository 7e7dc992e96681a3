//! What names a process: the try of a job, or a one-shot call.

use std::fmt;

use capstan_model::{
    ids::{Epoch, JobId, RequestId, TryNo},
    workflow::command::TryId,
};
use serde::{Deserialize, Serialize};

/// Names one start for ever: within an incarnation a key is started at most once. New variants go at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ProcessKey {
    /// A try of a job.
    Try(TryKey),
    /// A one-shot call, such as a plugin's `create`; numbered by the node, never twice in an incarnation.
    Call(u64),
}

/// One try of a job, under the epoch its owner holds the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TryKey {
    /// The request.
    pub request: RequestId,
    /// The job in it.
    pub job: JobId,
    /// The run of that job.
    pub try_no: TryNo,
    /// The ownership under which it was started.
    pub epoch: Epoch,
}

/// The text is unique, and fit to be a file name and the value of `CAPSTAN_KEY`.
impl fmt::Display for ProcessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Try(key) => key.fmt(f),
            Self::Call(number) => write!(f, "call-{number}"),
        }
    }
}

impl fmt::Display for TryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.request, self.job, self.try_no, self.epoch)
    }
}

impl From<&TryId> for TryKey {
    fn from(id: &TryId) -> Self {
        Self { request: id.request, job: id.job, try_no: id.try_no, epoch: id.epoch }
    }
}

impl From<TryKey> for ProcessKey {
    fn from(key: TryKey) -> Self {
        Self::Try(key)
    }
}
