//! The network between the nodes, and between clients and nodes.
//!
//! Every message is encoded, decided upon by `rules.rs`, and delivered by one post office (`post.rs`) in the order of arrival times; on
//! one connection of Raft's or of snapshots no message overtakes another. What a node dials is in `transport.rs`. A handler runs as a task
//! of the node it is for, so a crash takes it; whoever waits for its answer is known to the network, so a crash is silence at first, and
//! for peers an error once their kernel would give the connection up.

mod delivery;
mod latency;
mod post;
mod rules;
mod streams;
mod transport;
mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};

use bytes::Bytes;
use capstan_api::Api;
use capstan_client::IDEMPOTENCY_HEADER;
use capstan_raft_store::peer::{Channel, PeerService, Transport};
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use rand::RngExt;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

pub use self::{
    latency::Latency,
    rules::{Place, Rule, Stranger},
    streams::{Item, Opened, Pieces},
};
use self::{
    post::{NOTICED_WITHIN, Post},
    rules::{Leg, Way},
    streams::{Line, Part},
    transport::{Connections, NodeTransport},
    waiting::{Expected, PeerWaiting, Waiting},
};
use crate::{oracle::Oracle, trace::Trace};

/// Where clients are.
pub const CLIENTS: Place = 0;

/// Work that a node is given from outside; it is started inside the node.
pub type Job = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// Marks a client's call that brings nothing, whatever others bring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anonymous;

/// What a node serves once it has started.
#[derive(Clone)]
pub struct Services {
    /// For its peers.
    pub peers: Arc<dyn PeerService>,
    /// For clients.
    pub api: Api,
}

/// Why a client's call had no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoResponse {
    /// The connection was refused: nothing happened.
    Refused,
    /// Nothing came back in time.
    Silence,
}

/// The network of one world.
pub struct Net {
    nodes: u64,
    inner: Mutex<Inner>,
    posted: Notify,
    trace: Arc<Trace>,
    oracle: Arc<Oracle>,
    itself: Weak<Self>,
}

struct Inner {
    stations: BTreeMap<Place, Station>,
    post: Post,
    connections: Connections,
    /// Calls without an answer so far.
    waiting: BTreeMap<u64, Waiting>,
    /// How many of them are of one node to another.
    waiting_peers: BTreeMap<(Place, Place), usize>,
    /// Clients' connections that carry streams, or may come to.
    lines: BTreeMap<u64, Line>,
    /// Nodes that peers may refuse.
    distrusted: BTreeSet<Place>,
    /// Pairs of lives that have said hello.
    introduced: BTreeSet<(u64, u64)>,
    next_call: u64,
    /// What clients bring that do not say otherwise.
    authorization: Option<HeaderValue>,
}

struct Station {
    life: u64,
    jobs: mpsc::UnboundedSender<Job>,
    services: Option<Services>,
}

/// Something on its way.
#[derive(Clone)]
enum Parcel {
    /// A peer's call.
    Call(Arrived),
    /// The answer to one.
    Reply { call: u64, from: Place, to: Place, bytes: Bytes },
    /// A client's call.
    ClientCall { call: u64, to: Place, to_life: u64, request: Request<Bytes> },
    /// The answer to one.
    ClientReply { call: u64, from: Place, response: Response<Bytes> },
    /// Nobody listened.
    Refused { call: u64, by: Place },
    /// What a peer's call or its answer was in is lost.
    Lost { call: u64 },
    /// A connection between peers ends.
    Break { link: (Place, Place, Channel), number: u64 },
    /// A client's connection ends.
    ClientBreak { call: u64 },
    /// A part of a stream.
    Streamed { call: u64, part: Part },
    /// It is time to send one again that was lost.
    Again { call: u64, part: Part },
}

/// A peer's call, for one life of its addressee: a connection does not outlive the process.
#[derive(Clone)]
struct Arrived {
    call: u64,
    connection: u64,
    from: Place,
    from_life: u64,
    to: Place,
    to_life: u64,
    channel: Channel,
    bytes: Bytes,
}

