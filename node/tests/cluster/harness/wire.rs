//! HTTP by hand: a test that kills nodes must know what each single attempt brought, and one that sends rubbish needs a client
//! that does not refuse to.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long an answer may take: longer than any deadline of the server, so that a late answer is never taken for a lost one.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// One connection to one node, made when needed and kept while it works.
#[derive(Debug)]
pub(crate) struct Wire {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The revision its `ETag` names.
    pub(crate) fn revision(&self) -> u64 {
        let tag = self.header("etag").unwrap_or_else(|| panic!("no ETag in {self:?}"));
        tag.trim_matches('"').parse().unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Wire {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self { address, stream: None, buffer: Vec::new() }
    }

    /// Sends one call and reads its answer.
    ///
    /// # Errors
    /// [`ErrorKind::ConnectionRefused`] says that nothing was sent; after any other error the call may have been served.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut call =
            format!("{method} {path} HTTP/1.1\r\nHost: capstan\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            call += &format!("{name}: {value}\r\n");
        }
        let call = [call.as_bytes(), b"\r\n", body].concat();
        let answer = timeout(ANSWER_MAX, async {
            self.send(&call).await?;
            self.answer(method == "HEAD").await
        })
        .await
        .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        if answer.is_err() {
            self.hang_up();
        }
        answer
    }

    /// Sends bytes, whatever they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
        }
        self.stream.as_mut().expect("just connected").write_all(bytes).await
    }

    /// Reads the next answer.
    pub(crate) async fn answer(&mut self, is_head: bool) -> io::Result<Answer> {
        loop {
            if let Some((answer, end)) = parse(&self.buffer, is_head)? {
                self.buffer.drain(..end);
                return Ok(answer);
            }
            let stream = self.stream.as_mut().ok_or(ErrorKind::NotConnected)?;
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Closes the connection; the next call makes another.
    pub(crate) fn hang_up(&mut self) {
        self.stream = None;
        self.buffer.clear();
    }
}

/// The first answer in `bytes`, and where it ends; `None` when more must be read first.
fn parse(bytes: &[u8], is_head: bool) -> io::Result<Option<(Answer, usize)>> {
    let Some(head_len) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..head_len]).map_err(|_| ErrorKind::InvalidData)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status: u16 = status.ok_or(ErrorKind::InvalidData)?;
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let announced =
        headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, v)| v.parse().ok());
    let has_body = !is_head && status >= 200 && status != 204 && status != 304;
    let body_len = if has_body { announced.unwrap_or(0) } else { 0 };
    let (start, end) = (head_len + 4, head_len + 4 + body_len);
    let Some(body) = bytes.get(start..end) else { return Ok(None) };
    Ok(Some((Answer { status, headers, body: body.to_vec() }, end)))
}
