//! etcd, the peer that Capstan is measured beside: three processes at their defaults, through gRPC and its JSON gateway.

mod grpc;
mod messages;

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::Method;
use serde_json::json;

use self::grpc::Grpc;
use crate::{
    calls::Kind,
    http_client::HttpClient,
    load::{Caller, Rotating},
    process::Process,
    scratch::Scratch,
    workload::{self, Workload},
};

/// How many nodes.
const NODES: u16 = 3;
/// How far the peers' ports are from the clients'.
const PEER_PORTS_AFTER: u16 = 100;
/// How long a cluster may take to get ready.
const READY_PATIENCE: Duration = Duration::from_secs(30);
/// How often to look whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A running cluster. Dropped, it is stopped and its data removed.
pub(crate) struct Etcd {
    addresses: Vec<SocketAddr>,
    clients_per_connection: usize,
    /// Stopped before the folder is removed: fields are dropped in this order.
    _nodes: Vec<Process>,
    _scratch: Scratch,
}

/// Which of etcd's ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// gRPC over HTTP/2.
    Grpc,
    /// The JSON gateway over HTTP/1.1.
    Json,
}

impl Etcd {
    /// Starts a cluster on loopback, its client ports from `port` on, its data below `data`. So many gRPC clients of a node
    /// will share one connection to it.
    pub(crate) async fn start(port: u16, data: &Path, clients_per_connection: usize) -> anyhow::Result<Self> {
        let scratch = Scratch::below(data)?;
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let peers: Vec<String> =
            (0..NODES).map(|node| format!("n{node}={}", url(port + PEER_PORTS_AFTER + node))).collect();
        let mut nodes = Vec::new();
        for node in 0..NODES {
            let (client, peer) = (url(port + node), url(port + PEER_PORTS_AFTER + node));
            let name = format!("n{node}");
            let mut command = Command::new("etcd");
            command.arg("--data-dir").arg(scratch.path().join(&name));
            command.args(["--name", &name, "--initial-cluster", &peers.join(",")]);
            command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
            command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
            nodes.push(Process::start(&mut command, &scratch.path().join(format!("{name}.log")))?);
        }
        let addresses: Vec<SocketAddr> =
            (0..NODES).map(|node| ([127, 0, 0, 1], port + node).into()).collect();
        let begun = Instant::now();
        for address in &addresses {
            let mut probe = JsonClient::new(*address);
            while let Err(error) = probe.put("ready?", b"yes").await {
                nodes.iter_mut().try_for_each(Process::check)?;
                if begun.elapsed() > READY_PATIENCE {
                    return Err(error.context(format!("etcd was not ready within {READY_PATIENCE:?}")));
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        // What answered must be these nodes, and not others that hold the ports.
        nodes.iter_mut().try_for_each(Process::check)?;
        Ok(Self { addresses, clients_per_connection, _nodes: nodes, _scratch: scratch })
    }

    /// Writes every key once, so that each read finds something.
    pub(crate) async fn fill(&self) -> anyhow::Result<()> {
        const WRITERS: usize = 64;
        let mut connections = Vec::new();
        for address in &self.addresses {
            connections.push(Grpc::connect(*address).await?);
        }
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let grpc = connections[writer % connections.len()].clone();
            let mut workload = Workload::new(writer as u64);
            writers.spawn(async move {
                for key in (writer..workload::KEYS).step_by(WRITERS) {
                    grpc.put(&workload::name(key), &workload.value()).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(writer) = writers.join_next().await {
            writer??;
        }
        Ok(())
    }

    /// `clients` of them over all nodes.
    pub(crate) async fn spread(
        &self,
        kind: Kind,
        way: Way,
        clients: usize,
    ) -> anyhow::Result<Vec<Rotating<EtcdCaller>>> {
        let mut shared: Vec<Option<(Grpc, usize)>> = vec![None; self.addresses.len()];
        let mut made = 0;
        Rotating::spread(clients, self.addresses.len(), async |node| {
            let address = self.addresses[node];
            let client = match way {
                Way::Json => Client::Json(JsonClient::new(address)),
                Way::Grpc => {
                    let (grpc, users) = match shared[node].take() {
                        Some((grpc, users)) if users < self.clients_per_connection => (grpc, users),
                        _ => (Grpc::connect(address).await?, 0),
                    };
                    shared[node] = Some((grpc.clone(), users + 1));
                    Client::Grpc(grpc)
                }
            };
            made += 1;
            Ok(EtcdCaller { client, workload: Workload::new(made), kind })
        })
        .await
    }
}

/// One client of one node.
pub(crate) struct EtcdCaller {
    client: Client,
    workload: Workload,
    kind: Kind,
}

enum Client {
    Grpc(Grpc),
    Json(JsonClient),
}

impl Caller for EtcdCaller {
    async fn call(&mut self) -> anyhow::Result<()> {
        let key = self.workload.key();
        match (&mut self.client, self.kind) {
            (Client::Grpc(grpc), Kind::Write) => grpc.put(&key, &self.workload.value()).await,
            (Client::Grpc(grpc), Kind::Read) => grpc.get(&key).await,
            (Client::Json(json), Kind::Write) => json.put(&key, &self.workload.value()).await,
            (Client::Json(json), Kind::Read) => json.get(&key).await,
        }
    }
}

/// A client of the JSON gateway.
struct JsonClient(HttpClient);

impl JsonClient {
    fn new(address: SocketAddr) -> Self {
        Self(HttpClient::new(address))
    }

    async fn put(&mut self, key: &str, value: &[u8]) -> anyhow::Result<()> {
        let body = json!({ "key": BASE64_STANDARD.encode(key), "value": BASE64_STANDARD.encode(value) });
        let answer = self.0.succeed(Method::POST, "/v3/kv/put", body.to_string().into()).await;
        answer.map(drop).context("etcd put")
    }

    /// Linearizable, as it is by default.
    async fn get(&mut self, key: &str) -> anyhow::Result<()> {
        let body = Bytes::from(json!({ "key": BASE64_STANDARD.encode(key) }).to_string());
        let answer = self.0.succeed(Method::POST, "/v3/kv/range", body).await.context("etcd range")?;
        ensure!(
            answer.len() > workload::VALUE_BYTES,
            "the key is missing: {}",
            String::from_utf8_lossy(&answer)
        );
        Ok(())
    }
}
