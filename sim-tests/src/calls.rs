//! How clients call that race with changes of what calls are judged by: through any node, writes again under their key while the outcome
//! is open. What each write was told is kept, to be compared with what the log executed.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use capstan_client::{IDEMPOTENCY_HEADER, INDEX_HEADER};
use capstan_model::auth::{Credential, token::TokenId};
use futures::future::join_all;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use rand::{RngExt, rngs::SmallRng};

use crate::{
    history::registers::Executed,
    ledger::Broken,
    net::{Anonymous, Item, Net, NoResponse, Opened, Place},
    oracle::Oracle,
    requests::listing::Lifetimes,
};

/// How long a client waits for a response: longer than a node does for an outcome.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client waits for more of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How often a write is sent under its key.
const ATTEMPTS_MAX: u32 = 4;
/// How likely a write is sent through two nodes at once.
const TWICE_ODDS: f64 = 0.1;

/// Who makes a call.
#[derive(Clone)]
pub(crate) enum Bearer {
    /// Whoever everybody is: nobody in particular, or who has the token that the network adds.
    Everybody,
    /// Somebody who brings nothing.
    Nobody,
    /// Who brings a token.
    Token {
        /// Which.
        id: TokenId,
        /// What he brings: it and a secret.
        text: String,
    },
}

/// A call to make.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: Method,
    path: String,
    body: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// How a call ended.
pub(crate) enum Answer {
    /// With an answer that says what happened.
    Response(Response<Bytes>),
    /// Nothing happened.
    NotDone,
    /// Nobody knows.
    Unknown,
}

/// What the client of a write was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It was done, and seen at this index.
    Done(u64),
    /// It was refused.
    Refused,
    /// Its caller may not do it, or is nobody the cluster knows.
    Denied,
    /// Nothing happened.
    NotDone,
    /// Nobody knows.
    Unknown,
}

/// A write and what became of it.
struct Told {
    /// What it was sent under, each time.
    key: String,
    what: String,
    bearer: Bearer,
    outcome: Outcome,
}

/// What the clients of one kind share.
#[derive(Clone)]
pub(crate) struct Calls {
    net: Arc<Net>,
    oracle: Arc<Oracle>,
    /// Begins the keys of this kind.
    kind: &'static str,
    told: Rc<RefCell<Vec<Told>>>,
    count: Rc<Cell<u64>>,
    /// The highest log index in any answer.
    seen: Rc<Cell<u64>>,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: String::new(), headers: Vec::new() }
    }

    pub(crate) fn with_body(self, body: String) -> Self {
        Self { body, ..self }
    }

    /// With a header more.
    ///
    /// # Panics
    /// The value is not legal in a header.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, HeaderValue::try_from(value).expect("it is visible ASCII")));
        self
    }

    fn request(&self, bearer: &Bearer, key: Option<&str>) -> Request<Bytes> {
        let mut request = Request::builder().method(&self.method).uri(&self.path);
        if self.body.starts_with(['{', '[']) {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = key {
            request = request.header(IDEMPOTENCY_HEADER, key);
        }
        request = match bearer {
            Bearer::Everybody => request,
            Bearer::Nobody => request.extension(Anonymous),
            Bearer::Token { text, .. } => request.header(header::AUTHORIZATION, format!("Bearer {text}")),
        };
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Bytes::copy_from_slice(self.body.as_bytes())).expect("its parts are legal")
    }
}

impl Calls {
    /// Nothing was called yet. `kind` is that of no other clients.
    pub(crate) fn new(net: Arc<Net>, oracle: Arc<Oracle>, kind: &'static str) -> Self {
        Self { net, oracle, kind, told: Rc::default(), count: Rc::default(), seen: Rc::default() }
    }

    /// How many calls were made.
    pub(crate) fn count(&self) -> u64 {
        self.count.get()
    }

