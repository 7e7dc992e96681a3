//! The greeting between nodes: whatever the other end says first, it is let in or told why not.

use std::sync::Arc;

use bytes::BytesMut;
use capstan_model::ids::{ClusterId, DiskId, Incarnation, NodeId};
use capstan_node::peer_net::{
    frame::{self, Frames},
    hello,
    message::{Message, PeerMessage},
};
use capstan_raft_store::peer::{Channel, PeerIdentity, PeerReply, PeerRequest, PeerService};
use futures::future::{self, BoxFuture};
use tokio::io::{empty, join};

use super::messages;
use crate::{Seed, Target, Verdict, runtime};

pub(crate) const TARGET: Target = Target { name: "peer_hello", run, seeds };

/// Node 1, which knows nodes up to 7.
struct First;

impl PeerService for First {
    fn identity(&self) -> PeerIdentity {
        PeerIdentity {
            cluster: Some(ClusterId(3)),
            node: NodeId(1),
            disk: DiskId(1),
            incarnation: Incarnation { node: NodeId(1), boot: 1, nonce: 0 },
            cluster_version: 1,
        }
    }

    fn admit(&self, peer: &PeerIdentity) -> Result<(), String> {
        if peer.node.0 <= 7 { Ok(()) } else { Err(format!("node {} is not configured here", peer.node)) }
    }

    fn handle(&self, _: NodeId, _: PeerRequest) -> BoxFuture<'static, PeerReply> {
        Box::pin(future::ready(PeerReply::Failed("a greeting asks for nothing".to_owned())))
    }
}

/// The first byte says who dialled, and whether the rest is frames as they are or one payload to be framed.
fn run(input: &[u8]) -> Verdict {
    let Some((mode, rest)) = input.split_first() else { return Verdict::Refused };
    let stream = if mode & 2 == 0 { rest.to_vec() } else { messages::framed(rest) };
    Verdict::of(runtime::block_on(meet(mode & 1 == 0, &stream)))
}

async fn meet(dialled: bool, stream: &[u8]) -> bool {
    let service: Arc<dyn PeerService> = Arc::new(First);
    let mut sent = Vec::new();
    let mut frames = Frames::default();
    let mut socket = join(stream, &mut sent);
    let met = if dialled {
        hello::greet(&mut socket, &mut frames, &service, messages::LIFE.node, Channel::Raft).await
    } else {
        hello::welcome(&mut socket, &mut frames, &service).await.map(|(_, peer)| {
            assert!(peer.node != NodeId(1) && peer.node.0 <= 7, "only known others are let in");
        })
    };
    let mut said = Frames::default();
    let mut sent = join(&sent[..], empty());
    match &met {
        Ok(()) => {
            let first = said.receive(&mut sent).await.expect("who is let in was greeted");
            assert!(matches!(first, PeerMessage::V1(Message::Hello(_))));
        }
        Err(error) => drop(error.to_string()),
    }
    met.is_ok()
}

fn seeds() -> Vec<Seed> {
    let hello = PeerMessage::V1(messages::hello());
    let payload = postcard::to_stdvec(&hello).expect("messages are serialisable");
    let mut frame = BytesMut::new();
    frame::encode(&hello, &mut frame).expect("a small message");
    vec![
        Seed::new("answers", [&[0][..], &frame].concat()),
        Seed::new("dials", [&[1][..], &frame].concat()),
        Seed::new("payload-answers", [&[2][..], &payload].concat()),
        Seed::new("payload-dials", [&[3][..], &payload].concat()),
    ]
}
