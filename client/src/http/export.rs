//! `GET /cluster/v1/requests/export`: requests as lines of JSON.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use super::{
    Client, ReadOptions,
    call::Call,
    error::{CallError, Tried},
    opened::Opened,
};
use crate::spin_cycle::RequestFilter;

/// The longest line, in bytes: a request of the most jobs there may be, with all the output that is kept of it, escaped.
const LINE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long nothing may come: as long as a node may take to read a piece on a slow disk.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Lines of an export, as they come: each a JSON object, see [`crate::cluster::ExportedRequest`].
#[derive(Debug)]
pub struct ExportStream {
    opened: Opened,
    /// What has come of a line without its end.
    part: Vec<u8>,
    lines: VecDeque<Bytes>,
    ended: bool,
}

impl Client {
    /// Exports requests with their jobs, and their logs if wanted, newest first.
    pub async fn export_requests(
        &self,
        filter: &RequestFilter,
        with_logs: bool,
        options: ReadOptions,
    ) -> Result<ExportStream, CallError> {
        let mut call = Call::read("/cluster/v1/requests/export".to_owned(), options);
        call.query.extend(filter.to_query());
        if with_logs {
            call.query.push(("logs", "true".to_owned()));
        }
        let opened = self.open(&call, None).await?;
        Ok(ExportStream { opened, part: Vec::new(), lines: VecDeque::new(), ended: false })
    }
}

impl ExportStream {
    /// Waits for the next line, without its end; `None` behind the last.
    ///
    /// # Errors
    /// The connection broke before the end. The lines so far are whole; an export that begins behind the `cursor` of the last goes on.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            if self.part.len() > LINE_BYTES_MAX {
                return Err(self.broken(format!("a line has more than {LINE_BYTES_MAX} bytes")));
            }
            match tokio::time::timeout(SILENCE_MAX, self.opened.response.chunk()).await {
                Ok(Ok(Some(piece))) => self.take(&piece),
                Ok(Ok(None)) if self.part.is_empty() => self.ended = true,
                Ok(Ok(None)) => return Err(self.broken("the last line is not whole".to_owned())),
                Ok(Err(error)) => return Err(self.broken(format!("the connection broke: {error}"))),
                Err(_) => return Err(self.broken("nothing came any more".to_owned())),
            }
        }
    }

    fn broken(&mut self, failure: String) -> CallError {
        (self.ended, self.part) = (true, Vec::new());
        CallError::Broken { tried: vec![Tried { address: self.opened.address.clone(), failure }] }
    }

    fn take(&mut self, piece: &[u8]) {
        for piece in piece.split_inclusive(|byte| *byte == b'\n') {
            self.part.extend_from_slice(piece);
            if self.part.last() == Some(&b'\n') {
                self.part.pop();
                self.lines.push_back(std::mem::take(&mut self.part).into());
            }
        }
    }
}
