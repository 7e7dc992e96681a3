//! One call: attempts at one node after the other until one answers or the time is up.
//!
//! Everything hangs on what a failed attempt means. A refused connection and the answers 429 and 503 mean that nothing
//! happened, so any call may go on. A lost connection, a timeout and the answers 502 and 504 mean that the write may
//! have happened, so only a call that is harmless when repeated may go on.

use std::{error::Error as _, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{
    Client, Consistency, ReadOptions,
    address::{Node, shown},
    error::{CallError, Tried},
};

/// What is to be sent, to whichever node answers.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    /// Absolute and percent-encoded.
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) repeat: Repeat,
    pub(super) asks: Asks,
}

/// Whether a call may be sent again after an attempt that may have done something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// A read, or a write that does no more when done twice.
    Harmless,
    /// A second time would do more, or be answered differently.
    Harmful,
}

/// Whose answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// The cluster: a node that cannot serve now is passed over.
    TheCluster,
    /// The node that was called: whatever it answers is the answer.
    TheNode,
}

/// What a node answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) address: String,
}

/// How a call ended.
pub(super) struct Ending {
    pub(super) result: Result<Answer, CallError>,
    /// Before the attempt that settled it, another may already have done what was asked.
    pub(super) repeated: bool,
}

/// What an answer's status says about the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Final,
    NothingHappened,
    MayHaveHappened,
}

/// Why an attempt brought no answer.
pub(super) enum Lost {
    BeforeSending(String),
    AfterSending(String),
}

/// What the attempts so far have shown.
#[derive(Default)]
pub(super) struct Findings {
    tried: Vec<Tried>,
    refusal: Option<CallError>,
    location: Option<String>,
    uncertain: bool,
}

/// Shortest and longest pause between two rounds over the nodes. An election ends within about a second, so a longer
/// pause, or the whole second a `Retry-After` has to name, would only delay the first write after it.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(25);
pub(super) const PAUSE_MAX: Duration = Duration::from_millis(400);

impl Call {
    pub(super) fn read(path: String, options: ReadOptions) -> Self {
        let mut call = Self::new(Method::GET, path, Repeat::Harmless);
        match options.consistency {
            Consistency::Default => {}
            Consistency::Linearizable => call.query.push(("consistency", "linearizable".to_owned())),
            Consistency::Stale => call.query.push(("consistency", "stale".to_owned())),
        }
        if let Some(index) = options.at_least {
            call.headers.insert(index_header(), HeaderValue::from(index));
        }
        call
    }

    /// The same call with this body.
    pub(super) fn with_json(mut self, body: &impl Serialize) -> Self {
        let json = HeaderValue::from_static("application/json");
        self.headers.insert(header::CONTENT_TYPE, json);
        self.body = Bytes::from(serde_json::to_vec(body).expect("maps with string keys become JSON"));
        self
    }

    pub(super) fn new(method: Method, path: String, repeat: Repeat) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            repeat,
            asks: Asks::TheCluster,
        }
    }
}

