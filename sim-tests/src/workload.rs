//! Clients that read and write variables through any node, by HTTP calls as a client makes them.

mod keys;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use capstan_client::{
    IDEMPOTENCY_HEADER, INDEX_HEADER,
    cluster::{VariableList, VariablePut},
};
use http::{Method, Request, Response, StatusCode, header};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};

use self::keys::{Answered, Told};
use crate::{
    history::{Call, Listed, Operation, Outcome},
    net::{Net, NoResponse, Place},
    oracle::Oracle,
    trace::Trace,
};

/// How long a client waits for a response: longer than a node does for an outcome.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a write is sent under one idempotency key.
const ATTEMPTS_MAX: u32 = 4;
/// How likely a write under a key is sent twice at once, through two nodes.
const TWICE_ODDS: f64 = 0.1;
/// How likely a client looks at what it has written at once, through any node.
const LOOK_ODDS: f64 = 0.25;

/// How busy the clients are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// How many clients there are.
    pub clients: u64,
    /// How many variables they share.
    pub keys: u64,
    /// The longest pause between two calls of a client.
    #[serde(with = "humantime_serde")]
    pub think_max: Duration,
}

/// What all clients share.
#[derive(Clone)]
pub struct Workload {
    net: Arc<Net>,
    oracle: Arc<Oracle>,
    trace: Arc<Trace>,
    history: Rc<RefCell<Vec<Operation>>>,
    /// What was answered under a key.
    answered: Rc<RefCell<Vec<Answered>>>,
    /// How many clients there were so far.
    clients: Rc<Cell<u64>>,
    is_closed: Rc<Cell<bool>>,
}

/// How a call is sent.
#[derive(Debug, Clone, Default)]
struct Sending {
    /// Under which key, if any; then it may be sent again.
    idempotency_key: Option<String>,
    /// Whether other calls are made under this key.
    is_shared: bool,
}

/// One client.
pub struct Client {
    id: u64,
    /// Names it among all clients of the run, in its values and keys.
    number: u64,
    rng: SmallRng,
    workload: Workload,
    /// Counts its calls.
    calls: u64,
    /// The highest log index it was told.
    index: u64,
    /// A revision it saw, to be used as a condition.
    revision: u64,
    /// How likely a write carries an idempotency key, so that it can be sent again.
    key_odds: f64,
}

impl Workload {
    /// Nothing was called yet.
    pub fn new(net: Arc<Net>, oracle: Arc<Oracle>, trace: Arc<Trace>) -> Self {
        let (history, answered, clients, is_closed) = Default::default();
        Self { net, oracle, trace, history, answered, clients, is_closed }
    }

    /// A client whose choices follow from the seed.
    pub fn client(&self, id: u64, seed: u64) -> Client {
        self.clients.set(self.clients.get() + 1);
        Client {
            id,
            number: self.clients.get(),
            rng: SmallRng::seed_from_u64(seed),
            workload: self.clone(),
            calls: 0,
            index: 0,
            revision: 0,
            key_odds: 0.8,
        }
    }

    /// Lets no client begin another call.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
    }

    /// A call that is made again has the first answer.
    fn compare(&self, call: &Call, idempotency_key: &str, first: &Told, again: &Told) {
        if first != again {
            let found =
                format!("{call:?} under {idempotency_key} was answered {first:?}, and then {again:?}");
            self.oracle.violated("a call that is made again under its key has the first answer", found);
        }
    }

    /// Every call that has ended, and with an unknown outcome those that have not.
    pub fn history(&self) -> Vec<Operation> {
        self.history.borrow().clone()
    }
}

/// The name of a variable.
pub fn key(number: u64) -> String {
    format!("key-{number}")
}

impl Client {
    /// Sends every write under an idempotency key.
    #[must_use]
    pub fn always_with_key(self) -> Self {
        Self { key_odds: 1.0, ..self }
    }

    /// A client that sends every write once, through the node that it is told.
    #[must_use]
    pub fn never_with_key(self) -> Self {
        Self { key_odds: 0.0, ..self }
    }

