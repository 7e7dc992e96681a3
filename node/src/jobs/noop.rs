//! `noop`: does nothing. Its tries begin and end inside apply and never reach a node's actors.

use std::borrow::Cow;

use capstan_model::time::Timestamp;
use futures::future::{BoxFuture, FutureExt, ready};

use super::{Args, Created, Description, JobType, Run, RunInput};
use crate::executor::{Outcome, Verdict};

/// The type `noop`.
#[derive(Debug, Clone, Copy)]
pub struct Noop;

impl JobType for Noop {
    fn describe(&self) -> Description {
        Description { name: Cow::Borrowed("noop"), takes_slot: false, idempotent: true }
    }

    fn create(&self, _args: Args) -> BoxFuture<'static, Result<Created, String>> {
        ready(Ok(Created::default())).boxed()
    }

    fn run(&self, _input: RunInput) -> Run {
        Run::Done(Box::new(Outcome::plain(Verdict::Complete, (Timestamp::ZERO, Timestamp::ZERO))))
    }
}
