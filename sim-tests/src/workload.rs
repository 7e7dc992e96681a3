//! Clients that read and write variables through any node, by HTTP calls as a client makes them.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use capstan_client::{IDEMPOTENCY_HEADER, INDEX_HEADER, cluster::VariablePut};
use http::{Method, Request, Response, StatusCode, header};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};

use crate::{
    history::{Call, Operation, Outcome},
    net::{Net, NoResponse, Place},
    oracle::Oracle,
    trace::Trace,
};

/// How long a client waits for a response: longer than a node does for an outcome.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a write is sent under one idempotency key.
const ATTEMPTS_MAX: u32 = 4;
/// How likely a client sends an answered write again before its next call.
const REPEAT_ODDS: f64 = 0.1;

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
}

/// One client.
pub struct Client {
    id: u64,
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
    /// A write under a key that was answered, perhaps long ago.
    answered: Option<Answered>,
}

/// A write under an idempotency key, and its answer.
#[derive(Debug, Clone)]
struct Answered {
    key: String,
    call: Call,
    idempotency_key: String,
    outcome: Outcome,
}

impl Workload {
    /// Nothing was called yet.
    pub fn new(net: Arc<Net>, oracle: Arc<Oracle>, trace: Arc<Trace>) -> Self {
        Self { net, oracle, trace, history: Rc::default() }
    }

