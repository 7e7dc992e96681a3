//! What other nodes ask of this one.

use std::sync::Arc;

use capstan_model::ids::NodeId;
use capstan_raft_store::peer::{PeerIdentity, PeerReply, PeerRequest, PeerService};
use futures::future::{BoxFuture, FutureExt};

use crate::{instance_output::Outputs, live_status::Statuses};

/// The store's service to peers, and the questions that the store cannot answer.
pub struct PeersAnswered {
    /// Answers everything else.
    pub store: Arc<dyn PeerService>,
    /// Answers [`PeerRequest::LiveStatus`].
    pub statuses: Statuses,
    /// Answers [`PeerRequest::ReadOutput`].
    pub outputs: Outputs,
}

impl PeerService for PeersAnswered {
    fn identity(&self) -> PeerIdentity {
        self.store.identity()
    }

    fn admit(&self, peer: &PeerIdentity) -> Result<(), String> {
        self.store.admit(peer)
    }

    fn handle(&self, from: NodeId, request: PeerRequest) -> BoxFuture<'static, PeerReply> {
        match request {
            PeerRequest::LiveStatus { request } => {
                self.statuses.of_this_node(request).map(PeerReply::LiveStatus).boxed()
            }
            PeerRequest::ReadOutput(asked) => {
                self.outputs.of_this_node(*asked).map(PeerReply::Output).boxed()
            }
            other => self.store.handle(from, other),
        }
    }
}