    /// The highest log index in any answer so far: what is read from now on is at no earlier one.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.get()
    }

    pub(crate) fn oracle(&self) -> &Oracle {
        &self.oracle
    }

    /// Any node.
    pub(crate) fn any_node(&self, rng: &mut SmallRng) -> Place {
        rng.random_range(self.net.nodes())
    }

    /// Reads something through any node, once.
    pub(crate) async fn read(&self, rng: &mut SmallRng, call: &Call) -> Answer {
        self.count.set(self.count.get() + 1);
        self.attempt(self.any_node(rng), call.request(&Bearer::Everybody, None)).await
    }

    /// Reads an answer that goes on, to its end, through any node: the index it names, and all its bytes; `None` when there is no answer, or
    /// it is broken off.
    pub(crate) async fn stream(&self, rng: &mut SmallRng, call: &Call) -> Option<(u64, Vec<u8>)> {
        self.count.set(self.count.get() + 1);
        let request = call.request(&Bearer::Everybody, None);
        let (head, mut pieces) = match self.net.open(self.any_node(rng), request, PATIENCE).await.ok()? {
            Opened::Whole(response) if response.status() == StatusCode::OK => {
                return Some((index_of(&response)?, response.into_body().to_vec()));
            }
            // Who has too much to do, or is about to stop, says so.
            Opened::Whole(_) => return None,
            Opened::GoesOn(head, pieces) => (head, pieces),
        };
        let mut read = Vec::new();
        loop {
            match tokio::time::timeout(SILENCE_MAX, pieces.next()).await.ok()? {
                Item::Piece(piece) => read.extend_from_slice(&piece),
                Item::End => return Some((index_of(&head)?, read)),
                Item::Broken => return None,
            }
        }
    }

    /// Writes under a key of its own, again through another node while the outcome is open.
    pub(crate) async fn write(&self, rng: &mut SmallRng, call: &Call, bearer: &Bearer) -> Answer {
        self.count.set(self.count.get() + 1);
        let key = format!("{}-{}", self.kind, self.count.get());
        let place = {
            let mut told = self.told.borrow_mut();
            let what = format!("{} {}", call.method, call.path);
            let bearer = bearer.clone();
            told.push(Told { key: key.clone(), what, bearer, outcome: Outcome::Unknown });
            told.len() - 1
        };
        let mut is_open = false;
        for _ in 0..ATTEMPTS_MAX {
            let copies = if rng.random_bool(TWICE_ODDS) { 2 } else { 1 };
            let nodes: Vec<Place> = (0..copies).map(|_| self.any_node(rng)).collect();
            let sent = nodes.into_iter().map(|node| self.attempt(node, call.request(bearer, Some(&key))));
            let mut answers = Vec::new();
            for answer in join_all(sent).await {
                match answer {
                    Answer::Response(response) => answers.push(response),
                    Answer::Unknown => is_open = true,
                    Answer::NotDone => {}
                }
            }
            if let Some(response) = self.foremost(answers) {
                self.told.borrow_mut()[place].outcome = self.outcome(call, &response, is_open);
                return Answer::Response(response);
            }
        }
        if is_open {
            return Answer::Unknown;
        }
        self.told.borrow_mut()[place].outcome = Outcome::NotDone;
        Answer::NotDone
    }

    /// Of the answers to copies of one call the one that says most. What the log has answered under the key it has answered once.
    fn foremost(&self, answers: Vec<Response<Bytes>>) -> Option<Response<Bytes>> {
        let statuses: Vec<StatusCode> = answers.iter().map(Response::status).collect();
        let mut by_log = statuses.iter().filter(|status| is_by_log(**status));
        let first = by_log.next();
        if by_log.any(|other| Some(other) != first) {
            let found = format!("copies of one call were answered {statuses:?}");
            self.oracle.violated("copies of a call have one answer", found);
        }
        let place = statuses.iter().position(|status| is_by_log(*status)).unwrap_or(0);
        answers.into_iter().nth(place)
    }

    /// What an answer says. A node that refuses by itself says nothing of a copy that was sent through another.
    fn outcome(&self, call: &Call, response: &Response<Bytes>, is_open: bool) -> Outcome {
        match response.status() {
            status if status.is_success() => match index_of(response) {
                Some(index) => Outcome::Done(index),
                None => {
                    self.misunderstood(&call.path, response);
                    Outcome::Unknown
                }
            },
            status if is_open && !is_by_log(status) => Outcome::Unknown,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Denied,
            // A request may have ended and left before its client was told.
            StatusCode::NOT_FOUND
                if call.method == Method::POST && self.oracle.with_lifetimes(Lifetimes::any_trimmed) =>
            {
                Outcome::Unknown
            }
            StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::CONFLICT
            | StatusCode::PRECONDITION_FAILED => Outcome::Refused,
            _ => {
                self.misunderstood(&call.path, response);
                Outcome::Unknown
            }
        }
    }

    async fn attempt(&self, node: Place, request: Request<Bytes>) -> Answer {
        match self.net.http(node, request, PATIENCE).await {
            Ok(response) => {
                self.seen.set(self.seen.get().max(index_of(&response).unwrap_or(0)));
                match response.status() {
                    StatusCode::GATEWAY_TIMEOUT => Answer::Unknown,
                    StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::INSUFFICIENT_STORAGE => Answer::NotDone,
                    _ => Answer::Response(response),
                }
            }
            Err(NoResponse::Refused) => Answer::NotDone,
            Err(NoResponse::Silence) => Answer::Unknown,
        }
    }

    /// Notes an answer that says nothing to a client.
    pub(crate) fn misunderstood(&self, what: &str, response: &Response<Bytes>) {
        let found = format!("{what} was answered {} {:?}", response.status(), response.body());
        self.oracle.violated("every answer is one that a client can act on", found);
    }

    /// Compares what clients were told of their writes with what the log executed under their keys.
    pub(crate) fn judge(&self) {
        let window = self.oracle.committed_state().settings.idempotency_window();
        for told in &*self.told.borrow() {
            let executed = self.oracle.with_registers(|registers| registers.executed(&told.key).to_vec());
            if let Err((what, found)) = agrees(told, &executed, window) {
                self.oracle.violated(what, found);
            }
        }
    }
}

