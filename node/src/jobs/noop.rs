//! `noop`: does nothing. Its tries begin and end inside apply and never reach a node's actors.

use std::borrow::Cow;

use capstan_model::{
    spec::JobSignature,
    time::Timestamp,
    workflow::{
        command::TryEnd,
        graph::{CreateError, CreateOutput},
        json::JsonMap,
    },
};
use futures::future::{BoxFuture, FutureExt, ready};

use super::{Description, JobType, Run, RunInput};
use crate::executor::Outcome;

/// The type `noop`.
#[derive(Debug, Clone, Copy)]
pub struct Noop;

impl JobType for Noop {
    fn describe(&self) -> Description {
        Description { name: Cow::Borrowed("noop"), idempotent: true }
    }

    fn signature(&self) -> BoxFuture<'static, JobSignature> {
        ready(JobSignature::needing(&[])).boxed()
    }

    fn create(&self, _args: JsonMap) -> BoxFuture<'static, Result<CreateOutput, CreateError>> {
        ready(Ok(CreateOutput::default())).boxed()
    }

    fn run(&self, _input: RunInput) -> Run {
        Run::Done(Box::new(Outcome::plain(TryEnd::Complete, Timestamp::ZERO, Timestamp::ZERO)))
    }
}
