//! The calls on Capstan's HTTP API that are measured.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Method;

use crate::{
    http_client::HttpClient,
    load::{Caller, Rotating},
    workload::{self, Workload},
};

/// Which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `PUT /cluster/v1/variables/{name}`.
    Write,
    /// `GET /cluster/v1/variables/{name}`, linearizable as it is by default.
    Read,
}

/// One client of one node.
pub(crate) struct NodeCaller {
    http: HttpClient,
    workload: Workload,
    kind: Kind,
}

impl NodeCaller {
    /// `clients` of them over all nodes.
    pub(crate) async fn spread(
        kind: Kind,
        clients: usize,
        nodes: &[SocketAddr],
    ) -> anyhow::Result<Vec<Rotating<Self>>> {
        let mut made = 0;
        Rotating::spread(clients, nodes.len(), async |node| {
            made += 1;
            Ok(Self { http: HttpClient::new(nodes[node]), workload: Workload::new(made), kind })
        })
        .await
    }
}

impl Caller for NodeCaller {
    async fn call(&mut self) -> anyhow::Result<()> {
        let path = path(&self.workload.key());
        let answer = match self.kind {
            Kind::Write => self.http.succeed(Method::PUT, &path, self.workload.value()).await,
            Kind::Read => {
                let value = self.http.succeed(Method::GET, &path, Bytes::new()).await;
                value.inspect(|value| debug_assert_eq!(value.len(), workload::VALUE_BYTES))
            }
        };
        answer.map(drop)
    }
}

/// Where a variable is.
pub(crate) fn path(name: &str) -> String {
    format!("/cluster/v1/variables/{name}")
}

/// Writes every key once, so that each read finds something.
pub(crate) async fn fill(nodes: &[SocketAddr]) -> anyhow::Result<()> {
    const WRITERS: usize = 64;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let mut http = HttpClient::new(nodes[writer % nodes.len()]);
        let mut workload = Workload::new(writer as u64);
        writers.spawn(async move {
            for key in (writer..workload::KEYS).step_by(WRITERS) {
                http.succeed(Method::PUT, &path(&workload::name(key)), workload.value()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    Ok(())
}
