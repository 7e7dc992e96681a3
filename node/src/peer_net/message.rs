//! What travels between two nodes: a greeting each way, then calls one way and their replies the other.

use capstan_raft_store::peer::{Channel, PeerIdentity, PeerReply, PeerRequest};
use serde::{Deserialize, Serialize};

/// The version of this protocol; both ends must speak the same.
pub const PROTOCOL: u32 = 1;

/// One frame's content. A shipped version is never edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerMessage {
    /// The first shape.
    V1(Message),
}

/// A message of the first version. New variants go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The first frame each way.
    Hello(Box<Hello>),
    /// Sent instead of, or right after, a hello: the sender closes the connection.
    Refused {
        /// Why, and what would be right.
        reason: String,
    },
    /// Asks something of the node that was dialled.
    Call {
        /// Names the call on this connection.
        id: u64,
        /// How long the caller waits from now on, in milliseconds.
        deadline_ms: u32,
        /// What is asked.
        request: PeerRequest,
    },
    /// Answers the call of that number.
    Reply {
        /// The call's number.
        id: u64,
        /// The answer.
        reply: PeerReply,
    },
}

/// Who is at this end, and what the connection is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the sender.
    pub protocol: u32,
    /// Which of the connections between the two nodes this is; the dialler says, the other end repeats it.
    pub channel: Channel,
    /// Who the sender is.
    pub identity: PeerIdentity,
}

#[cfg(test)]
mod tests {
    use capstan_model::{
        ids::{ClusterId, DiskId, Incarnation, JobId, NodeId, RequestId, TryNo},
        lrp::actual::ActualKey,
        time::Timestamp,
    };
    use capstan_raft_store::peer::{
        OutputFrom, OutputLine, OutputPage, OutputPlace, OutputStream, ReadOutput, TryStatus,
    };

    use super::*;

    fn hello() -> Message {
        Message::Hello(Box::new(Hello {
            protocol: 1,
            channel: Channel::Forward,
            identity: PeerIdentity {
                cluster: Some(ClusterId(3)),
                node: NodeId(2),
                disk: DiskId(4),
                incarnation: Incarnation { node: NodeId(2), boot: 5, nonce: 6 },
                cluster_version: 1,
            },
        }))
    }

    #[test]
    fn shipped_messages_keep_their_bytes() {
        let told = TryStatus {
            request: RequestId([1; 12]),
            job: JobId(*b"jobA"),
            try_no: TryNo(2),
            status: "half".to_owned(),
        };
        let asked = ReadOutput {
            key: ActualKey::new(&"p".parse().unwrap(), 3),
            from: OutputFrom::Lines { since: Some(Timestamp(5)), tail: Some(9) },
            stream: Some(OutputStream::Stderr),
        };
        let line = OutputLine {
            at: Timestamp(5),
            stream: OutputStream::Stderr,
            source: "APP".to_owned(),
            text: "hi".to_owned(),
        };
        let page = OutputPage {
            lines: vec![line],
            next: OutputPlace { file: 2, offset: 7 },
            is_last: true,
            is_known: true,
        };
        let cases: [(Message, &[u8]); 8] = [
            (hello(), &[0, 0, 1, 2, 1, 3, 2, 4, 2, 5, 6, 1]),
            (Message::Refused { reason: "no".into() }, &[0, 1, 2, b'n', b'o']),
            (
                Message::Call { id: 7, deadline_ms: 300, request: PeerRequest::ReadIndex },
                &[0, 2, 7, 172, 2, 6],
            ),
            (Message::Reply { id: 7, reply: PeerReply::IsEmpty(true) }, &[0, 3, 7, 5, 1]),
            (
                Message::Call { id: 7, deadline_ms: 300, request: PeerRequest::LiveStatus { request: None } },
                &[0, 2, 7, 172, 2, 9, 0],
            ),
            (
                Message::Reply { id: 7, reply: PeerReply::LiveStatus(vec![told]) },
                b"\0\x03\x07\x07\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01jobA\x02\x04half",
            ),
            (
                Message::Call { id: 7, deadline_ms: 300, request: PeerRequest::ReadOutput(Box::new(asked)) },
                &[0, 2, 7, 172, 2, 10, 1, b'p', 3, 0, 1, 5, 1, 9, 1, 1],
            ),
            (
                Message::Reply { id: 7, reply: PeerReply::Output(Ok(page)) },
                b"\0\x03\x07\x08\0\x01\x05\x01\x03APP\x02hi\x02\x07\x01\x01",
            ),
        ];
        for (message, bytes) in cases {
            let message = PeerMessage::V1(message);
            assert_eq!(postcard::to_stdvec(&message).unwrap(), bytes, "{message:?}");
            assert_eq!(postcard::from_bytes::<PeerMessage>(bytes).unwrap(), message);
        }
    }
}