impl Client {
    /// Makes the call and returns the answer that settles it, a success unless the call asks a node.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, CallError> {
        self.call_noting_repeats(call).await.result
    }

    /// As [`Client::call`], and says whether the answer is that to a repetition.
    pub(super) async fn call_noting_repeats(&self, call: &Call) -> Ending {
        let started = Instant::now();
        let mut findings = Findings::default();
        match self.go_round(call, started, &mut findings).await {
            Some(result) => Ending { result, repeated: findings.uncertain },
            None => Ending {
                repeated: findings.uncertain,
                result: Err(findings.give_up(call, started.elapsed())),
            },
        }
    }

    /// Tries the nodes in turn until one settles the call; `None` when the time is up or going on would do harm.
    async fn go_round(
        &self,
        call: &Call,
        started: Instant,
        findings: &mut Findings,
    ) -> Option<Result<Answer, CallError>> {
        let deadline = started + self.options.timeout;
        let mut pause = PAUSE_MIN;
        loop {
            for node in self.nodes.in_order() {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                if let Some(result) = self.attempt(call, node, left, findings).await {
                    return Some(result);
                }
                if findings.uncertain && call.repeat == Repeat::Harmful {
                    return None;
                }
            }
            let patience = if findings.only_unreachable() {
                self.options.connect_patience
            } else {
                self.options.timeout
            };
            if started.elapsed() + pause >= patience {
                return None;
            }
            tokio::time::sleep(rand::random_range(pause / 2..=pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Sends the call to one node. `None` means that it is worth trying another.
    async fn attempt(
        &self,
        call: &Call,
        node: Node<'_>,
        left: Duration,
        findings: &mut Findings,
    ) -> Option<Result<Answer, CallError>> {
        let address = shown(node.url);
        let answer = match self.send(call, node, left.min(self.options.attempt_timeout)).await {
            Ok(answer) => answer,
            Err(lost) => {
                findings.note_lost(address, lost);
                return None;
            }
        };
        let verdict = if call.asks == Asks::TheNode { Verdict::Final } else { verdict(answer.status) };
        if verdict != Verdict::Final {
            findings.note_refused(answer, verdict);
            return None;
        }
        self.nodes.prefer(node);
        let wanted = answer.status.is_success() || call.asks == Asks::TheNode;
        Some(if wanted { Ok(answer) } else { Err(answer.refusal()) })
    }

    async fn send(&self, call: &Call, node: Node<'_>, timeout: Duration) -> Result<Answer, Lost> {
        let request = self.prepared(call, node).timeout(timeout);
        let response = request.send().await.map_err(|e| lost(&e))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(|e| lost(&e))?;
        Ok(Answer { status, headers, body, address: shown(node.url) })
    }

    /// The call as one node is sent it, without a bound on its time.
    pub(super) fn prepared(&self, call: &Call, node: Node<'_>) -> reqwest::RequestBuilder {
        let mut url = node.url.clone();
        url.set_path(&call.path);
        let mut headers = call.headers.clone();
        let credentials = self.credentials.as_ref().filter(|_| call.path.starts_with("/v1/"));
        if let Some(credentials) = credentials.or(self.token.as_ref()) {
            headers.insert(header::AUTHORIZATION, credentials.clone());
        }
        let request = self.http.request(call.method.clone(), url);
        request.query(&call.query).headers(headers).body(call.body.clone())
    }

    /// A write that does no more when it is sent twice: it carries an `Idempotency-Key`, unless the options say otherwise.
    pub(super) fn keyed(&self, method: Method, path: String) -> Call {
        let mut call = Call::new(method, path, Repeat::Harmful);
        if self.options.idempotency_keys {
            let key = format!("{:032x}", rand::random::<u128>());
            let key = HeaderValue::try_from(key).expect("hexadecimal digits are legal");
            call.headers.insert(HeaderName::from_static("idempotency-key"), key);
            call.repeat = Repeat::Harmless;
        }
        call
    }

    /// Makes a read and takes its answer for JSON.
    pub(super) async fn read_json<T: DeserializeOwned>(
        &self,
        path: String,
        query: Vec<(&'static str, String)>,
        options: ReadOptions,
    ) -> Result<T, CallError> {
        let mut call = Call::read(path, options);
        call.query.extend(query);
        self.call(&call).await?.json()
    }
}

impl Findings {
    pub(super) fn note_lost(&mut self, address: String, lost: Lost) {
        let failure = match lost {
            Lost::BeforeSending(failure) => failure,
            Lost::AfterSending(failure) => {
                self.uncertain = true;
                failure
            }
        };
        self.tried.push(Tried { address, failure });
    }

    pub(super) fn note_refused(&mut self, answer: Answer, verdict: Verdict) {
        if verdict == Verdict::MayHaveHappened {
            self.uncertain = true;
            self.location = answer.header(&header::LOCATION).or(self.location.take());
        }
        let (message, _) = answer.message();
        let failure = format!("{message} (HTTP {})", answer.status.as_u16());
        self.tried.push(Tried { address: answer.address.clone(), failure });
        self.refusal = Some(answer.refusal());
    }

    pub(super) fn only_unreachable(&self) -> bool {
        self.refusal.is_none() && !self.uncertain
    }

    pub(super) fn give_up(self, call: &Call, waited: Duration) -> CallError {
        let Self { tried, refusal, location, uncertain } = self;
        if uncertain && call.method != Method::GET {
            return CallError::UnknownOutcome { waited, location, tried };
        }
        match refusal {
            Some(refusal) => refusal,
            None if uncertain || tried.is_empty() => CallError::Timeout { waited, tried },
            None => CallError::Unreachable { tried },
        }
    }
}

impl Answer {
    /// Reads the body as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        serde_json::from_slice(&self.body).map_err(|source| CallError::Unreadable {
            status: self.status.as_u16(),
            address: self.address.clone(),
            source,
        })
    }

    /// The log index of the state the answer shows, where the node said it.
    pub(super) fn index(&self) -> Option<u64> {
        self.header(&index_header())?.parse().ok()
    }

    pub(super) fn header(&self, name: &HeaderName) -> Option<String> {
        Some(self.headers.get(name)?.to_str().ok()?.to_owned())
    }

    pub(super) fn refusal(&self) -> CallError {
        let (message, code) = self.message();
        CallError::Refused { status: self.status.as_u16(), code, message, address: self.address.clone() }
    }

    /// What the body says was wrong, in any of the shapes of the three APIs, and the code where there is one.
    pub(super) fn message(&self) -> (String, Option<String>) {
        #[derive(Deserialize)]
        struct AnyError {
            message: String,
            #[serde(default)]
            code: Option<String>,
        }
        if let Ok(error) = serde_json::from_slice::<AnyError>(&self.body) {
            return (error.message, error.code);
        }
        let text = String::from_utf8_lossy(&self.body);
        let line = text.lines().next().unwrap_or_default().trim();
        let told =
            if line.is_empty() { self.status.canonical_reason().unwrap_or("no reason given") } else { line };
        (told.chars().take(300).collect(), None)
    }
}

pub(super) fn verdict(status: StatusCode) -> Verdict {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Verdict::NothingHappened,
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Verdict::MayHaveHappened,
        _ => Verdict::Final,
    }
}