impl Net {
    /// A healthy network for so many nodes, none of which is there yet.
    pub fn new(nodes: u64, latency: Latency, seed: u64, trace: Arc<Trace>, oracle: Arc<Oracle>) -> Arc<Self> {
        let inner = Inner {
            stations: BTreeMap::new(),
            post: Post::new(latency, seed),
            connections: Connections::default(),
            waiting: BTreeMap::new(),
            waiting_peers: BTreeMap::new(),
            lines: BTreeMap::new(),
            distrusted: BTreeSet::new(),
            introduced: BTreeSet::new(),
            next_call: 0,
            authorization: None,
        };
        Arc::new_cyclic(|itself| Self {
            nodes,
            inner: Mutex::new(inner),
            posted: Notify::new(),
            trace,
            oracle,
            itself: Weak::clone(itself),
        })
    }

    /// The nodes of the world, up or down.
    pub fn nodes(&self) -> RangeInclusive<Place> {
        1..=self.nodes
    }

    /// Connects a new life of a node, which serves nothing yet, and gives it its end of the network.
    pub fn connect(&self, node: Place, life: u64, jobs: mpsc::UnboundedSender<Job>) -> Arc<dyn Transport> {
        self.lock().stations.insert(node, Station { life, jobs, services: None });
        Arc::new(NodeTransport { net: self.arc(), node, life })
    }

    /// Gives a node work from its own machine, as a signal does. One that is down drops it.
    pub(crate) fn give(&self, node: Place, job: Job) {
        if let Some(station) = self.lock().stations.get(&node) {
            drop(station.jobs.send(job));
        }
    }

    /// From now on the node answers.
    pub fn serve(&self, node: Place, life: u64, services: Services) {
        if let Some(station) = self.lock().stations.get_mut(&node).filter(|station| station.life == life) {
            station.services = Some(services);
        }
    }

    /// The node is gone; what was for it is lost, and what it still tries to say is not heard.
    pub fn disconnect(&self, node: Place) {
        let inner = &mut *self.lock();
        inner.stations.remove(&node);
        inner.lose_calls_to(node);
        inner.break_streams_of(node);
        self.posted.notify_one();
    }

    /// From now on peers may refuse this node: its data is not what it was.
    pub(crate) fn distrust(&self, node: Place) {
        self.lock().distrusted.insert(node);
    }

    /// A fault begins.
    pub fn begin(&self, fault: u64, rules: Vec<Rule>) {
        let inner = &mut *self.lock();
        inner.break_all(&rules);
        inner.post.begin(fault, rules);
        self.posted.notify_one();
    }

    /// A fault ends.
    pub fn end(&self, fault: u64) {
        self.lock().post.end(fault);
        self.posted.notify_one();
    }

    /// Every fault ends.
    pub fn heal(&self) {
        self.lock().post.end_all();
        self.posted.notify_one();
    }

    /// From now on clients bring this, unless they bring something else or are [`Anonymous`].
    ///
    /// # Panics
    /// It is not legal in a header.
    pub(crate) fn call_as(&self, authorization: &str) {
        let value = HeaderValue::try_from(authorization).expect("it is visible ASCII");
        self.lock().authorization = Some(value);
    }

    /// Makes a client's call.
    ///
    /// # Errors
    /// See [`NoResponse`].
    pub async fn http(
        &self,
        to: Place,
        request: Request<Bytes>,
        patience: Duration,
    ) -> Result<Response<Bytes>, NoResponse> {
        let (answer, response) = oneshot::channel();
        let call = {
            let inner = &mut *self.lock();
            let call = inner.expect(Waiting::Client(answer));
            match inner.life_of(to) {
                Some(to_life) => inner.send_client_call(call, to, to_life, request),
                None => inner.nobody_listens(CLIENTS, to, call),
            }
            call
        };
        self.posted.notify_one();
        let _waiting = Expected { net: self, call };
        match tokio::time::timeout(patience, response).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) | Err(_) => Err(NoResponse::Silence),
        }
    }

    /// Delivers for as long as the world exists.
    pub async fn run(self: Arc<Self>) {
        loop {
            let next = self.lock().post.next_at();
            tokio::select! {
                biased;
                () = self.posted.notified() => {}
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
            loop {
                // Delivering locks again, so what is due is taken in a statement of its own.
                let due = self.lock().post.take_due(Instant::now());
                let Some(parcel) = due else { break };
                self.deliver(parcel);
            }
        }
    }

    /// Posts what a node says, unless it has died.
    fn answer(&self, node: Place, life: u64, post: impl FnOnce(&mut Inner)) {
        let inner = &mut *self.lock();
        if inner.life_of(node) == Some(life) {
            post(inner);
            self.posted.notify_one();
        }
    }

    fn take_waiting(&self, call: u64) -> Option<Waiting> {
        self.lock().stop_waiting_for(call)
    }

    fn arc(&self) -> Arc<Self> {
        self.itself.upgrade().expect("it is in use")
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while holding it")
    }
}

