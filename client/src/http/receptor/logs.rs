//! `GET /v1/actual_lrps/{process_guid}/index/{index}/logs`: what an instance wrote, line by line.

use std::collections::VecDeque;

use super::{
    super::{
        Client, ReadOptions,
        call::Call,
        error::{CallError, Tried},
        opened::Opened,
        segment,
    },
    SILENCE_MAX,
};
use crate::spin_cycle::UtcTime;

/// The longest line, in bytes: many times what a node makes of what an instance writes.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Which lines are wanted; all that are kept when nothing is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Whether to go on with what is written from now on.
    pub follow: bool,
    /// Only lines from this moment on.
    pub since: Option<UtcTime>,
    /// Only lines of this stream.
    pub stream: Option<Stream>,
    /// At most so many of the last lines, before what is followed.
    pub tail: Option<u64>,
}

/// Where an instance writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Lines of an instance, as they come: each a JSON object with `at`, `stream`, `source` and `text`.
#[derive(Debug)]
pub struct LogStream {
    opened: Opened,
    /// What has come of a line without its end.
    part: Vec<u8>,
    lines: VecDeque<String>,
    ended: bool,
}

impl Client {
    /// Reads what an instance wrote. An unknown one is a refusal with status 404.
    pub async fn instance_logs(
        &self,
        guid: &str,
        index: u32,
        query: LogQuery,
    ) -> Result<LogStream, CallError> {
        let path = format!("/v1/actual_lrps/{}/index/{index}/logs", segment(guid)?);
        let mut call = Call::read(path, ReadOptions::default());
        if query.follow {
            call.query.push(("follow", "true".to_owned()));
        }
        call.query.extend(query.since.map(|since| ("since", since.to_string())));
        call.query.extend(query.stream.map(|stream| ("stream", stream.name().to_owned())));
        call.query.extend(query.tail.map(|tail| ("tail", tail.to_string())));
        let opened = self.open(&call, None).await?;
        Ok(LogStream { opened, part: Vec::new(), lines: VecDeque::new(), ended: false })
    }
}

impl LogStream {
    /// Waits for the next line, without its end; `None` when there will be no more. What is no UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// The connection broke, or a line has more than 1 MiB. Nobody knows how many lines were lost, so it is for the caller to ask again.
    pub async fn next(&mut self) -> Result<Option<String>, CallError> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            if self.part.len() > LINE_BYTES_MAX {
                self.part = Vec::new();
                return Err(self.broken(format!("a line has more than {LINE_BYTES_MAX} bytes")));
            }
            match tokio::time::timeout(SILENCE_MAX, self.opened.response.chunk()).await {
                Ok(Ok(Some(piece))) => self.take(&piece),
                Ok(Ok(None)) => {
                    self.ended = true;
                    let rest = std::mem::take(&mut self.part);
                    return Ok((!rest.is_empty()).then(|| text(&rest)));
                }
                Ok(Err(error)) => return Err(self.broken(format!("the connection broke: {error}"))),
                Err(_) => return Err(self.broken("nothing came any more".to_owned())),
            }
        }
    }

    fn broken(&mut self, failure: String) -> CallError {
        self.ended = true;
        CallError::Broken { tried: vec![Tried { address: self.opened.address.clone(), failure }] }
    }

    /// Empty lines say only that the node is there.
    fn take(&mut self, piece: &[u8]) {
        self.part.extend_from_slice(piece);
        while let Some(end) = self.part.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.part.drain(..=end).collect();
            if end > 0 {
                self.lines.push_back(text(&line[..end]));
            }
        }
    }
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Out => "stdout",
            Self::Err => "stderr",
        }
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}
