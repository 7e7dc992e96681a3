//! Clients that start, watch and stop requests through any node, by HTTP calls as a client makes them.
//!
//! Every request carries a tag of its own in its args, by which [`verdict`] finds it again.

mod archive;
pub mod beyond;
pub(crate) mod listing;
pub(crate) mod specs;
pub(crate) mod verdict;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use capstan_client::{
    IDEMPOTENCY_HEADER, INDEX_HEADER,
    spin_cycle::{JobLogEntry, Request as RequestBody, State},
};
use capstan_model::sometimes;
use futures::future::join;
use http::{Method, Request, Response, StatusCode, header};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::task::JoinSet;

use self::{
    beyond::Decided,
    listing::{Lifetimes, Listing},
};
use crate::{
    calls::index_of,
    net::{Net, NoResponse, Place},
    oracle::Oracle,
};

/// How long a client waits for a response: longer than a stop does for its end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a call is sent under one idempotency key.
const ATTEMPTS_MAX: u32 = 4;
/// How long a process runs at the most.
const LONG_MAX: Duration = Duration::from_secs(30);
/// How long a process of a request with many jobs runs at the most.
const CROWD_RUN_MAX: Duration = Duration::from_millis(400);
/// The longest list that a request is expanded over.
const ITEMS_MAX: u64 = 6;
/// The most requests that are stopped at once.
const STORM_MAX: usize = 8;
/// How likely a call with a key is sent through two nodes at once.
const TWICE_ODDS: f64 = 0.1;

/// The kinds of requests in the specs.
const KINDS: [Kind; 7] = [
    Kind { name: "once", is_crowd: false, has_items: false },
    Kind { name: "again", is_crowd: false, has_items: false },
    Kind { name: "mixed", is_crowd: false, has_items: false },
    Kind { name: "nested", is_crowd: true, has_items: false },
    Kind { name: "fan", is_crowd: true, has_items: true },
    Kind { name: "choice", is_crowd: false, has_items: false },
    Kind { name: specs::DRAWN, is_crowd: true, has_items: false },
];

/// What clients know of a kind of requests.
struct Kind {
    name: &'static str,
    /// Whether it has so many jobs that they must be short.
    is_crowd: bool,
    /// Whether it takes a list of items.
    has_items: bool,
}

/// How busy the clients are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestLoad {
    /// How many clients there are.
    pub clients: u64,
    /// The longest pause between two calls of a client.
    #[serde(with = "humantime_serde")]
    pub think_max: Duration,
    /// How long most processes run at the most.
    #[serde(with = "humantime_serde")]
    pub run_max: Duration,
    /// How likely those of a request run for up to [`LONG_MAX`], so that crashes find them.
    pub long_odds: f64,
    /// How many jobs a node runs at a time.
    pub slots: u32,
}

/// A request as its client knows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    /// Names it, whatever its id is.
    tag: String,
    /// What became of the call that started it.
    start: Start,
    /// The end it was seen to have come to.
    end: Option<State>,
    /// The id of the finished request that it goes on with.
    retry_of: Option<String>,
}

impl Asked {
    /// Its tag and id, if it was seen to have ended otherwise than complete.
    fn failed(&self) -> Option<(&str, &str)> {
        match (&self.start, self.end) {
            (Start::Done(id), Some(State::Fail | State::Stopped)) => Some((&self.tag, id)),
            _ => None,
        }
    }
}

/// What became of the call that started a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Start {
    /// It is stored under this id.
    Done(String),
    /// Nothing was.
    NotDone,
    /// Nobody knows.
    Unknown,
}

/// What all clients of requests share.
#[derive(Clone)]
pub struct Requests {
    net: Arc<Net>,
    oracle: Arc<Oracle>,
    asked: Rc<RefCell<Vec<Asked>>>,
    decided: Rc<RefCell<Vec<Decided>>>,
    calls: Rc<RefCell<u64>>,
    /// The highest log index in any answer.
    seen: Rc<Cell<u64>>,
    listings: Rc<RefCell<Vec<Listing>>>,
    is_closed: Rc<Cell<bool>>,
}

/// How fresh a read has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    /// As fresh as the setting says, which is linearizable.
    Newest,
    /// Whatever the node has.
    Stale,
    /// Whatever the node has once it has reached this index.
    From(u64),
}

impl Requests {
    /// Nothing was asked for yet.
    pub fn new(net: Arc<Net>, oracle: Arc<Oracle>) -> Self {
        let (asked, decided, calls, listings) = Default::default();
        Self { net, oracle, asked, decided, calls, seen: Rc::default(), listings, is_closed: Rc::default() }
    }

    /// How many calls were made.
    pub fn calls(&self) -> u64 {
        *self.calls.borrow()
    }

