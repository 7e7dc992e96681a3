//! Calls without an answer so far.

use bytes::Bytes;
use capstan_raft_store::peer::{Channel, PeerError, PeerReply};
use http::Response;
use tokio::sync::oneshot;

use super::{Inner, Net, NoResponse, rules::Place};

/// Who waits for an answer.
pub(super) enum Waiting {
    Peer(PeerWaiting),
    Client(oneshot::Sender<Result<Response<Bytes>, NoResponse>>),
}

/// A peer's call without an answer so far.
pub(super) struct PeerWaiting {
    pub(super) from: Place,
    pub(super) to: Place,
    pub(super) channel: Channel,
    pub(super) answer: oneshot::Sender<Result<PeerReply, PeerError>>,
}

impl Inner {
    /// Numbers a call, and notes who waits for its answer.
    pub(super) fn expect(&mut self, waiting: Waiting) -> u64 {
        self.next_call += 1;
        if let Waiting::Peer(waiting) = &waiting {
            *self.waiting_peers.entry((waiting.from, waiting.to)).or_default() += 1;
        }
        self.waiting.insert(self.next_call, waiting);
        self.next_call
    }

    /// How many calls of one node wait for another.
    pub(super) fn waiting_for(&self, from: Place, to: Place) -> usize {
        self.waiting_peers.get(&(from, to)).copied().unwrap_or(0)
    }

    /// The calls that wait for a node.
    pub(super) fn calls_to(&self, node: Place) -> Vec<u64> {
        let is_to =
            |waiting: &Waiting| matches!(waiting, Waiting::Peer(PeerWaiting { to, .. }) if *to == node);
        self.waiting.iter().filter(|(_, waiting)| is_to(waiting)).map(|(call, _)| *call).collect()
    }

    /// Takes a call that waits, if it still does.
    pub(super) fn stop_waiting_for(&mut self, call: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&call)?;
        if let Waiting::Peer(waiting) = &waiting
            && let Some(count) = self.waiting_peers.get_mut(&(waiting.from, waiting.to))
        {
            *count -= 1;
        }
        Some(waiting)
    }

    /// Takes every call that waits on a connection.
    pub(super) fn stop_waiting(&mut self, link: (Place, Place, Channel)) -> Vec<PeerWaiting> {
        let is_on = |waiting: &Waiting| match waiting {
            Waiting::Peer(PeerWaiting { from, to, channel, .. }) => (*from, *to, *channel) == link,
            Waiting::Client(_) => false,
        };
        let calls: Vec<u64> =
            self.waiting.iter().filter(|(_, waiting)| is_on(waiting)).map(|(call, _)| *call).collect();
        let taken = calls.into_iter().filter_map(|call| self.stop_waiting_for(call));
        taken
            .filter_map(|waiting| match waiting {
                Waiting::Peer(waiting) => Some(waiting),
                Waiting::Client(_) => None,
            })
            .collect()
    }
}

/// Forgets a call whose caller has gone.
pub(super) struct Expected<'a> {
    pub(super) net: &'a Net,
    pub(super) call: u64,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        drop(self.net.take_waiting(self.call));
    }
}
