//! Real messages between nodes, to start from, and their frames.

use bytes::BufMut;
use capstan_model::{
    command::{Command, Sealed, Settled},
    ids::{ClusterId, CommandId, DiskId, Incarnation, JobId, NodeId, RequestId, TryNo},
    lrp::actual::ActualKey,
    time::Timestamp,
};
use capstan_node::peer_net::message::{Hello, Message, PROTOCOL, PeerMessage};
use capstan_raft_store::peer::{
    Batch, Channel, ForwardError, Heartbeat, HeartbeatReply, NodeFacts, OutputFrom, OutputLine, OutputPage,
    OutputPlace, OutputStream, PeerIdentity, PeerReply, PeerRequest, ReadOutput, SnapshotStep, TryStatus,
};

/// The life of the node that sends.
pub(crate) const LIFE: Incarnation = Incarnation { node: NodeId(2), boot: 5, nonce: 6 };

/// One of each, by name.
pub(crate) fn all() -> Vec<(&'static str, PeerMessage)> {
    let messages = [("hello", hello()), ("refused", Message::Refused { reason: "no".to_owned() })];
    let calls = requests()
        .into_iter()
        .map(|(name, request)| (name, Message::Call { id: 300, deadline_ms: 1_000, request }));
    let answers = replies().into_iter().map(|(name, reply)| (name, Message::Reply { id: 300, reply }));
    messages
        .into_iter()
        .chain(calls)
        .chain(answers)
        .map(|(name, message)| (name, PeerMessage::V1(message)))
        .collect()
}

/// One frame with a proper header.
pub(crate) fn framed(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 8);
    frame.put_u32_le(u32::try_from(payload.len()).expect("inputs are small"));
    frame.put_u32_le(crc32c::crc32c(payload));
    frame.extend_from_slice(payload);
    frame
}

/// How node 2 greets.
pub(crate) fn hello() -> Message {
    Message::Hello(Box::new(Hello {
        protocol: PROTOCOL,
        channel: Channel::Forward,
        identity: PeerIdentity {
            cluster: Some(ClusterId(3)),
            node: LIFE.node,
            disk: DiskId(4),
            incarnation: LIFE,
            cluster_version: 1,
        },
    }))
}

fn requests() -> Vec<(&'static str, PeerRequest)> {
    let heartbeat = Heartbeat {
        incarnation: LIFE,
        disk: DiskId(4),
        facts: NodeFacts {
            peer_address: "10.0.0.2:8741".into(),
            http_address: "10.0.0.2:8641".into(),
            slots: 4,
            job_types: vec!["noop".into(), "sleep".into()],
        },
        wall: Timestamp(1_700_000_000_000_000_001),
        checksum: Some((1_024, 7)),
        applied: 1_100,
        disk_nearly_full: false,
        specs: Some(8),
    };
    let command = Sealed::new(CommandId { incarnation: LIFE, seq: 9 }, None, Command::TakeOver);
    let command = command.expect("a small command");
    let batch = Batch {
        settled: Settled { incarnation: LIFE, below: 9 },
        progress: vec![command.clone()],
        client: vec![command],
    };
    let step = |step| PeerRequest::Snapshot(step);
    let read_output = ReadOutput {
        key: ActualKey::new(&"p".parse().expect("a guid"), 3),
        from: OutputFrom::Lines { since: Some(Timestamp(1)), tail: Some(2) },
        stream: Some(OutputStream::Stdout),
    };
    vec![
        ("append", PeerRequest::Append("append".into())),
        ("vote", PeerRequest::Vote("vote".into())),
        ("snapshot-begin", step(SnapshotStep::Begin { transfer: 1, manifest: "manifest".into() })),
        ("snapshot-chunk", step(SnapshotStep::Chunk { transfer: 1, file: 2, offset: 3, bytes: "db".into() })),
        ("snapshot-end", step(SnapshotStep::End { transfer: 1, vote_and_meta: "meta".into() })),
        ("forward", PeerRequest::Forward(batch)),
        ("read-index", PeerRequest::ReadIndex),
        ("heartbeat", PeerRequest::Heartbeat(Box::new(heartbeat))),
        ("live-status", PeerRequest::LiveStatus { request: Some(RequestId([7; 12])) }),
        ("read-output", PeerRequest::ReadOutput(Box::new(read_output))),
    ]
}

fn replies() -> Vec<(&'static str, PeerReply)> {
    let acknowledged =
        HeartbeatReply::Acknowledged { median: Some(Timestamp(1)), checksum: Some((1_024, 7)) };
    let status = TryStatus {
        request: RequestId([7; 12]),
        job: JobId(*b"a0B1"),
        try_no: TryNo(2),
        status: "half done".to_owned(),
    };
    let line = OutputLine {
        at: Timestamp(1),
        stream: OutputStream::Stderr,
        source: "APP".to_owned(),
        text: "ready".to_owned(),
    };
    let output = OutputPage {
        lines: vec![line],
        next: OutputPlace { file: 1, offset: 2 },
        is_last: false,
        is_known: true,
    };
    vec![
        ("raft-reply", PeerReply::Raft("reply".into())),
        ("snapshot-reply", PeerReply::Snapshot(Some("reply".into()))),
        ("forwarded", PeerReply::Forwarded(Ok(12))),
        ("forward-refused", PeerReply::Forwarded(Err(ForwardError::NotLeader { leader: Some(NodeId(1)) }))),
        ("read-index-reply", PeerReply::ReadIndex(Err(ForwardError::Unknown { reason: "late".to_owned() }))),
        ("acknowledged", PeerReply::Heartbeat(acknowledged)),
        ("is-empty", PeerReply::IsEmpty(true)),
        ("failed", PeerReply::Failed("no".to_owned())),
        ("statuses", PeerReply::LiveStatus(vec![status])),
        ("output", PeerReply::Output(Ok(output))),
    ]
}