    /// Lets no client begin another call.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
    }

    /// A client whose choices follow from the seed.
    pub fn client(&self, id: u64, seed: u64, load: &RequestLoad) -> RequestClient {
        let rng = SmallRng::seed_from_u64(seed);
        RequestClient { id, rng, load: load.clone(), requests: self.clone(), started: 0 }
    }
}

/// One client of requests.
pub struct RequestClient {
    id: u64,
    rng: SmallRng,
    load: RequestLoad,
    requests: Requests,
    /// Counts the requests it started.
    started: u64,
}

impl RequestClient {
    /// Calls until the workload is closed.
    pub async fn run(mut self) {
        while !self.requests.is_closed.get() {
            tokio::time::sleep(self.rng.random_range(Duration::ZERO..=self.load.think_max)).await;
            match (self.rng.random_range(0..10), self.choose()) {
                (0..4, _) | (_, None) => self.start().await,
                (4, Some(known)) => self.stop(known).await,
                (5, Some(_)) => self.storm().await,
                (6, Some(known)) => self.read_log(known).await,
                (7, Some(_)) => self.list().await,
                (_, Some(known)) => self.look(known).await,
            }
        }
    }

    /// Some request that is known to be stored.
    fn choose(&mut self) -> Option<(usize, String)> {
        let newest = self.newest();
        let chosen = self.rng.random_range(0..newest.len().max(1));
        newest.into_iter().nth(chosen)
    }

    /// The newest requests that are known to be stored: most others have ended.
    fn newest(&self) -> Vec<(usize, String)> {
        let asked = self.requests.asked.borrow();
        let stored = asked.iter().enumerate().filter_map(|(place, asked)| match &asked.start {
            Start::Done(id) => Some((place, id.clone())),
            Start::NotDone | Start::Unknown => None,
        });
        stored.rev().take(STORM_MAX).collect()
    }

    async fn start(&mut self) {
        let program = match self.rng.random_range(0..24) {
            0 => "missing",
            1..4 => "deaf",
            4..10 => "moody",
            10 => "killed",
            11 => "flood",
            12 => "daemon",
            13 => "forbidden",
            _ => "work",
        };
        let Kind { name, is_crowd, has_items } = KINDS[self.rng.random_range(0..KINDS.len())];
        let run_max = match self.rng.random_bool(self.load.long_odds) {
            _ if is_crowd => CROWD_RUN_MAX.min(self.load.run_max),
            true => LONG_MAX,
            false => self.load.run_max,
        };
        let runs = self.rng.random_range(Duration::ZERO..run_max);
        let fails = if self.rng.random_bool(0.4) { self.rng.random_range(0..4) } else { 0 };
        let items = self.rng.random_range(0..=ITEMS_MAX);
        self.ask_for(name, program, (runs, fails), has_items.then_some(items)).await;
    }

    /// Stops many requests at once, through any nodes.
    async fn storm(&mut self) {
        let mut stops = JoinSet::new();
        for known in self.newest() {
            let mut client = self.requests.client(self.id, self.rng.random(), &self.load);
            stops.spawn_local(async move { client.stop(known).await });
        }
        stops.join_all().await;
    }

    /// Asks for a request whose processes run so long and fail so often, and returns its id if it is known to be stored.
    pub async fn ask(&mut self, kind: &str, program: &str, runs: Duration, fails: u32) -> Option<String> {
        self.ask_for(kind, program, (runs, fails), None).await
    }

    async fn ask_for(
        &mut self,
        kind: &str,
        program: &str,
        (runs, fails): (Duration, u32),
        items: Option<u64>,
    ) -> Option<String> {
        self.started += 1;
        let tag = format!("tag-{}-{}", self.id, self.started);
        let place = {
            let mut asked = self.requests.asked.borrow_mut();
            asked.push(Asked { tag: tag.clone(), start: Start::Unknown, end: None, retry_of: None });
            asked.len() - 1
        };
        let words = format!("{} {fails} {tag}", runs.as_millis());
        let mut body = json!({ "type": kind, "args": { "cmd": program, "args": words } });
        if let Some(items) = items {
            body["args"]["items"] = (0..items).map(|item| format!("item-{item}")).collect();
        }
        let answer = self.call(Method::POST, "/api/v1/requests".to_owned(), &body.to_string()).await;
        let (start, id) = match answer {
            Answer::Response(response) => {
                let stored: Option<RequestBody> =
                    if response.status() == StatusCode::CREATED { self.read(&response) } else { None };
                match stored {
                    Some(RequestBody { id, .. }) => (Start::Done(id.clone()), Some(id)),
                    // It may have ended and left before its client was told; or specs changed each time that it was built, and
                    // what was sent before may still be under way.
                    None if self.has_trimmed(&response) || are_specs_new(&response) => (Start::Unknown, None),
                    None => {
                        self.misunderstood("a start", &response);
                        (Start::Unknown, None)
                    }
                }
            }
            Answer::NotDone => (Start::NotDone, None),
            Answer::Unknown => (Start::Unknown, None),
        };
        self.requests.asked.borrow_mut()[place].start = start;
        id
    }

