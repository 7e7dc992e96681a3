//! The network between the nodes, and between clients and nodes.
//!
//! Every message is encoded, decided upon by [`rules`], and delivered by one post office in the order of arrival times; on the Raft
//! channel no message overtakes another. A handler runs as a task of the node it is for, so a crash takes it; whoever
//! waits for its answer is known to the network, so a crash is silence and not an error.

mod rules;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};

use bytes::Bytes;
use capstan_api::Api;
use capstan_client::IDEMPOTENCY_HEADER;
use capstan_model::ids::NodeId;
use capstan_raft_store::peer::{
    Channel, PeerError, PeerReply, PeerRequest, PeerService, SnapshotStep, Transport,
};
use futures::future::BoxFuture;
use http::{Request, Response};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use self::rules::Rules;
pub use self::rules::{Latency, Place, Rule};
use crate::{oracle::Oracle, trace::Trace};

/// Where clients are.
pub const CLIENTS: Place = 0;

/// How much later a second copy comes at the most.
const LATE_MAX: Duration = Duration::from_secs(3);

/// Work that a node is given from outside; it is started inside the node.
pub type Job = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

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
    rules: Rules,
    rng: SmallRng,
    parcels: BTreeMap<(Instant, u64), Parcel>,
    /// When the newest message of a channel that keeps order arrives.
    in_order: BTreeMap<(Place, Place, bool), Instant>,
    waiting: BTreeMap<u64, Waiting>,
    /// Pairs of lives that have said hello.
    introduced: BTreeSet<(u64, u64)>,
    next_parcel: u64,
    next_call: u64,
}

struct Station {
    life: u64,
    jobs: mpsc::UnboundedSender<Job>,
    services: Option<Services>,
}

enum Waiting {
    Peer(oneshot::Sender<Result<PeerReply, PeerError>>),
    Client(oneshot::Sender<Result<Response<Bytes>, NoResponse>>),
}

/// Something on its way.
#[derive(Clone)]
enum Parcel {
    /// A peer's call, for one life of its addressee: a connection does not outlive the process.
    Call { call: u64, from: Place, from_life: u64, to: Place, to_life: u64, channel: Channel, bytes: Bytes },
    /// The answer to one.
    Reply { call: u64, from: Place, to: Place, bytes: Bytes },
    /// A client's call.
    ClientCall { call: u64, to: Place, to_life: u64, request: Request<Bytes> },
    /// The answer to one.
    ClientReply { call: u64, from: Place, response: Response<Bytes> },
    /// Nobody listened.
    Refused { call: u64, by: Place },
}

