//! Frames between nodes: what is read is a message, whose own frame reads the same; whatever the reads' sizes are.

use bytes::BytesMut;
use capstan_node::peer_net::{
    frame::{self, Frames, ReadError},
    message::PeerMessage,
};
use futures::FutureExt;

use super::messages;
use crate::{Seed, Target, Verdict};

pub(crate) const TARGET: Target = Target { name: "peer_frame", run, seeds };

/// The first byte says whether the rest is a stream of frames as it is, or payloads to be framed properly, so that mutations
/// get past the checksum; and in what portions the stream is read.
fn run(input: &[u8]) -> Verdict {
    let Some((mode, rest)) = input.split_first() else { return Verdict::Refused };
    let stream = if mode & 1 == 0 { rest.to_vec() } else { messages::framed(rest) };
    let whole = read(&stream, stream.len());
    let portions = read(&stream, usize::from(mode >> 1) + 1);
    assert_eq!(whole.0, portions.0, "messages do not depend on how reads cut them");
    assert_eq!(whole.1.to_string(), portions.1.to_string(), "nor does the end");
    for message in &whole.0 {
        let mut out = BytesMut::new();
        frame::encode(message, &mut out).expect("what fitted a frame fits one again");
        let (again, _) = read(&out, out.len());
        assert_eq!(again, std::slice::from_ref(message), "a message's own frame holds it");
    }
    Verdict::of(!whole.0.is_empty())
}

/// Reads all messages of a stream, `portion` bytes at a time; also why reading ended.
fn read(stream: &[u8], portion: usize) -> (Vec<PeerMessage>, ReadError) {
    let mut frames = Frames::default();
    frames.trust();
    let mut messages = Vec::new();
    let mut portions = stream.chunks(portion.max(1));
    loop {
        match frames.take() {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => {
                let mut portion = portions.next().unwrap_or_default();
                let arrived = frames.read(&mut portion).now_or_never();
                if let Err(end) = arrived.expect("bytes in memory are there at once") {
                    return (messages, end);
                }
            }
            Err(end) => return (messages, end),
        }
    }
}

fn seeds() -> Vec<Seed> {
    let mut stream = BytesMut::from(&[6_u8][..]);
    for (_, message) in messages::all() {
        frame::encode(&message, &mut stream).expect("small messages");
    }
    let payload = |message: &PeerMessage| {
        let encoded = postcard::to_stdvec(message).expect("messages are serialisable");
        [&[0xff][..], &encoded].concat()
    };
    let one_each = messages::all().into_iter().map(|(name, message)| Seed::new(name, payload(&message)));
    one_each.chain([Seed::new("stream", stream.to_vec())]).collect()
}
