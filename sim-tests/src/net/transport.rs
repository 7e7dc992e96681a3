//! One life's end of the network: its calls to peers, and the connections that carry them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use capstan_model::ids::{ClusterId, DiskId, Incarnation, NodeId};
use capstan_raft_store::peer::{Channel, PeerError, PeerIdentity, PeerReply, PeerRequest, Transport};
use futures::future::BoxFuture;
use rand::RngExt;
use tokio::{sync::oneshot, time::Instant};

use super::{
    Arrived, Expected, Inner, Net, Parcel, PeerWaiting, Waiting, encode,
    rules::{Place, Rule, Stranger},
};

/// The longest a node may wait for an answer: whoever waits for longer waits for ever when a peer accepts and never answers.
const DEADLINE_MAX: Duration = Duration::from_secs(60);
/// How many calls of a node may wait for one peer: a peer that does not answer must not fill the memory of the others.
const WAITING_MAX: usize = 64;
/// How long after a connection broke the next call dials again, at least and at most: `node`'s dialler pauses like that.
const REDIAL_MS: (u64, u64) = (10, 500);

/// The connections of calls between peers.
#[derive(Default)]
pub(super) struct Connections(BTreeMap<(Place, Place, Channel), Connection>);

#[derive(Default, Clone, Copy)]
struct Connection {
    /// Counts those there were before.
    number: u64,
    redials_at: Option<Instant>,
}

impl Connections {
    /// The number of the present connection.
    pub(super) fn number(&self, link: (Place, Place, Channel)) -> u64 {
        self.0.get(&link).map_or(0, |connection| connection.number)
    }

    /// Whether calls fail at once, because the last connection has only just broken.
    fn pauses(&self, link: (Place, Place, Channel)) -> bool {
        let redials_at = self.0.get(&link).and_then(|connection| connection.redials_at);
        redials_at.is_some_and(|at| Instant::now() < at)
    }
}