impl Net {
    /// A healthy network for so many nodes, none of which is there yet.
    pub fn new(nodes: u64, latency: Latency, seed: u64, trace: Arc<Trace>, oracle: Arc<Oracle>) -> Arc<Self> {
        let inner = Inner {
            stations: BTreeMap::new(),
            rules: Rules::new(latency),
            rng: SmallRng::seed_from_u64(seed),
            parcels: BTreeMap::new(),
            in_order: BTreeMap::new(),
            waiting: BTreeMap::new(),
            introduced: BTreeSet::new(),
            next_parcel: 0,
            next_call: 0,
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
        self.lock().stations.remove(&node);
    }

    /// A fault begins.
    pub fn begin(&self, fault: u64, rules: Vec<Rule>) {
        self.lock().rules.begin(fault, rules);
    }

    /// A fault ends.
    pub fn end(&self, fault: u64) {
        self.lock().rules.end(fault);
    }

    /// Every fault ends.
    pub fn heal(&self) {
        self.lock().rules.end_all();
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
                Some(to_life) => {
                    // A connection brings a call once; twice it comes only from a client that may send it again.
                    let repeats = request.headers().contains_key(IDEMPOTENCY_HEADER);
                    let copies_max = if repeats { u32::MAX } else { 1 };
                    let parcel = Parcel::ClientCall { call, to, to_life, request };
                    inner.post_at_most(copies_max, CLIENTS, to, None, parcel);
                }
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
            let next = self.lock().parcels.first_key_value().map(|((at, _), _)| *at);
            tokio::select! {
                biased;
                () = self.posted.notified() => {}
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
            loop {
                // Delivering locks again, so what is due is taken in a statement of its own.
                let due = self.lock().take_due(Instant::now());
                let Some(parcel) = due else { break };
                self.deliver(parcel);
            }
        }
    }

    fn deliver(&self, parcel: Parcel) {
        match parcel {
            Parcel::Call { call, from, from_life, to, to_life, channel, bytes } => {
                self.trace.event(to, "call", &[from, call, channel as u64], &bytes);
                self.deliver_call(Arrived { call, from, from_life, to, to_life, channel, bytes });
            }
            Parcel::Reply { call, from, to, bytes } => {
                if self.lock().rules.is_cut(from, to) {
                    return;
                }
                self.trace.event(to, "reply", &[from, call], &bytes);
                if let Some(Waiting::Peer(waiting)) = self.take_waiting(call) {
                    // Whoever waited may have been told to stop meanwhile.
                    let _ = waiting.send(Ok(decode(&bytes)));
                }
            }
            Parcel::ClientCall { call, to, to_life, request } => {
                self.deliver_client_call(call, to, to_life, request);
            }
            Parcel::ClientReply { call, from, response } => {
                self.trace.event(
                    from,
                    "response",
                    &[call, u64::from(response.status().as_u16())],
                    response.body(),
                );
                if let Some(Waiting::Client(waiting)) = self.take_waiting(call) {
                    let _ = waiting.send(Ok(response));
                }
            }
            Parcel::Refused { call, by } => match self.take_waiting(call) {
                Some(Waiting::Peer(waiting)) => {
                    let refused =
                        PeerError::Unreachable { node: NodeId(by), reason: "connection refused".into() };
                    let _ = waiting.send(Err(refused));
                }
                Some(Waiting::Client(waiting)) => {
                    let _ = waiting.send(Err(NoResponse::Refused));
                }
                None => {}
            },
        }
    }

    fn deliver_call(&self, arrived: Arrived) {
        let Arrived { call, from, to, channel, .. } = arrived;
        let Some((services, jobs)) = self.addressee(from, to, arrived.to_life) else { return };
        if let Err(reason) = self.introduce(&arrived, &services) {
            self.oracle.violated("peers of one cluster admit each other", reason);
            return;
        }
        if channel == Channel::Snapshot {
            self.oracle.snapshot_step(to);
        }
        let mut request: PeerRequest = decode(&arrived.bytes);
        if let PeerRequest::Snapshot(SnapshotStep::Chunk { bytes, .. }) = &mut request {
            self.lock().may_damage(bytes);
        }
        let net = self.arc();
        let life = arrived.to_life;
        let job: Job = Box::new(move || {
            let handled = services.peers.handle(NodeId(from), request);
            Box::pin(async move {
                let reply = encode(&handled.await);
                net.answer(to, life, |inner| {
                    inner.post(
                        to,
                        from,
                        order_of(channel),
                        Parcel::Reply { call, from: to, to: from, bytes: reply },
                    );
                });
            })
        });
        // A node that is going down takes no more work.
        let _ = jobs.send(job);
    }

    fn deliver_client_call(&self, call: u64, to: Place, life: u64, request: Request<Bytes>) {
        let Some((services, jobs)) = self.addressee(CLIENTS, to, life) else { return };
        let net = self.arc();
        let is_write = request.method() != http::Method::GET;
        let job: Job = Box::new(move || {
            Box::pin(async move {
                let response = services.api.call(request).await;
                let is_acknowledged = is_write && response.status().is_success();
                net.answer(to, life, |inner| {
                    inner.post(to, CLIENTS, None, Parcel::ClientReply { call, from: to, response });
                });
                if is_acknowledged {
                    net.oracle.write_acknowledged();
                }
            })
        });
        let _ = jobs.send(job);
    }

    /// The addressee of something that has arrived, if it is still the one it was sent to.
    fn addressee(&self, from: Place, to: Place, life: u64) -> Option<(Services, mpsc::UnboundedSender<Job>)> {
        let inner = self.lock();
        if inner.rules.is_cut(from, to) {
            return None;
        }
        let station = inner.stations.get(&to).filter(|station| station.life == life)?;
        Some((station.services.clone()?, station.jobs.clone()))
    }

    /// The hello of a connection, once for each pair of lives.
    fn introduce(&self, arrived: &Arrived, services: &Services) -> Result<(), String> {
        let pair = (arrived.from_life, arrived.to_life);
        let sender = {
            let inner = self.lock();
            if inner.introduced.contains(&pair) {
                return Ok(());
            }
            let station =
                inner.stations.get(&arrived.from).filter(|station| station.life == arrived.from_life);
            station.and_then(|station| station.services.clone())
        };
        // Who sends before it serves, or has gone since, introduces itself next time.
        let Some(sender) = sender else { return Ok(()) };
        services.peers.admit(&sender.peers.identity())?;
        sender.peers.admit(&services.peers.identity())?;
        self.lock().introduced.insert(pair);
        Ok(())
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
        self.lock().waiting.remove(&call)
    }

    fn arc(&self) -> Arc<Self> {
        self.itself.upgrade().expect("it is in use")
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while holding it")
    }
}

/// A peer's call at its destination.
struct Arrived {
    call: u64,
    from: Place,
    from_life: u64,
    to: Place,
    to_life: u64,
    channel: Channel,
    bytes: Bytes,
}

/// Messages of the same order arrive as they were sent.
fn order_of(channel: Channel) -> Option<bool> {
    match channel {
        Channel::Raft => Some(false),
        Channel::Snapshot => Some(true),
        Channel::Forward | Channel::Heartbeat => None,
    }
}

impl Inner {
    fn life_of(&self, node: Place) -> Option<u64> {
        self.stations.get(&node).map(|station| station.life)
    }

