//! Creates the jobs of a new request for the API.

use std::sync::Arc;

use capstan_api::ports;
use capstan_model::workflow::graph::{CreateCall, CreateError, CreateOutput, Created};
use futures::{
    future::{BoxFuture, FutureExt},
    stream::{self, StreamExt},
};

use super::JobTypes;

/// How many calls for one request run side by side: each may be a process, and other requests have theirs.
const CALLS_AT_ONCE: usize = 32;

impl ports::JobTypes for JobTypes {
    fn create(&self, calls: Vec<CreateCall>) -> BoxFuture<'static, Vec<Created>> {
        let types = self.clone();
        let create = move |call: CreateCall| {
            let found = types.get(&call.job_type).map(Arc::clone);
            async move {
                let result = match found {
                    None => Err(CreateError::UnknownType),
                    Some(job_type) => {
                        let made = job_type.create(call.args).await;
                        made.map(|output| CreateOutput {
                            idempotent: job_type.describe().idempotent,
                            ..output
                        })
                    }
                };
                Created { job: call.job, result }
            }
        };
        stream::iter(calls).map(create).buffer_unordered(CALLS_AT_ONCE).collect().boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        borrow::Cow,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use capstan_model::{ids::JobId, spec::JobSignature, workflow::json::JsonMap};
    use futures::future::ready;
    use ports::JobTypes as _;

    use super::*;
    use crate::jobs::{Description, JobType, Run, RunInput, tests::args};

    /// Counts how many of its calls run side by side.
    #[derive(Default)]
    struct Crowd {
        inside: Arc<AtomicUsize>,
        inside_max: Arc<AtomicUsize>,
    }

    impl JobType for Crowd {
        fn describe(&self) -> Description {
            Description { name: Cow::Borrowed("crowd"), idempotent: false }
        }

        fn signature(&self) -> BoxFuture<'static, JobSignature> {
            ready(JobSignature::needing(&[])).boxed()
        }

        fn create(&self, _args: JsonMap) -> BoxFuture<'static, Result<CreateOutput, CreateError>> {
            let (inside, inside_max) = (Arc::clone(&self.inside), Arc::clone(&self.inside_max));
            async move {
                inside_max.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                Ok(CreateOutput::default())
            }
            .boxed()
        }

        fn run(&self, _input: RunInput) -> Run {
            unreachable!("it is only created")
        }
    }

    fn call(job: &[u8; 4], job_type: &str, object: &str) -> CreateCall {
        CreateCall { job: JobId(*job), job_type: job_type.into(), name: "node".into(), args: args(object) }
    }

    #[tokio::test]
    async fn each_call_is_answered() {
        let calls = vec![
            call(b"aaaa", "sleep", r#"{"duration":"5"}"#),
            call(b"bbbb", "sleep", "{}"),
            call(b"cccc", "host/stop", "{}"),
        ];
        let mut created = JobTypes::built_in().create(calls).await;
        created.sort_by_key(|created| created.job);
        assert_eq!(created[0].result.as_ref().unwrap().bytes, &br#"{"duration":5000000}"#[..]);
        let refused = Err(CreateError::Failed("required arg duration is not set".into()));
        assert_eq!(created[1].result, refused);
        assert_eq!(created[2].result, Err(CreateError::UnknownType));
    }

    #[tokio::test]
    async fn not_all_calls_run_at_once() {
        let crowd = Crowd::default();
        let inside_max = Arc::clone(&crowd.inside_max);
        let mut types = JobTypes::built_in();
        types.add(Arc::new(crowd));
        let calls = (0..100).map(|_| call(b"aaaa", "crowd", "{}")).collect();
        assert_eq!(types.create(calls).await.len(), 100);
        assert_eq!(inside_max.load(Ordering::SeqCst), CALLS_AT_ONCE);
    }
}
