//! `GET /v1/events`: what happens to LRPs, as it happens, for as long as anybody listens.

use std::collections::VecDeque;

use http::{HeaderName, HeaderValue};

use super::{
    super::{
        Client, ReadOptions,
        call::Call,
        error::{CallError, Tried},
        opened::Opened,
    },
    SILENCE_MAX,
    frames::Frames,
};

pub use super::frames::Notice;

/// By which a stream is resumed behind an event.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The events of the cluster, in their order. When the connection breaks it goes on at another node, behind the last event.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    connection: Option<Opened>,
    /// The place of the node whose connection was the last.
    last_place: Option<usize>,
    frames: Frames,
    waiting: VecDeque<Notice>,
}

impl Client {
    /// Follows what happens from now on, or from behind the event with this id. Events that are no longer kept are a refusal with
    /// status 410.
    ///
    /// # Errors
    /// No node begins to answer in the time of one call.
    pub async fn lrp_events(&self, behind: Option<&str>) -> Result<EventStream, CallError> {
        let mut stream = EventStream {
            client: self.clone(),
            connection: None,
            last_place: None,
            frames: Frames::default(),
            waiting: VecDeque::new(),
        };
        stream.frames.resume_behind(behind.unwrap_or_default().to_owned());
        stream.connect().await?;
        Ok(stream)
    }
}

impl EventStream {
    /// Waits for the next event.
    ///
    /// # Errors
    /// The connection broke, and no node went on in the time of one call; or an event came that is too long to be one.
    pub async fn next(&mut self) -> Result<Notice, CallError> {
        loop {
            if let Some(notice) = self.waiting.pop_front() {
                return Ok(notice);
            }
            let Some(connection) = &mut self.connection else {
                self.connect().await?;
                continue;
            };
            match tokio::time::timeout(SILENCE_MAX, connection.response.chunk()).await {
                Ok(Ok(Some(piece))) => {
                    if let Err(error) = self.frames.take(&piece, &mut self.waiting) {
                        let address = connection.address.clone();
                        self.connection = None;
                        return Err(CallError::Broken {
                            tried: vec![Tried { address, failure: error.to_string() }],
                        });
                    }
                }
                // It ended, broke, or nothing has come for too long.
                Ok(Ok(None) | Err(_)) | Err(_) => self.connection = None,
            }
        }
    }

    /// Whom it listens to, for people; `None` while it looks for another node.
    pub fn address(&self) -> Option<&str> {
        self.connection.as_ref().map(|connection| &*connection.address)
    }

    async fn connect(&mut self) -> Result<(), CallError> {
        let mut call = Call::read("/v1/events".to_owned(), ReadOptions::default());
        // Ids are the server's own, of digits and a dash; another text could not be one.
        if let Ok(id) = HeaderValue::try_from(self.frames.last_id())
            && !id.is_empty()
        {
            call.headers.insert(LAST_EVENT_ID, id);
        }
        let opened = self.client.open(&call, self.last_place).await?;
        self.frames.begin_again();
        self.last_place = Some(opened.place);
        self.connection = Some(opened);
        Ok(())
    }
}