    fn expect(&mut self, waiting: Waiting) -> u64 {
        self.next_call += 1;
        self.waiting.insert(self.next_call, waiting);
        self.next_call
    }

    fn post(&mut self, from: Place, to: Place, order: Option<bool>, parcel: Parcel) {
        self.post_at_most(u32::MAX, from, to, order, parcel);
    }

    fn post_at_most(&mut self, copies_max: u32, from: Place, to: Place, order: Option<bool>, parcel: Parcel) {
        let fate = self.rules.decide(from, to, &mut self.rng);
        let mut at = Instant::now() + fate.takes;
        if let Some(channel) = order {
            let newest = self.in_order.entry((from, to, channel)).or_insert(at);
            *newest = at.max(*newest);
            at = *newest;
        }
        for copy in 0..fate.copies.min(copies_max) {
            if copy > 0 && may_come_late(&parcel) {
                at += self.rng.random_range(Duration::ZERO..LATE_MAX);
            }
            self.next_parcel += 1;
            self.parcels.insert((at, self.next_parcel), parcel.clone());
        }
    }

    /// Turns a bit round, if a rule says so.
    fn may_damage(&mut self, bytes: &mut Bytes) {
        if !bytes.is_empty() && self.rules.damages(&mut self.rng) {
            let mut damaged = bytes.to_vec();
            let place = self.rng.random_range(0..damaged.len());
            damaged[place] ^= 1 << self.rng.random_range(0..8);
            *bytes = damaged.into();
        }
    }

    /// A machine that is up refuses at once; one that is down is silent.
    fn nobody_listens(&mut self, from: Place, to: Place, call: u64) {
        if self.rng.random_bool(0.5) {
            self.post(to, from, None, Parcel::Refused { call, by: to });
        }
    }

    fn take_due(&mut self, now: Instant) -> Option<Parcel> {
        let first = self.parcels.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }
}

/// Forgets a call whose caller has gone.
struct Expected<'a> {
    net: &'a Net,
    call: u64,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        drop(self.net.take_waiting(self.call));
    }
}

/// One life's end of the network.
struct NodeTransport {
    net: Arc<Net>,
    node: Place,
    life: u64,
}

impl Transport for NodeTransport {
    fn call(
        &self,
        to: NodeId,
        channel: Channel,
        request: PeerRequest,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<PeerReply, PeerError>> {
        let (net, from, from_life) = (Arc::clone(&self.net), self.node, self.life);
        Box::pin(async move {
            let (answer, reply) = oneshot::channel();
            let call = {
                let inner = &mut *net.lock();
                let call = inner.expect(Waiting::Peer(answer));
                if inner.life_of(from) == Some(from_life) {
                    match inner.life_of(to.0) {
                        Some(to_life) => {
                            let bytes = encode(&request);
                            let parcel =
                                Parcel::Call { call, from, from_life, to: to.0, to_life, channel, bytes };
                            inner.post(from, to.0, order_of(channel), parcel);
                        }
                        None => inner.nobody_listens(from, to.0, call),
                    }
                }
                call
            };
            net.posted.notify_one();
            let _waiting = Expected { net: &net, call };
            match tokio::time::timeout(deadline, reply).await {
                Ok(Ok(reply)) => reply,
                Ok(Err(_)) | Err(_) => Err(PeerError::NoAnswer {
                    node: to,
                    reason: format!("nothing came back within {deadline:?}"),
                }),
            }
        })
    }
}

fn encode<T: Serialize>(message: &T) -> Bytes {
    postcard::to_stdvec(message).expect("messages of peers are serialisable").into()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).expect("what was encoded can be decoded")
}

/// Whether a second copy may come long after the first: of what is sent again by those who heard nothing.
fn may_come_late(parcel: &Parcel) -> bool {
    matches!(parcel, Parcel::Call { channel: Channel::Forward, .. } | Parcel::ClientCall { .. })
}