/// One life's end of the network.
pub(super) struct NodeTransport {
    pub(super) net: Arc<Net>,
    pub(super) node: Place,
    pub(super) life: u64,
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
            if deadline > DEADLINE_MAX {
                let found = format!("node {from} gives node {to} {deadline:?} for an answer");
                net.oracle.violated("every call to a peer has a deadline", found);
            }
            let call = {
                let inner = &mut *net.lock();
                let is_alive = inner.life_of(from) == Some(from_life);
                let dialled = is_alive.then(|| inner.dial(from, to.0, channel));
                if let Some(Dialled::Failed(reason)) = dialled {
                    return Err(PeerError::Unreachable { node: to, reason: reason.into() });
                }
                let call = inner.expect(Waiting::Peer(PeerWaiting { from, to: to.0, channel, answer }));
                if inner.waiting_for(from, to.0) > WAITING_MAX {
                    let found = format!("{WAITING_MAX} calls of node {from} wait for node {to} already");
                    net.oracle.violated("calls that wait for a peer are bounded", found);
                }
                match dialled {
                    Some(Dialled::Through(to_life)) => {
                        let bytes = encode(&request);
                        inner.send_call(Arrived {
                            call,
                            connection: inner.connections.number((from, to.0, channel)),
                            from,
                            from_life,
                            to: to.0,
                            to_life,
                            channel,
                            bytes,
                        });
                    }
                    Some(Dialled::Nobody) => inner.nobody_listens(from, to.0, call),
                    Some(Dialled::Strange(stranger)) => {
                        if let Err(found) = inner.meets(from, to.0, stranger) {
                            net.oracle.violated("a hello refuses who was not dialled", found);
                        }
                        inner.refuse(from, to.0, call);
                    }
                    Some(Dialled::Failed(_)) | None => {}
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

/// What a call meets.
enum Dialled {
    /// A connection to this life of the peer.
    Through(u64),
    /// A machine without the process, or none.
    Nobody,
    /// Nothing leaves.
    Failed(&'static str),
    /// Someone else at the peer's address.
    Strange(Stranger),
}

impl Inner {
    /// Looks whether a call can leave, and breaks its connection if that is to happen under it.
    fn dial(&mut self, from: Place, to: Place, channel: Channel) -> Dialled {
        let link = (from, to, channel);
        if self.connections.pauses(link) {
            return Dialled::Failed("the last connection has only just broken");
        }
        if let Some(stranger) = self.post.rules.stranger(from, to) {
            return Dialled::Strange(stranger);
        }
        if self.post.is_backed_up(from, to) {
            return Dialled::Failed("too many bytes wait to be sent");
        }
        let Some(to_life) = self.life_of(to) else { return Dialled::Nobody };
        if self.post.rules.breaks(&mut self.post.rng) {
            let number = self.connections.number(link);
            let after = self.post.moment(Duration::from_millis(10));
            self.post.send_late(after, Parcel::Break { link, number });
        }
        Dialled::Through(to_life)
    }

    /// Breaks the present connections from one node to another: the next calls are new ones.
    pub(super) fn break_all(&mut self, rules: &[Rule]) {
        for rule in rules {
            let Rule::Misroute(from, to, _) = *rule else { continue };
            for channel in Channel::ALL {
                self.break_connection((from, to, channel), None);
            }
        }
    }

    /// Ends a connection, if it is the present one: whoever waits for an answer learns that none comes. What was on its way may
    /// arrive late, or not.
    pub(super) fn break_connection(&mut self, link: (Place, Place, Channel), number: Option<u64>) {
        let connection = self.connections.0.entry(link).or_default();
        if number.is_some_and(|number| number != connection.number) {
            return;
        }
        let pause = Duration::from_millis(self.post.rng.random_range(REDIAL_MS.0..=REDIAL_MS.1));
        *connection = Connection { number: connection.number + 1, redials_at: Some(Instant::now() + pause) };
        for PeerWaiting { to, answer, .. } in self.stop_waiting(link) {
            let node = NodeId(to);
            let _ = answer.send(Err(PeerError::NoAnswer { node, reason: "the connection broke".into() }));
        }
    }

    /// Whether the hello between a node and who answers at the address of `dialled` fails, as it must.
    fn meets(&self, from: Place, dialled: Place, stranger: Stranger) -> Result<(), String> {
        let service = |node: Place| Some(Arc::clone(&self.stations.get(&node)?.services.as_ref()?.peers));
        // Who does not serve yet dials nobody.
        let Some(caller) = service(from) else { return Ok(()) };
        let mine = caller.identity();
        let (theirs, admission) = match stranger {
            Stranger::Node(node) => {
                let Some(other) = service(node) else { return Ok(()) };
                (other.identity(), other.admit(&mine))
            }
            Stranger::OtherCluster => {
                // Who belongs to no cluster yet cannot tell.
                let Some(cluster) = mine.cluster else { return Ok(()) };
                (foreigner(NodeId(dialled), cluster, &mine), Ok(()))
            }
        };
        let refusal = admission.and_then(|()| theirs.check_dialled(NodeId(dialled)));
        match refusal.and_then(|()| caller.admit(&theirs)) {
            Err(_) => {
                capstan_model::sometimes!("hello refused at an address of someone else");
                Ok(())
            }
            Ok(()) => Err(format!("node {from} dialled node {dialled} and admitted {theirs:?}")),
        }
    }
}

/// A node of the same id in another cluster.
fn foreigner(node: NodeId, not: ClusterId, mine: &PeerIdentity) -> PeerIdentity {
    PeerIdentity {
        cluster: Some(ClusterId(!not.0)),
        node,
        disk: DiskId(!mine.disk.0),
        incarnation: Incarnation { node, boot: 1, nonce: !mine.incarnation.nonce },
        cluster_version: mine.cluster_version,
    }
}
