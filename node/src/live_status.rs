//! What running jobs say of themselves: gathered from the node that runs them, and from there told to any other.

use std::{sync::Arc, time::Duration};

use capstan_api::ports::LiveStatus;
use capstan_model::{
    ids::{NodeId, RequestId},
    workflow::view::RunningTry,
};
use capstan_raft_store::{
    handle::ClusterHandle,
    peer::{Channel, PeerReply, PeerRequest, Transport, TryStatus},
};
use futures::{
    future::{BoxFuture, FutureExt, join_all, ready},
    stream::{self, Stream, StreamExt},
};
use tokio::time::sleep;

use crate::{
    executor::{Executor, ProcessKey, TryKey},
    jobs::{JobTypes, Run, RunInput},
};

/// How long other nodes are waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long this node looks for what its own tries say; less than others wait for it, so that what was found by then is told.
const LOOK_MAX: Duration = Duration::from_millis(800);
/// How much of a node's tries' words is told at most, in bytes.
const WORDS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many tries of a node are told of at most.
const TRIES_MAX: usize = 4_096;
/// How many status files are looked at side by side.
const LOOKS_AT_ONCE: usize = 32;

/// Knows what the tries of this node say, and asks the others.
#[derive(Clone)]
pub struct Statuses {
    /// The replicated state, which says what runs here.
    pub cluster: ClusterHandle,
    /// What runs processes.
    pub executor: Arc<dyn Executor>,
    /// What jobs can be.
    pub jobs: JobTypes,
    /// The way to the other nodes.
    pub transport: Arc<dyn Transport>,
}

/// Where the words of a try come from.
enum Words {
    Known(&'static str),
    Process(ProcessKey),
}

impl Statuses {
    /// What the tries say that run under this node's present life.
    pub(crate) fn of_this_node(&self, request: Option<RequestId>) -> BoxFuture<'static, Vec<TryStatus>> {
        let view = self.cluster.view();
        let (state, me) = (view.state(), self.cluster.incarnation());
        let sources: Vec<(TryKey, Words)> = match request {
            Some(request) => {
                state.running_of(me, request).filter_map(|r| self.source(&r)).take(TRIES_MAX).collect()
            }
            None => state.running_under(me).filter_map(|r| self.source(&r)).take(TRIES_MAX).collect(),
        };
        let executor = Arc::clone(&self.executor);
        let ask = move |(key, words): (TryKey, Words)| {
            let executor = Arc::clone(&executor);
            async move {
                let status = match words {
                    Words::Known(words) => words.to_owned(),
                    Words::Process(key) => executor.status(key).await?,
                };
                let TryKey { request, job, try_no, .. } = key;
                (!status.is_empty()).then_some(TryStatus { request, job, try_no, status })
            }
        };
        let told = stream::iter(sources).map(ask).buffer_unordered(LOOKS_AT_ONCE);
        within_bounds(told.filter_map(ready)).boxed()
    }

    fn source(&self, running: &RunningTry<'_>) -> Option<(TryKey, Words)> {
        let key = TryKey::from(&running.id);
        let input = RunInput { key, bytes: running.spec.bytes.clone(), job_data: Arc::default() };
        let words = match self.jobs.get(&running.spec.job_type)?.run(input) {
            Run::Process(_) => Words::Process(key.into()),
            Run::Timer { status, .. } => Words::Known(status),
            Run::Done(_) => return None,
        };
        Some((key, words))
    }

    fn of_node(&self, node: NodeId, request: Option<RequestId>) -> BoxFuture<'static, Vec<TryStatus>> {
        if node == self.cluster.node_id() {
            return self.of_this_node(request);
        }
        let asked =
            self.transport.call(node, Channel::Forward, PeerRequest::LiveStatus { request }, PATIENCE);
        async move {
            match asked.await {
                Ok(PeerReply::LiveStatus(told)) => told,
                Ok(other) => {
                    tracing::debug!(%node, ?other, "a node does not tell what runs there");
                    Vec::new()
                }
                Err(error) => {
                    tracing::debug!(%node, %error, "a node was not asked what runs there");
                    Vec::new()
                }
            }
        }
        .boxed()
    }
}

/// What is told in time, and as much of it as is not too much.
async fn within_bounds(told: impl Stream<Item = TryStatus>) -> Vec<TryStatus> {
    let in_time = told.take_until(sleep(LOOK_MAX));
    let bounded = in_time.scan(0, |bytes, told| {
        *bytes += told.status.len();
        ready((*bytes <= WORDS_BYTES_MAX).then_some(told))
    });
    bounded.collect().await
}

impl LiveStatus for Statuses {
    fn statuses(
        &self,
        owners: Vec<NodeId>,
        request: Option<RequestId>,
    ) -> BoxFuture<'static, Vec<TryStatus>> {
        let asked: Vec<_> = owners.into_iter().map(|node| self.of_node(node, request)).collect();
        join_all(asked).map(|told| told.into_iter().flatten().collect()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use capstan_model::ids::{JobId, TryNo};

    use super::*;

    fn told(bytes: usize) -> TryStatus {
        let (request, job) = (RequestId([1; 12]), JobId(*b"job1"));
        TryStatus { request, job, try_no: TryNo(1), status: "x".repeat(bytes) }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_in_time_is_kept() {
        let hanging = stream::iter([told(1), told(2)]).chain(stream::pending());
        assert_eq!(within_bounds(hanging).await, [told(1), told(2)]);
    }

    #[tokio::test]
    async fn words_are_bounded_in_all() {
        let half = WORDS_BYTES_MAX / 2;
        let many = stream::iter([told(half), told(half), told(1), told(1)]);
        assert_eq!(within_bounds(many).await.len(), 2);
    }
}
