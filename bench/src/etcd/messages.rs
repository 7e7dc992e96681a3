//! The two messages of etcd's `rpc.proto` (version 3.4) that are sent, in protobuf's encoding.

use bytes::{BufMut, Bytes, BytesMut};

/// The tag of a length-delimited field 1: `PutRequest.key` and `RangeRequest.key`.
const KEY: u8 = 1 << 3 | 2;
/// The tag of a length-delimited field 2: `PutRequest.value`.
const VALUE: u8 = 2 << 3 | 2;

/// A `PutRequest`, framed for gRPC.
pub(super) fn put(key: &[u8], value: &[u8]) -> Bytes {
    framed(&[(KEY, key), (VALUE, value)])
}

/// A `RangeRequest` for one key, linearizable since `serializable` is not set, framed for gRPC.
pub(super) fn range(key: &[u8]) -> Bytes {
    framed(&[(KEY, key)])
}

/// gRPC's frame is a zero byte (not compressed), the length, and the message.
fn framed(fields: &[(u8, &[u8])]) -> Bytes {
    let mut message = BytesMut::new();
    for (tag, bytes) in fields {
        message.put_u8(*tag);
        put_varint(&mut message, bytes.len());
        message.put_slice(bytes);
    }
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("keys and values are small"));
    frame.put(message);
    frame.freeze()
}

fn put_varint(out: &mut BytesMut, mut number: usize) {
    while number >= 0x80 {
        out.put_u8((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_protobuf_documentation() {
        assert_eq!(range(b"testing")[..], *b"\0\0\0\0\x09\x0a\x07testing");
        let put = put(b"k", &[7; 300]);
        assert_eq!(put[..11], *b"\0\0\0\x01\x32\x0a\x01k\x12\xac\x02");
        assert_eq!(put.len(), 11 + 300);
    }
}