    /// Calls until the workload is closed.
    pub async fn run(mut self, load: Load) {
        while !self.workload.is_closed.get() {
            tokio::time::sleep(self.rng.random_range(Duration::ZERO..=load.think_max)).await;
            let key = key(self.rng.random_range(0..load.keys));
            match self.rng.random_range(0..40) {
                0..2 => self.repeat_some().await,
                2 => self.reuse_some().await,
                3 => self.race(&key).await,
                _ => {
                    let call = self.choose();
                    let node = self.rng.random_range(self.workload.net.nodes());
                    let outcome = self.call(node, &key, call).await;
                    if matches!(outcome, Outcome::Put { .. }) && self.rng.random_bool(LOOK_ODDS) {
                        let node = self.rng.random_range(self.workload.net.nodes());
                        self.call(node, &key, Call::Get).await;
                    }
                }
            }
        }
    }

    /// Makes one call, beginning at a node, and adds it to the history.
    pub async fn call(&mut self, node: Place, key: &str, call: Call) -> Outcome {
        self.calls += 1;
        let is_write = matches!(call, Call::Put { .. } | Call::Delete);
        let has_key = is_write && self.rng.random_bool(self.key_odds);
        let idempotency_key = has_key.then(|| format!("{}-{}", self.number, self.calls));
        self.call_as(node, key, call, &Sending { idempotency_key, is_shared: false }).await
    }

    /// Puts a value that nobody else ever puts.
    pub(crate) async fn put_new(&mut self, node: Place, key: &str) -> Outcome {
        let value = self.new_value();
        self.call(node, key, Call::Put { value, if_revision: None }).await
    }

    async fn call_as(&mut self, node: Place, key: &str, call: Call, sending: &Sending) -> Outcome {
        let place = self.begin(key, &call);
        let (outcome, index) = self.attempt(node, key, &call, sending).await;
        if outcome == Outcome::KeyReused && !sending.is_shared {
            let found = format!("{call:?} of {key}, {sending:?}");
            self.workload
                .oracle
                .violated("a key that was used for one call is refused to others only", found);
        }
        self.end(place, outcome.clone(), index);
        outcome
    }

    /// Adds a call to the history, with an unknown outcome for now.
    fn begin(&self, key: &str, call: &Call) -> usize {
        let mut history = self.workload.history.borrow_mut();
        history.push(Operation {
            client: self.id,
            key: key.to_owned(),
            call: call.clone(),
            invoked_us: self.workload.trace.now_us(),
            returned_us: u64::MAX,
            outcome: Outcome::Unknown,
            index: 0,
        });
        history.len() - 1
    }

    fn end(&mut self, place: usize, outcome: Outcome, index: u64) {
        self.index = self.index.max(index);
        if let Outcome::Put { revision, .. } | Outcome::Found { revision, .. } = outcome {
            self.revision = revision;
        }
        let mut history = self.workload.history.borrow_mut();
        let operation = &mut history[place];
        operation.index = index;
        if outcome != Outcome::Unknown {
            operation.returned_us = self.workload.trace.now_us();
        }
        let told = format!("{} {:?} {outcome:?}", operation.key, operation.call);
        operation.outcome = outcome;
        self.workload.trace.event(0, "operation", &[self.id, index], told.as_bytes());
    }

    fn choose(&mut self) -> Call {
        let value = self.new_value();
        match self.rng.random_range(0..20) {
            0..8 => Call::Put { value, if_revision: None },
            8..11 => Call::Put { value, if_revision: Some(self.revision) },
            11..13 => Call::Delete,
            13..17 => Call::Get,
            17 => Call::List,
            _ => Call::GetStale { at_least: self.index },
        }
    }

    /// Sends a call, a write again and again under its key until its outcome is known or the attempts are used up.
    async fn attempt(&mut self, first: Place, key: &str, call: &Call, sending: &Sending) -> (Outcome, u64) {
        let at = self.workload.oracle.committed_state().log_time();
        let idempotency_key = sending.idempotency_key.as_deref();
        let attempts = if idempotency_key.is_some() { ATTEMPTS_MAX } else { 1 };
        let mut node = first;
        let mut is_open = false;
        for _ in 0..attempts {
            let is_twice = idempotency_key.is_some() && self.rng.random_bool(TWICE_ODDS);
            let other = is_twice.then(|| self.rng.random_range(self.workload.net.nodes()));
            let nodes: Vec<Place> = std::iter::once(node).chain(other).collect();
            let net = &self.workload.net;
            let sent =
                nodes.into_iter().map(|node| net.http(node, request(key, call, idempotency_key), PATIENCE));
            let mut known: Option<(Outcome, u64, Told)> = None;
            for response in futures::future::join_all(sent).await {
                let told = match &response {
                    Ok(response) => self.understand(call, response),
                    Err(NoResponse::Refused) => (Outcome::NotDone, 0),
                    Err(NoResponse::Silence) => (Outcome::Unknown, 0),
                };
                match (told, response) {
                    ((Outcome::Unknown, _), _) => is_open = true,
                    ((Outcome::NotDone, _), _) | (_, Err(_)) => {}
                    ((outcome, index), Ok(response)) => {
                        let again = Told::new(&response);
                        match (&known, idempotency_key) {
                            (Some((_, _, first)), Some(name)) => {
                                self.workload.compare(call, name, first, &again);
                            }
                            _ => known = Some((outcome, index, again)),
                        }
                    }
                }
            }
            if let Some((outcome, index, told)) = known {
                if outcome != Outcome::KeyReused {
                    self.keep(at, key, call, sending, told);
                }
                return (outcome, index);
            }
            node = self.rng.random_range(self.workload.net.nodes());
        }
        (if is_open { Outcome::Unknown } else { Outcome::NotDone }, 0)
    }