/// What was told to have happened has, by then; what was told not to has not; and nothing has twice while its key is remembered.
fn agrees(told: &Told, executed: &[Executed], window: Duration) -> Result<(), Broken> {
    let Told { key, what, bearer, outcome } = told;
    let found = || format!("{what} by {bearer:?} under {key} was told as {outcome:?}, and is {executed:?}");
    if !executed.iter().all(|it| bearer.is(it.credential)) {
        return Err(("a write is executed in the name of who asked for it", found()));
    }
    let done: Vec<&Executed> = executed.iter().filter(|it| it.is_done).collect();
    let is_repeated = done.windows(2).any(|pair| pair[1].at.since(pair[0].at) < window);
    let holds = match told.outcome {
        Outcome::Done(index) => done.first().is_some_and(|first| first.index <= index),
        Outcome::Refused | Outcome::Denied | Outcome::NotDone => done.is_empty(),
        Outcome::Unknown => true,
    };
    match outcome {
        _ if holds && !is_repeated => Ok(()),
        Outcome::Denied => Err(("who was denied a write has written nothing", found())),
        _ => Err(("a write is executed as its client was told, and once", found())),
    }
}

impl Bearer {
    /// Whether a command of his is stored as that of somebody with this credential. Of the cluster's own none is.
    fn is(&self, stored: Option<Credential>) -> bool {
        match self {
            Self::Everybody => stored.is_some(),
            Self::Nobody => stored == Some(Credential::None),
            Self::Token { id, .. } => stored == Some(Credential::Token(*id)),
        }
    }
}

/// Without the secret.
impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everybody => f.write_str("everybody"),
            Self::Nobody => f.write_str("nobody"),
            Self::Token { id, .. } => write!(f, "token {id}"),
        }
    }
}

/// Whether only the log answers so: then every copy of the call is answered so.
fn is_by_log(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::PRECONDITION_FAILED
}

/// The log index that an answer shows.
pub(crate) fn index_of<B>(response: &Response<B>) -> Option<u64> {
    response.headers().get(INDEX_HEADER)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use capstan_model::time::Timestamp;

    use super::*;

    #[test]
    fn a_write_happens_as_it_was_told_and_once() {
        let window = Duration::from_secs(10);
        let holds = |outcome, executions: &[(u64, u64, bool)]| {
            let told = Told { key: "k".into(), what: String::new(), bearer: Bearer::Nobody, outcome };
            let executed = executions.iter().map(|(index, secs, is_done)| Executed {
                index: *index,
                at: Timestamp(secs * 1_000_000_000),
                is_done: *is_done,
                credential: Some(Credential::None),
            });
            agrees(&told, &executed.collect::<Vec<_>>(), window).is_ok()
        };
        assert!(holds(Outcome::Done(5), &[(5, 1, true)]) && holds(Outcome::Done(5), &[(4, 1, true)]));
        assert!(!holds(Outcome::Done(5), &[]) && !holds(Outcome::Done(5), &[(6, 1, true)]));
        assert!(!holds(Outcome::Done(5), &[(5, 1, false)]), "it was refused");
        assert!(!holds(Outcome::Done(5), &[(4, 1, true), (5, 2, true)]), "twice");
        assert!(holds(Outcome::Done(5), &[(4, 1, true), (5, 11, true)]), "its key was forgotten");
        for outcome in [Outcome::Refused, Outcome::Denied, Outcome::NotDone] {
            assert!(holds(outcome, &[]) && holds(outcome, &[(4, 1, false)]));
            assert!(!holds(outcome, &[(4, 1, true)]), "{outcome:?}");
        }
        assert!(holds(Outcome::Unknown, &[]) && holds(Outcome::Unknown, &[(4, 1, true)]));
        assert!(!holds(Outcome::Unknown, &[(4, 1, true), (5, 2, true)]), "twice");
    }

    #[test]
    fn a_write_is_stored_as_that_of_who_asked_for_it() {
        let (id, other) = (TokenId([1; 8]), TokenId([2; 8]));
        let bearer = Bearer::Token { id, text: String::new() };
        assert!(bearer.is(Some(Credential::Token(id))) && !bearer.is(Some(Credential::Token(other))));
        assert!(!bearer.is(None) && !Bearer::Everybody.is(None), "the cluster itself asked for nothing");
        assert!(Bearer::Nobody.is(Some(Credential::None)) && !bearer.is(Some(Credential::None)));
    }
}
