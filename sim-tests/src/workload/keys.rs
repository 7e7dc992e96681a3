//! Calls that are made again under their idempotency key, at once or much later, and keys that are used for something else.
//!
//! The first answer is the answer: through any node, after any failover, for as long as the key is remembered, in log time.

use bytes::Bytes;
use capstan_model::time::Timestamp;
use http::{HeaderValue, Response, StatusCode, header};
use rand::RngExt;

use super::{Client, PATIENCE, Sending, request};
use crate::history::{Call, Outcome};

/// A call that was answered under a key.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    /// The log time before it was sent.
    at: Timestamp,
    /// Of which variable.
    name: String,
    call: Call,
    idempotency_key: String,
    answer: Told,
}

/// What a client goes by in an answer. Its index is that of the state it was seen in, and so may be later in a repeated one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    status: StatusCode,
    etag: Option<HeaderValue>,
    body: Bytes,
}

impl Told {
    pub(super) fn new(response: &Response<Bytes>) -> Self {
        Self {
            status: response.status(),
            etag: response.headers().get(header::ETAG).cloned(),
            body: response.body().clone(),
        }
    }
}

impl Client {
    /// Keeps the answer to a call, so that it can be made again.
    pub(super) fn keep(&self, at: Timestamp, name: &str, call: &Call, sending: &Sending, answer: Told) {
        let Some(idempotency_key) = sending.idempotency_key.clone() else { return };
        let (name, call) = (name.to_owned(), call.clone());
        let answered = Answered { at, name, call, idempotency_key, answer };
        self.workload.answered.borrow_mut().push(answered);
    }

    /// Makes some call again, whoever made it first: it has the same answer, and no effect.
    pub(super) async fn repeat_some(&mut self) {
        let Some(first) = self.some_answered() else { return };
        let node = self.rng.random_range(self.workload.net.nodes());
        let again = request(&first.name, &first.call, Some(&first.idempotency_key));
        let Ok(response) = self.workload.net.http(node, again, PATIENCE).await else { return };
        let is_open = matches!(
            response.status(),
            StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::INSUFFICIENT_STORAGE
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::GATEWAY_TIMEOUT
        );
        if is_open || !self.is_remembered(&first) {
            return;
        }
        self.workload.compare(&first.call, &first.idempotency_key, &first.answer, &Told::new(&response));
    }

    /// Puts another value under a key that was used: it is refused, and has no effect, whatever comes back.
    pub(super) async fn reuse_some(&mut self) {
        let Some(first) = self.some_answered().filter(|it| matches!(it.call, Call::Put { .. })) else {
            return;
        };
        let node = self.rng.random_range(self.workload.net.nodes());
        let call = Call::Put { value: self.new_value(), if_revision: None };
        let sending = Sending { idempotency_key: Some(first.idempotency_key.clone()), is_shared: true };
        let place = self.begin(&first.name, &call);
        let (mut outcome, index) = self.attempt(node, &first.name, &call, &sending).await;
        if self.is_remembered(&first) {
            match outcome {
                Outcome::KeyReused | Outcome::NotDone => {}
                // It may have been refused and the answer lost: it has no effect in any case.
                Outcome::Unknown => outcome = Outcome::KeyReused,
                ref done => {
                    let found = format!("{call:?} under the key of {first:?} was answered {done:?}");
                    self.workload
                        .oracle
                        .violated("a key that was used for one call is refused to others", found);
                }
            }
        }
        self.end(place, outcome, index);
    }

    /// Puts two values under one key at the same time, through two nodes: one has an effect at most.
    pub(super) async fn race(&mut self, name: &str) {
        let values = [self.new_value(), self.new_value()];
        let nodes = [0, 1].map(|_| self.rng.random_range(self.workload.net.nodes()));
        let idempotency_key = format!("race-{}-{}", self.number, self.calls);
        let sending = Sending { idempotency_key: Some(idempotency_key), is_shared: true };
        let mut clients = [0, 1].map(|_| self.workload.client(self.id, self.rng.random()));
        let [first, second] = &mut clients;
        let [a, b] = values.map(|value| Call::Put { value, if_revision: None });
        let outcomes = futures::join!(
            first.call_as(nodes[0], name, a.clone(), &sending),
            second.call_as(nodes[1], name, b.clone(), &sending)
        );
        if let (Outcome::Put { .. }, Outcome::Put { .. }) = outcomes {
            let found = format!("{a:?} and {b:?} have {outcomes:?}");
            self.workload.oracle.violated("of two calls under one key one has an effect", found);
        }
    }

    /// A value that nobody ever puts otherwise.
    pub(super) fn new_value(&mut self) -> Bytes {
        self.calls += 1;
        format!("{}-{}", self.number, self.calls).into()
    }

    fn some_answered(&mut self) -> Option<Answered> {
        let answered = self.workload.answered.borrow();
        if answered.is_empty() {
            return None;
        }
        // As often the newest as any: what is in flight, and what was answered long ago.
        let newest = answered.len() - 1;
        let least = if self.rng.random_bool(0.5) { newest.saturating_sub(8) } else { 0 };
        Some(answered[self.rng.random_range(least..=newest)].clone())
            .filter(|first| self.is_remembered(first))
    }

    /// Whether nothing that was committed so far lets a key be forgotten.
    fn is_remembered(&self, first: &Answered) -> bool {
        let state = self.workload.oracle.committed_state();
        state.log_time().since(first.at) < state.settings.idempotency_window()
    }
}