    /// Reads an answer as its status code says.
    fn understand(&self, call: &Call, response: &Response<Bytes>) -> (Outcome, u64) {
        let number = |name: &str| {
            let text = response.headers().get(name).and_then(|value| value.to_str().ok());
            text.and_then(|text| text.trim_matches('"').parse::<u64>().ok())
        };
        let index = number(INDEX_HEADER).unwrap_or(0);
        let is_read = matches!(call, Call::Get | Call::GetStale { .. });
        let listed = |list: VariableList| {
            let listed = list.variables.into_iter();
            let listed = listed.map(|it| Listed { key: it.name, revision: it.revision, size: it.size });
            list.next.is_none().then(|| Outcome::Listed(listed.collect()))
        };
        let outcome = match (response.status(), call) {
            (status @ (StatusCode::OK | StatusCode::CREATED), Call::Put { .. }) => {
                let put: Option<VariablePut> = serde_json::from_slice(response.body()).ok();
                put.map(|put| Outcome::Put { revision: put.revision, created: status == StatusCode::CREATED })
            }
            (StatusCode::OK, Call::List) => serde_json::from_slice(response.body()).ok().and_then(listed),
            (StatusCode::OK, _) if is_read => number(header::ETAG.as_str())
                .map(|revision| Outcome::Found { value: response.body().clone(), revision }),
            (StatusCode::NO_CONTENT, Call::Delete) => Some(Outcome::Deleted),
            (StatusCode::NOT_FOUND, Call::Delete | Call::Get | Call::GetStale { .. }) => {
                Some(Outcome::Absent)
            }
            (StatusCode::PRECONDITION_FAILED, Call::Put { .. }) => Some(Outcome::Mismatch),
            (StatusCode::UNPROCESSABLE_ENTITY, Call::Put { .. }) => Some(Outcome::KeyReused),
            (StatusCode::GATEWAY_TIMEOUT, _) => Some(Outcome::Unknown),
            (
                StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::INSUFFICIENT_STORAGE,
                _,
            ) => Some(Outcome::NotDone),
            _ => None,
        };
        let outcome = outcome.unwrap_or_else(|| {
            let found = format!("{call:?} was answered {} {:?}", response.status(), response.body());
            self.workload.oracle.violated("every answer is one that a client can act on", found);
            Outcome::Unknown
        });
        (outcome, index)
    }
}

fn request(key: &str, call: &Call, idempotency_key: Option<&str>) -> Request<Bytes> {
    let (method, query, body) = match call {
        Call::Put { value, .. } => (Method::PUT, "", value.clone()),
        Call::Delete => (Method::DELETE, "", Bytes::new()),
        Call::Get | Call::List => (Method::GET, "", Bytes::new()),
        Call::GetStale { .. } => (Method::GET, "?consistency=stale", Bytes::new()),
    };
    let path = match call {
        Call::List => "/cluster/v1/variables".to_owned(),
        _ => format!("/cluster/v1/variables/{key}{query}"),
    };
    let mut request = Request::builder().method(method).uri(path);
    if let Call::GetStale { at_least } = call {
        request = request.header(INDEX_HEADER, *at_least);
    }
    if let Call::Put { if_revision: Some(revision), .. } = call {
        request = request.header(header::IF_MATCH, format!("\"{revision}\""));
    }
    if let Some(key) = idempotency_key
        && !capstan_model::mutant!("idempotency-key-lost")
    {
        request = request.header(IDEMPOTENCY_HEADER, key);
    }
    request.body(body).expect("its parts are legal")
}
