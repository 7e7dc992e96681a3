//! Server-sent events, read by hand.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::PATIENCE;

/// The ids that a node sends behind one event, up to another.
pub(crate) async fn ids(node: SocketAddr, path: &str, behind: &str, last: &str) -> Vec<String> {
    let mut stream = TcpStream::connect(node).await.unwrap();
    let call = format!("GET {path} HTTP/1.1\r\nHost: capstan\r\nLast-Event-ID: {behind}\r\n\r\n");
    stream.write_all(call.as_bytes()).await.unwrap();
    let (mut raw, mut text, mut ids) = (Vec::new(), String::new(), Vec::new());
    let read = async {
        loop {
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            for id in text[..whole].lines().filter_map(|line| line.strip_prefix("id: ")) {
                ids.push(id.to_owned());
                if id == last {
                    return;
                }
            }
            text.drain(..whole);
            assert_ne!(
                stream.read_buf(&mut raw).await.unwrap(),
                0,
                "{node} broke off after {:?}",
                ids.last()
            );
            take_chunks(&mut raw, &mut text);
        }
    };
    timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("{node} does not send {last}"));
    ids
}

/// Moves what is whole of a chunked body to the text; the head of the answer counts as nothing.
fn take_chunks(raw: &mut Vec<u8>, text: &mut String) {
    if raw.starts_with(b"HTTP/1.1 ") {
        let Some(head) = raw.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return };
        assert!(raw.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&raw[..head]));
        raw.drain(..head + 4);
    }
    while let Some(line) = raw.windows(2).position(|bytes| bytes == b"\r\n") {
        let size = std::str::from_utf8(&raw[..line]).unwrap();
        let (start, size) = (line + 2, usize::from_str_radix(size, 16).unwrap());
        let Some(chunk) = raw.get(start..start + size + 2) else { return };
        // Events are not cut within a character: each is a chunk, or several are.
        text.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
        raw.drain(..start + size + 2);
    }
}