    /// Reads a request. It was acknowledged, so it is found; an end it was seen to have come to stays. A stale read may miss both,
    /// unless it asks for an index at which they were there.
    async fn look(&mut self, (place, id): (usize, String)) {
        let freshness = match self.rng.random_range(0..10) {
            0..6 => Freshness::Newest,
            6..8 => Freshness::Stale,
            _ => Freshness::From(self.requests.seen.get()),
        };
        let ended_before = self.requests.asked.borrow()[place].end;
        let Answer::Response(response) = self.read_request(&id, freshness).await else { return };
        if freshness == Freshness::Stale && response.status() == StatusCode::NOT_FOUND {
            sometimes!("a stale read misses a request that was acknowledged");
            return;
        }
        if self.is_trimmed(&id, &response) {
            return;
        }
        let Some(found) = self.understood::<RequestBody>("a look at a request", &response) else { return };
        if !matches!(found.state, State::Complete | State::Fail | State::Stopped) {
            if freshness == Freshness::Stale {
                sometimes!("a stale read misses the end of a request", ended_before.is_some());
                return;
            }
            if let Some(end) = ended_before {
                let seen = format!("request {id} was {end:?} and is {:?}", found.state);
                self.requests.oracle.violated("a request that has ended stays so", seen);
            }
            return;
        }
        self.note_end(place, found.state);
    }

    /// A request was seen to have ended so.
    fn note_end(&self, place: usize, end: State) {
        let asked = &mut self.requests.asked.borrow_mut()[place];
        let before = asked.end.replace(end);
        if before.is_some_and(|before| before != end) {
            let seen = format!("it ended otherwise before, as {before:?}: {asked:?}");
            self.requests.oracle.violated("a request that has ended stays so", seen);
        }
    }

    async fn stop(&mut self, (_, id): (usize, String)) {
        let answer = self.call(Method::PUT, format!("/api/v1/requests/{id}/stop"), "").await;
        if let Answer::Response(response) = answer
            && response.status() != StatusCode::OK
            && !self.is_trimmed(&id, &response)
        {
            self.misunderstood("a stop", &response);
        }
    }

    async fn list(&mut self) {
        let Answer::Response(response) = self.call(Method::GET, "/api/v1/requests".to_owned(), "").await
        else {
            return;
        };
        let index = index_of(&response);
        let listed = self.understood::<Vec<RequestBody>>("a list of requests", &response);
        if let (Some(index), Some(listed)) = (index, listed) {
            let requests = listed.into_iter().map(|it| (it.id, it.state.name().to_owned())).collect();
            let upto = self.requests.oracle.committed_state().index();
            self.requests.listings.borrow_mut().push(Listing { index, upto, requests });
        }
    }

    async fn read_log(&mut self, (_, id): (usize, String)) {
        let answer = self.call(Method::GET, format!("/api/v1/requests/{id}/log"), "").await;
        let Answer::Response(response) = answer else { return };
        if self.is_trimmed(&id, &response) {
            return;
        }
        let Some(log) = self.understood::<Vec<JobLogEntry>>("a look at a log", &response) else { return };
        let mut tries: Vec<_> = log.iter().map(|entry| (&entry.job_id, entry.try_no)).collect();
        tries.sort_unstable();
        if let Some(twice) = tries.windows(2).find(|pair| pair[0] == pair[1]) {
            let found = format!("the log of request {id} has {:?} twice", twice[0]);
            self.requests.oracle.violated("a try is logged once", found);
        }
    }

    /// Whether an answer says that a request is not there, which has been trimmed.
    fn is_trimmed(&self, id: &str, response: &Response<Bytes>) -> bool {
        let is_trimmed = response.status() == StatusCode::NOT_FOUND
            && self.requests.oracle.with_lifetimes(|lifetimes| lifetimes.is_trimmed(id));
        sometimes!("a request is asked for that has been trimmed", is_trimmed);
        is_trimmed
    }

    /// Whether an answer says that a request is not there, and some have been trimmed.
    fn has_trimmed(&self, response: &Response<Bytes>) -> bool {
        response.status() == StatusCode::NOT_FOUND
            && self.requests.oracle.with_lifetimes(Lifetimes::any_trimmed)
    }

