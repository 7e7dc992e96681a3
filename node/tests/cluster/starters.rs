//! Clients that start requests all the time, through any node, and know of each start what it was answered.
//!
//! Every start carries an `Idempotency-Key` and is sent until it is acknowledged, so that there must be as many requests as there were
//! acknowledgements, whatever died meanwhile.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Cluster, until, wire::Wire};

/// How often a starter begins a new start, if the last one is done.
const PACE: Duration = Duration::from_millis(200);
/// How long a starter waits before it sends again what has failed.
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// Starters at work.
pub(crate) struct Starters {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    started: Mutex<Vec<Started>>,
}

/// A start that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Started {
    /// The request's id.
    pub(crate) id: String,
    /// The version of the specs the answer names.
    pub(crate) specs: String,
    /// When it was sent for the first time.
    pub(crate) sent: Instant,
    /// When it was acknowledged.
    pub(crate) answered: Instant,
    /// The node that acknowledged it.
    pub(crate) node: SocketAddr,
    /// Attempts whose outcome the starter could not know.
    pub(crate) unknown: usize,
}

impl Starters {
    /// Starts `per_node` starters for each node, of requests of this type that are held for as many milliseconds as `hold` draws.
    pub(crate) fn start(cluster: &Cluster, per_node: usize, kind: &'static str, hold: fn() -> u64) -> Self {
        let nodes: Vec<_> = cluster.nodes.iter().map(|node| node.http).collect();
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for number in 0..per_node * nodes.len() {
            let (nodes, shared) = (nodes.clone(), Arc::clone(&shared));
            tasks.spawn(async move {
                let mut pace = tokio::time::interval(PACE);
                for round in 0_u64.. {
                    pace.tick().await;
                    if shared.stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let body = json!({ "type": kind, "args": { "hold": hold().to_string() } });
                    let key = format!("starter-{number}-{round}");
                    let started = start(&nodes, number % nodes.len(), &key, &body).await;
                    shared.started.lock().unwrap().push(started);
                }
            });
        }
        Self { shared, tasks }
    }

    /// Waits until so many more starts were acknowledged that name this version.
    pub(crate) async fn progress(&self, starts: usize, specs: &str) {
        let count = || {
            let started = self.shared.started.lock().unwrap();
            started.iter().filter(|started| started.specs == specs).count()
        };
        let wanted = count() + starts;
        until("starters to make progress", async || (count() >= wanted).then_some(())).await;
    }

    /// Stops all starters once their present starts are acknowledged.
    pub(crate) async fn stop(&mut self) -> Vec<Started> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a starter found a broken promise");
        }
        std::mem::take(&mut self.shared.started.lock().unwrap())
    }
}

/// Sends one start until it is acknowledged, to the node at `home` first.
async fn start(nodes: &[SocketAddr], home: usize, key: &str, body: &Value) -> Started {
    let headers = [("Idempotency-Key", key), ("Content-Type", "application/json")];
    let (body, sent) = (body.to_string(), Instant::now());
    let (mut at, mut unknown) = (home, 0);
    loop {
        let node = nodes[at];
        match Wire::to(node).call("POST", "/api/v1/requests", &headers, body.as_bytes()).await {
            Ok(answer) => match answer.status {
                201 => {
                    let told: Value = serde_json::from_slice(&answer.body).unwrap();
                    let id = told["id"].as_str().unwrap().to_owned();
                    let specs = answer.header("x-capstan-specs").unwrap_or_else(|| panic!("{answer:?}"));
                    let specs = specs.to_owned();
                    return Started { id, specs, sent, answered: Instant::now(), node, unknown };
                }
                429 | 503 => {}
                504 => unknown += 1,
                _ => panic!("{key}: {answer:?} {}", answer.text()),
            },
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(_) => unknown += 1,
        }
        at = (at + 1) % nodes.len();
        tokio::time::sleep(RETRY_EVERY).await;
    }
}