pub(super) fn lost(error: &reqwest::Error) -> Lost {
    let failure =
        if error.is_timeout() && !error.is_connect() { "no answer in time".to_owned() } else { root(error) };
    if error.is_connect() || error.is_builder() {
        Lost::BeforeSending(failure)
    } else {
        Lost::AfterSending(failure)
    }
}

/// The innermost cause, the one that says `connection refused`.
fn root(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

fn index_header() -> HeaderName {
    HeaderName::from_static("x-capstan-index")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_before_the_log_count_as_nothing_happened() {
        let cases = [
            (200, Verdict::Final),
            (404, Verdict::Final),
            (412, Verdict::Final),
            (429, Verdict::NothingHappened),
            (500, Verdict::Final),
            (502, Verdict::MayHaveHappened),
            (503, Verdict::NothingHappened),
            (504, Verdict::MayHaveHappened),
            (507, Verdict::Final),
        ];
        for (status, expected) in cases {
            assert_eq!(verdict(StatusCode::from_u16(status).expect("a status")), expected, "{status}");
        }
    }

    #[test]
    fn the_message_is_found_in_every_shape_of_error() {
        let cases: [(&str, &str, Option<&str>); 4] = [
            (r#"{"code":"not_found","message":"no variable a"}"#, "no variable a", Some("not_found")),
            (
                r#"{"message":"request x not found","requestId":"","httpStatus":404}"#,
                "request x not found",
                None,
            ),
            ("404 page not found\n", "404 page not found", None),
            ("", "Not Found", None),
        ];
        for (body, message, code) in cases {
            let answer = Answer {
                status: StatusCode::NOT_FOUND,
                headers: HeaderMap::new(),
                body: Bytes::from_static(body.as_bytes()),
                address: String::new(),
            };
            assert_eq!(answer.message(), (message.to_owned(), code.map(str::to_owned)), "{body:?}");
        }
    }
}
