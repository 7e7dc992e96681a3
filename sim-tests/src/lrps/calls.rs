//! How a client of LRPs calls: through any node, again under a key while the outcome is open.

use bytes::Bytes;
use capstan_client::IDEMPOTENCY_HEADER;
use capstan_model::sometimes;
use futures::future::join;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, IF_MATCH},
};
use rand::RngExt;

use super::{LrpClient, Outcome};
use crate::{
    calls::index_of,
    net::{NoResponse, Place},
};

/// How long a client waits for a response.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
/// How often a call is sent under one idempotency key.
const ATTEMPTS_MAX: u32 = 4;
/// How likely a call that changes something has a key.
const KEY_ODDS: f64 = 0.7;
/// How likely a call with a key is sent through two nodes at once.
const TWICE_ODDS: f64 = 0.1;

/// A call to make.
pub(super) struct Call {
    method: Method,
    path: String,
    body: String,
    /// The tag that the LRP must have.
    pub(super) if_match: Option<HeaderValue>,
    /// For how long a domain is to be fresh, in seconds.
    pub(super) max_age: Option<u64>,
}

/// How a call ended.
pub(super) enum Answer {
    /// With an answer that says what happened.
    Response(Response<Bytes>),
    /// Nothing happened.
    NotDone,
    /// Nobody knows.
    Unknown,
}

impl Call {
    pub(super) fn new(method: Method, path: String) -> Self {
        Self { method, path, body: String::new(), if_match: None, max_age: None }
    }

    pub(super) fn with_body(self, body: String) -> Self {
        Self { body, ..self }
    }

    fn request(&self, key: Option<&str>) -> Request<Bytes> {
        let mut request = Request::builder().method(&self.method).uri(&self.path);
        if !self.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(key) = key {
            request = request.header(IDEMPOTENCY_HEADER, key);
        }
        if let Some(tag) = &self.if_match {
            request = request.header(IF_MATCH, tag);
        }
        if let Some(ttl) = self.max_age {
            request = request.header(CACHE_CONTROL, format!("max-age={ttl}"));
        }
        request.body(Bytes::copy_from_slice(self.body.as_bytes())).expect("its parts are legal")
    }
}

impl LrpClient {
    /// Reads something through any node, once.
    pub(super) async fn read(&self, path: String) -> Answer {
        self.lrps.calls.set(self.lrps.calls.get() + 1);
        self.attempt(self.node(), Call::new(Method::GET, path).request(None)).await
    }

    /// Makes a call, and again through another node while its outcome is open and it has a key. Says also whether it was sent once.
    pub(super) async fn call(&self, call: &Call) -> (Answer, bool) {
        self.lrps.calls.set(self.lrps.calls.get() + 1);
        let has_key = self.rng.borrow_mut().random_bool(KEY_ODDS);
        let key = has_key.then(|| format!("lrp-{}-{}", self.id, self.lrps.calls.get()));
        let mut is_open = false;
        for attempt in 1..=ATTEMPTS_MAX {
            let is_twice = has_key && self.rng.borrow_mut().random_bool(TWICE_ODDS);
            let sent = || call.request(key.as_deref());
            let answer = if is_twice {
                match join(self.attempt(self.node(), sent()), self.attempt(self.node(), sent())).await {
                    (Answer::Response(one), Answer::Response(other)) => {
                        self.compare(&one, &other);
                        Answer::Response(one)
                    }
                    (Answer::Response(one), _) | (_, Answer::Response(one)) => Answer::Response(one),
                    (Answer::NotDone, Answer::NotDone) => Answer::NotDone,
                    _ => Answer::Unknown,
                }
            } else {
                self.attempt(self.node(), sent()).await
            };
            match answer {
                Answer::Response(_) => {
                    sometimes!("a call about an LRP in doubt is answered when it is sent again", is_open);
                    return (answer, attempt == 1 && !is_twice);
                }
                Answer::Unknown if !has_key => return (answer, true),
                Answer::Unknown => is_open = true,
                Answer::NotDone => {}
            }
        }
        (if is_open { Answer::Unknown } else { Answer::NotDone }, false)
    }

    fn node(&self) -> Place {
        self.rng.borrow_mut().random_range(self.lrps.net.nodes())
    }

    async fn attempt(&self, node: Place, request: Request<Bytes>) -> Answer {
        match self.lrps.net.http(node, request, PATIENCE).await {
            Ok(response) => match response.status() {
                StatusCode::GATEWAY_TIMEOUT => Answer::Unknown,
                StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::INSUFFICIENT_STORAGE => Answer::NotDone,
                _ => Answer::Response(response),
            },
            Err(NoResponse::Refused) => Answer::NotDone,
            Err(NoResponse::Silence) => Answer::Unknown,
        }
    }

    /// Two copies of one call are answered alike.
    fn compare(&self, one: &Response<Bytes>, other: &Response<Bytes>) {
        if (one.status(), one.body()) != (other.status(), other.body()) {
            let found =
                format!("{} {:?}, and {} {:?}", one.status(), one.body(), other.status(), other.body());
            self.lrps.oracle.violated("copies of a call have one answer", found);
        }
    }

    /// What an answer says of a call that changes something.
    pub(super) fn outcome(&self, call: &Call, response: &Response<Bytes>) -> Outcome {
        match response.status() {
            StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT => match index_of(response) {
                Some(index) => Outcome::Done(index),
                None => {
                    self.misunderstood(&call.path, response);
                    Outcome::Unknown
                }
            },
            StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => {
                Outcome::Refused
            }
            _ => {
                self.misunderstood(&call.path, response);
                Outcome::Unknown
            }
        }
    }

    /// Notes an answer that says nothing to a client.
    pub(super) fn misunderstood(&self, what: &str, response: &Response<Bytes>) {
        let found = format!("{what} was answered {} {:?}", response.status(), response.body());
        self.lrps.oracle.violated("every answer is one that a client can act on", found);
    }
}