/// About how long the head of a call or a response is, in bytes.
const HTTP_BYTES: usize = 300;

/// Whether a call that was done may come once more, from whoever may send it again.
fn is_repeatable(request: &Request<Bytes>) -> bool {
    request.headers().contains_key(IDEMPOTENCY_HEADER)
}

impl Inner {
    fn life_of(&self, node: Place) -> Option<u64> {
        self.stations.get(&node).map(|station| station.life)
    }

    fn send_call(&mut self, call: Arrived) {
        let way = Way {
            from: call.from,
            to: call.to,
            leg: Leg::Call,
            channel: Some(call.channel),
            bytes: call.bytes.len(),
            copies_max: u32::MAX,
        };
        self.post.send(way, Parcel::Call(call));
    }

    fn send_client_call(&mut self, call: u64, to: Place, to_life: u64, mut request: Request<Bytes>) {
        if let Some(authorization) = &self.authorization
            && request.extensions().get::<Anonymous>().is_none()
            && !request.headers().contains_key(AUTHORIZATION)
        {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        if self.post.rules.breaks(&mut self.post.rng) {
            let after = self.post.moment(Duration::from_millis(20));
            self.post.send_late(after, Parcel::ClientBreak { call });
        }
        let way = Way {
            from: CLIENTS,
            to,
            leg: Leg::Call,
            channel: None,
            bytes: HTTP_BYTES + request.body().len(),
            // Whoever sends a call again in a client's name waits for the answer to the first before, and passes a refusal on.
            copies_max: 1,
        };
        self.post.send(way, Parcel::ClientCall { call, to, to_life, request });
    }

    /// Whether a call was on a connection that has broken, and does not get through now: not at all, or late.
    fn is_stuck(&mut self, call: &Arrived) -> bool {
        if call.connection >= self.connections.number((call.from, call.to, call.channel)) {
            return false;
        }
        match self.post.rng.random_range(0..4) {
            0 => false,
            1 => {
                let after = rules::late(&mut self.post.rng);
                let connection = u64::MAX;
                self.post.send_late(after, Parcel::Call(Arrived { connection, ..call.clone() }));
                true
            }
            _ => true,
        }
    }

    /// Lets something that was done be asked for once more, later, if a rule says so.
    fn maybe_again(&mut self, parcel: Parcel) {
        if let Some(after) = self.post.rules.replays(&mut self.post.rng) {
            capstan_model::sometimes!("what was done was asked for again later");
            self.post.send_late(after, parcel);
        }
    }

    /// A machine that is up refuses at once; one that is down is silent.
    fn nobody_listens(&mut self, from: Place, to: Place, call: u64) {
        if self.post.rng.random_bool(0.5) {
            self.refuse(from, to, call);
        }
    }

    /// A node that has been started and does not serve yet has no socket: its machine refuses a client's call.
    fn refuse_unless_heard(&mut self, to: Place, life: u64, call: u64) {
        let starts = self.stations.get(&to).is_some_and(|it| it.life == life && it.services.is_none());
        if starts {
            self.refuse(CLIENTS, to, call);
        }
    }

    /// Tells the caller that nobody takes its call, if that gets through.
    fn refuse(&mut self, from: Place, by: Place, call: u64) {
        if self.post.rules.is_cut(from, by) || self.post.rules.is_cut(by, from) {
            return self.post.send_late(NOTICED_WITHIN, Parcel::Lost { call });
        }
        let after = self.post.rules.latency(&mut self.post.rng);
        self.post.send_late(after, Parcel::Refused { call, by });
    }

    /// Whoever waits for an answer of a node that is gone learns sooner or later that none comes.
    fn lose_calls_to(&mut self, node: Place) {
        for call in self.calls_to(node) {
            let after = self.post.moment(NOTICED_WITHIN);
            self.post.send_late(after, Parcel::Lost { call });
        }
    }
}

fn encode<T: Serialize>(message: &T) -> Bytes {
    postcard::to_stdvec(message).expect("messages of peers are serialisable").into()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).expect("what was encoded can be decoded")
}
