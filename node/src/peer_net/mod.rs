//! The [`Transport`] over TCP.
//!
//! Each node dials its peers for its own calls, on one connection for each [`Channel`], when the first call asks for it;
//! calls in the other direction go over the connections that the other node dialled. A connection carries many calls at
//! a time, named by numbers. From the outside in:
//!
//! * `link`: the calls of one outgoing connection; decides `Unreachable` or `NoAnswer`.
//! * `dialer`: connects a link and moves its bytes. `listener` and `serving`: the same for the other end.
//! * `hello`: the greeting that opens each connection. `message`, `frame`: what travels, and how it is cut.
//!
//! A peer that cannot be reached is tried again when a call asks for it, after a pause that grows up to half a second;
//! within the pause calls fail at once. There is no encryption and no authentication beyond the greeting: the peer
//! addresses belong into a network of their own.
//!
//! `frame`, `hello` and `message` are open to the fuzzer, which feeds them what no peer of ours would send.

mod dialer;
#[doc(hidden)]
pub mod frame;
#[doc(hidden)]
pub mod hello;
mod link;
mod listener;
#[doc(hidden)]
pub mod message;
mod quiet;
mod serving;
mod socket;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use capstan_model::ids::NodeId;
use capstan_raft_store::peer::{Channel, PeerError, PeerReply, PeerRequest, PeerService, Transport};
use futures::{FutureExt, future::BoxFuture};
use tokio::{net::TcpListener, runtime::Handle};
use tokio_util::sync::CancellationToken;

use self::{
    link::{Link, Needs},
    quiet::Quiet,
};

/// One node's end of all its connections.
#[derive(Clone)]
pub struct PeerNet(Arc<Shared>);

struct Shared {
    links: BTreeMap<(NodeId, Channel), (Arc<Link>, Arc<Quiet>)>,
    service: OnceLock<Arc<dyn PeerService>>,
    closing: CancellationToken,
    /// Connections live on the runtime the net was made on, wherever their first call is polled.
    runtime: Handle,
}

impl PeerNet {
    /// Makes the links to `peers` (`host:port` each). Dials nobody, and answers every call with `Unreachable` until
    /// [`Self::serve`] has said who this node is.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(peers: &BTreeMap<NodeId, String>) -> Self {
        let links = peers
            .iter()
            .flat_map(|(peer, address)| Channel::ALL.map(|channel| (*peer, channel, address.clone())))
            .map(|(peer, channel, address)| {
                let link = Arc::new(Link::new(peer, channel, address));
                ((peer, channel), (link, Arc::new(Quiet::default())))
            })
            .collect();
        Self(Arc::new(Shared {
            links,
            service: OnceLock::new(),
            closing: CancellationToken::new(),
            runtime: Handle::current(),
        }))
    }

    /// Starts to accept connections and to make calls as the node that `service` identifies.
    ///
    /// # Panics
    /// When called twice.
    pub fn serve(&self, listener: TcpListener, service: Arc<dyn PeerService>) {
        assert!(self.0.service.set(Arc::clone(&service)).is_ok(), "a peer net serves one node");
        self.0.runtime.spawn(listener::run(listener, service, self.0.closing.clone()));
    }

    /// Closes every connection and the listener; calls fail from now on.
    pub fn close(&self) {
        self.0.closing.cancel();
    }
}

impl Shared {
    /// Queues a call and returns its ticket; starts a dialler when there is none.
    fn start(
        &self,
        to: NodeId,
        channel: Channel,
        request: PeerRequest,
        deadline: Duration,
    ) -> Result<link::Ticket, PeerError> {
        let unreachable = |reason: &str| PeerError::Unreachable { node: to, reason: reason.to_owned() };
        let (link, quiet) =
            self.links.get(&(to, channel)).ok_or_else(|| unreachable("it is not a configured peer"))?;
        let service = self.service.get().ok_or_else(|| unreachable("this node is still starting"))?;
        if self.closing.is_cancelled() {
            return Err(unreachable("this node is shutting down"));
        }
        let (ticket, needs) = link.start(request, deadline)?;
        if needs == Needs::Dialler {
            let dialler =
                dialer::run(Arc::clone(link), Arc::clone(quiet), Arc::clone(service), self.closing.clone());
            self.runtime.spawn(dialler);
        }
        Ok(ticket)
    }
}

impl Transport for PeerNet {
    fn call(
        &self,
        to: NodeId,
        channel: Channel,
        request: PeerRequest,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<PeerReply, PeerError>> {
        let shared = Arc::clone(&self.0);
        async move { shared.start(to, channel, request, deadline)?.answer(deadline).await }.boxed()
    }
}
