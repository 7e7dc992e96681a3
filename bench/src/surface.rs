//! The HTTP surface of one store, called without sockets; there is no node around it.

use std::sync::Arc;

use anyhow::ensure;
use bytes::Bytes;
use capstan_api::{
    Api, Parts,
    ports::{InstanceOutput, JobTypes, LiveStatus, MetricsPage, NodeHealth, OutputError, Workflows},
};
use capstan_model::{
    ids::{NodeId, RequestId},
    spec::Specs,
    workflow::graph::{CreateCall, Created},
};
use capstan_node::{clock::SystemClock, entropy::SystemEntropy};
use capstan_raft_store::{
    handle::ClusterHandle,
    peer::{OutputPage, ReadOutput, TryStatus},
};
use futures::future::{self, BoxFuture};
use http::{Request, Response};

/// The surface over a store.
pub(crate) fn over(cluster: &ClusterHandle) -> Api {
    Api::new(Parts {
        cluster: cluster.clone(),
        workflows: Arc::new(Nothing),
        job_types: Arc::new(Nothing),
        live_status: Arc::new(Nothing),
        output: Arc::new(Nothing),
        health: Arc::new(Nothing),
        metrics: Arc::new(Nothing),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        heartbeat_after: capstan_api::HEARTBEAT_AFTER,
    })
}

/// Makes a call.
///
/// # Errors
/// It was not answered with success.
pub(crate) async fn call(api: &Api, request: Request<Bytes>) -> anyhow::Result<Response<Bytes>> {
    let answer = api.call(request).await;
    ensure!(
        answer.status().is_success(),
        "answered {}: {}",
        answer.status(),
        String::from_utf8_lossy(answer.body())
    );
    Ok(answer)
}

/// The rest of the node: no specs, no processes, and always well.
struct Nothing;

impl Workflows for Nothing {
    fn specs(&self) -> Arc<Specs> {
        Arc::new(Specs::load::<&str, &str>([]).expect("no file has no error"))
    }
}

impl JobTypes for Nothing {
    fn create(&self, _: Vec<CreateCall>) -> BoxFuture<'static, Vec<Created>> {
        Box::pin(future::ready(Vec::new()))
    }
}

impl LiveStatus for Nothing {
    fn statuses(&self, _: Vec<NodeId>, _: Option<RequestId>) -> BoxFuture<'static, Vec<TryStatus>> {
        Box::pin(future::ready(Vec::new()))
    }
}

impl InstanceOutput for Nothing {
    fn read(&self, node: NodeId, _: ReadOutput) -> BoxFuture<'static, Result<OutputPage, OutputError>> {
        let reason = "it has no cell".to_owned();
        Box::pin(future::ready(Err(OutputError::Unreachable { node, reason })))
    }
}

impl NodeHealth for Nothing {
    fn not_ready(&self) -> Vec<String> {
        Vec::new()
    }

    fn alarms(&self) -> Vec<String> {
        Vec::new()
    }

    fn draining(&self) -> bool {
        false
    }
}

impl MetricsPage for Nothing {
    fn render(&self) -> String {
        String::new()
    }
}
