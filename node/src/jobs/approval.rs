//! `approval`: waits until somebody decides. Its tries begin and end inside apply and never reach a node's actors.

use std::borrow::Cow;

use capstan_model::{
    spec::JobSignature,
    workflow::{
        graph::{CreateError, CreateOutput},
        json::JsonMap,
    },
};
use futures::future::{BoxFuture, FutureExt, ready};

use super::{Description, JobType, Run, RunInput, optional_text_arg};
use crate::executor::Outcome;

/// The longest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// The type `approval`; its arg `message` says what is to be decided.
#[derive(Debug, Clone, Copy)]
pub struct Approval;

impl JobType for Approval {
    fn describe(&self) -> Description {
        Description { name: Cow::Borrowed("approval"), idempotent: true }
    }

    fn signature(&self) -> BoxFuture<'static, JobSignature> {
        ready(JobSignature::needing(&[])).boxed()
    }

    fn create(&self, args: JsonMap) -> BoxFuture<'static, Result<CreateOutput, CreateError>> {
        ready(check(&args).map_err(CreateError::Failed)).boxed()
    }

    fn run(&self, _input: RunInput) -> Run {
        Run::Done(Box::new(Outcome::unmade("an approval is decided, and never run")))
    }
}

fn check(args: &JsonMap) -> Result<CreateOutput, String> {
    let message = optional_text_arg(args, "message")?.unwrap_or_default();
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(format!("arg message has {} bytes, the most is {MESSAGE_BYTES_MAX}", message.len()));
    }
    Ok(CreateOutput::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::tests::args;

    #[test]
    fn a_message_is_a_text_of_some_length_or_none() {
        for good in
            ["{}", r#"{"message":"roll out?"}"#, r#"{"message":null,"other":[1]}"#, r#"{"message":5}"#]
        {
            assert_eq!(check(&args(good)), Ok(CreateOutput::default()), "{good}");
        }
        assert_eq!(check(&args(r#"{"message":[1]}"#)), Err("arg message is [1]: expected text".to_owned()));
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(MESSAGE_BYTES_MAX + 1));
        assert_eq!(check(&args(&long)), Err("arg message has 4097 bytes, the most is 4096".to_owned()));
    }
}