    /// A client whose choices follow from the seed.
    pub fn client(&self, id: u64, seed: u64) -> Client {
        Client {
            id,
            rng: SmallRng::seed_from_u64(seed),
            workload: self.clone(),
            calls: 0,
            index: 0,
            revision: 0,
            key_odds: 0.8,
            answered: None,
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
    pub(crate) fn never_with_key(self) -> Self {
        Self { key_odds: 0.0, ..self }
    }

    /// Calls until it is dropped.
    pub async fn run(mut self, load: Load) {
        loop {
            tokio::time::sleep(self.rng.random_range(Duration::ZERO..=load.think_max)).await;
            if self.rng.random_bool(REPEAT_ODDS) {
                self.repeat().await;
            }
            let key = key(self.rng.random_range(0..load.keys));
            let call = self.choose();
            let node = self.rng.random_range(self.workload.net.nodes());
            self.call(node, &key, call).await;
        }
    }

    /// Makes one call, beginning at a node, and adds it to the history.
    pub async fn call(&mut self, node: Place, key: &str, call: Call) -> Outcome {
        self.calls += 1;
        let place = {
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
        };
        let (outcome, index) = self.attempt(node, key, &call).await;
        self.index = self.index.max(index);
        if let Outcome::Put { revision, .. } | Outcome::Found { revision, .. } = outcome {
            self.revision = revision;
        }
        let mut history = self.workload.history.borrow_mut();
        let operation = &mut history[place];
        operation.outcome = outcome.clone();
        operation.index = index;
        if outcome != Outcome::Unknown {
            operation.returned_us = self.workload.trace.now_us();
        }
        let told = format!("{key} {call:?} {outcome:?}");
        self.workload.trace.event(0, "operation", &[self.id, index], told.as_bytes());
        outcome
    }

    fn choose(&mut self) -> Call {
        let value = Bytes::from(format!("{}-{}", self.id, self.calls));
        match self.rng.random_range(0..20) {
            0..8 => Call::Put { value, if_revision: None },
            8..11 => Call::Put { value, if_revision: Some(self.revision) },
            11..13 => Call::Delete,
            13..18 => Call::Get,
            _ => Call::GetStale { at_least: self.index },
        }
    }

    /// Sends a call, a write again and again under one key until its outcome is known or the attempts are used up.
    async fn attempt(&mut self, first: Place, key: &str, call: &Call) -> (Outcome, u64) {
        let is_write = matches!(call, Call::Put { .. } | Call::Delete);
        let idempotency_key =
            (is_write && self.rng.random_bool(self.key_odds)).then(|| format!("{}-{}", self.id, self.calls));
        let attempts = if idempotency_key.is_some() { ATTEMPTS_MAX } else { 1 };
        let mut node = first;
        let mut is_open = false;
        for _ in 0..attempts {
            let request = request(key, call, idempotency_key.as_deref());
            match self.workload.net.http(node, request, PATIENCE).await {
                Ok(response) => match self.understand(call, &response) {
                    (Outcome::Unknown, _) => is_open = true,
                    (Outcome::NotDone, _) => {}
                    known => {
                        self.note_answered(key, call, idempotency_key, &known.0);
                        return known;
                    }
                },
                Err(NoResponse::Refused) => {}
                Err(NoResponse::Silence) => is_open = true,
            }
            node = self.rng.random_range(self.workload.net.nodes());
        }
        (if is_open { Outcome::Unknown } else { Outcome::NotDone }, 0)
    }

    /// Keeps one of the writes that were answered, often an old one.
    fn note_answered(&mut self, key: &str, call: &Call, idempotency_key: Option<String>, outcome: &Outcome) {
        if let Some(idempotency_key) = idempotency_key
            && (self.answered.is_none() || self.rng.random_bool(0.1))
        {
            let (key, call, outcome) = (key.to_owned(), call.clone(), outcome.clone());
            self.answered = Some(Answered { key, call, idempotency_key, outcome });
        }
    }

    /// Sends an answered write again under its key: it gets the first answer, or is refused when its body is another.
    async fn repeat(&mut self) {
        let Some(Answered { key, call, idempotency_key, outcome }) = self.answered.clone() else { return };
        let node = self.rng.random_range(self.workload.net.nodes());
        let other = match &call {
            Call::Put { if_revision, .. } if self.rng.random_bool(0.3) => {
                Some(Call::Put { value: "another body".into(), if_revision: *if_revision })
            }
            _ => None,
        };
        let sent = request(&key, other.as_ref().unwrap_or(&call), Some(&idempotency_key));
        let Ok(response) = self.workload.net.http(node, sent, PATIENCE).await else { return };
        let (status, body) = (response.status(), response.body());
        if other.is_some() && status == StatusCode::UNPROCESSABLE_ENTITY {
            return;
        }
        let (again, _) = self.understand(&call, &response);
        if matches!(again, Outcome::Unknown | Outcome::NotDone) {
            return;
        }
        let oracle = &self.workload.oracle;
        if other.is_some() {
            let found = format!("{call:?} under {idempotency_key}, with another body: {status} {body:?}");
            oracle.violated("a key that is used again with another body is refused", found);
        } else if again != outcome {
            let found = format!("{call:?} under {idempotency_key} was {outcome:?}, and is {again:?}");
            oracle.violated("a call that is repeated under its key has its first answer", found);
        }
    }

    /// Reads an answer as its status code says.
    fn understand(&self, call: &Call, response: &Response<Bytes>) -> (Outcome, u64) {
        let number = |name: &str| {
            let text = response.headers().get(name).and_then(|value| value.to_str().ok());
            text.and_then(|text| text.trim_matches('"').parse::<u64>().ok())
        };
        let index = number(INDEX_HEADER).unwrap_or(0);
        let is_read = matches!(call, Call::Get | Call::GetStale { .. });
        let outcome = match (response.status(), call) {
            (status @ (StatusCode::OK | StatusCode::CREATED), Call::Put { .. }) => {
                let put: Option<VariablePut> = serde_json::from_slice(response.body()).ok();
                put.map(|put| Outcome::Put { revision: put.revision, created: status == StatusCode::CREATED })
            }
            (StatusCode::OK, _) if is_read => number(header::ETAG.as_str())
                .map(|revision| Outcome::Found { value: response.body().clone(), revision }),
            (StatusCode::NO_CONTENT, Call::Delete) => Some(Outcome::Deleted),
            (StatusCode::NOT_FOUND, Call::Delete | Call::Get | Call::GetStale { .. }) => {
                Some(Outcome::Absent)
            }
            (StatusCode::PRECONDITION_FAILED, Call::Put { .. }) => Some(Outcome::Mismatch),
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
        Call::Get => (Method::GET, "", Bytes::new()),
        Call::GetStale { .. } => (Method::GET, "?consistency=stale", Bytes::new()),
    };
    let mut request = Request::builder().method(method).uri(format!("/cluster/v1/variables/{key}{query}"));
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