    /// Reads a request through any node, once.
    async fn read_request(&mut self, id: &str, freshness: Freshness) -> Answer {
        *self.requests.calls.borrow_mut() += 1;
        let node = self.rng.random_range(self.requests.net.nodes());
        let query = if freshness == Freshness::Newest { "" } else { "?consistency=stale" };
        let mut call = request(&Method::GET, &format!("/api/v1/requests/{id}{query}"), None, "");
        if let Freshness::From(index) = freshness {
            call.headers_mut().insert(INDEX_HEADER, index.into());
        }
        let answer = self.attempt(node, call).await;
        if let (Answer::Response(response), Freshness::From(asked)) = (&answer, freshness)
            && index_of(response) < Some(asked)
        {
            let found = format!("index {asked} was asked for, and {:?} answered", index_of(response));
            self.requests.oracle.violated("an answer is as fresh as it was asked for", found);
        }
        answer
    }

    /// Makes a call, again through another node while its outcome is open and it has a key to be sent again under.
    async fn call(&mut self, method: Method, path: String, body: &str) -> Answer {
        *self.requests.calls.borrow_mut() += 1;
        let key = (method != Method::GET).then(|| format!("{}-{}", self.id, self.requests.calls()));
        let mut is_open = false;
        for _ in 0..ATTEMPTS_MAX {
            let node = self.rng.random_range(self.requests.net.nodes());
            let sent = || request(&method, &path, key.as_deref(), body);
            let answer = if key.is_some() && self.rng.random_bool(TWICE_ODDS) {
                let other = self.rng.random_range(self.requests.net.nodes());
                let both = join(self.attempt(node, sent()), self.attempt(other, sent())).await;
                self.same(both)
            } else {
                self.attempt(node, sent()).await
            };
            match answer {
                Answer::Unknown => is_open = true,
                Answer::NotDone => {}
                Answer::Response(response) => {
                    sometimes!("a call in doubt is answered when it is sent again", is_open);
                    return Answer::Response(response);
                }
            }
        }
        if is_open { Answer::Unknown } else { Answer::NotDone }
    }

    /// What two copies of one call say of it. Both of them cannot have started something of their own.
    fn same(&self, both: (Answer, Answer)) -> Answer {
        match both {
            (Answer::Response(one), Answer::Response(other)) => {
                sometimes!("a call through two nodes at once is answered by both");
                let id = |response| self.read::<serde_json::Value>(response)?.get("id").cloned();
                // One of them may have found a request that was trimmed before the other came.
                let is_gone = self.has_trimmed(&one) || self.has_trimmed(&other);
                if !is_gone && (one.status() != other.status() || id(&one) != id(&other)) {
                    let found = format!(
                        "{} {:?}, and {} {:?}",
                        one.status(),
                        one.body(),
                        other.status(),
                        other.body()
                    );
                    self.requests.oracle.violated("copies of a call have one answer", found);
                }
                Answer::Response(one)
            }
            (Answer::Response(response), _) | (_, Answer::Response(response)) => Answer::Response(response),
            (Answer::NotDone, Answer::NotDone) => Answer::NotDone,
            (Answer::Unknown | Answer::NotDone, Answer::Unknown | Answer::NotDone) => Answer::Unknown,
        }
    }

    async fn attempt(&self, node: Place, request: Request<Bytes>) -> Answer {
        match self.requests.net.http(node, request, PATIENCE).await {
            Ok(response) => {
                let seen = &self.requests.seen;
                seen.set(seen.get().max(index_of(&response).unwrap_or(0)));
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

    fn understood<T: DeserializeOwned>(&self, what: &str, response: &Response<Bytes>) -> Option<T> {
        if response.status() == StatusCode::OK
            && let Some(read) = self.read(response)
        {
            return Some(read);
        }
        self.misunderstood(what, response);
        None
    }

    fn read<T: DeserializeOwned>(&self, response: &Response<Bytes>) -> Option<T> {
        serde_json::from_slice(response.body()).ok()
    }

    fn misunderstood(&self, what: &str, response: &Response<Bytes>) {
        let found = format!("{what} was answered {} {:?}", response.status(), response.body());
        self.requests.oracle.violated("every answer is one that a client can act on", found);
    }
}

/// How a call ended.
enum Answer {
    /// With an answer that says what happened.
    Response(Response<Bytes>),
    /// Nothing happened.
    NotDone,
    /// Nobody knows.
    Unknown,
}

/// Whether a start was given up because other specs became current whenever it was built.
fn are_specs_new(response: &Response<Bytes>) -> bool {
    let says = |words: &[u8]| response.body().windows(words.len()).any(|part| part == words);
    response.status() == StatusCode::CONFLICT && says(b"built from other specs")
}

fn request(method: &Method, path: &str, key: Option<&str>, body: &str) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(path);
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    if let Some(key) = key {
        request = request.header(IDEMPOTENCY_HEADER, key);
    }
    request.body(Bytes::copy_from_slice(body.as_bytes())).expect("its parts are legal")
}
