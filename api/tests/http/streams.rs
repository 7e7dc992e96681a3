//! Reads an answer that goes on.

use std::time::Duration;

use bytes::Bytes;
use capstan_api::{AnswerBody, Api};
use futures::StreamExt;
use http::{Request, Response, StatusCode};
use tokio::time::timeout;

use crate::node::TestNode;

/// Far longer than anything here takes unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// The body of an answer, block by block: an event or a comment, ended by an empty line.
pub(crate) struct Blocks {
    body: AnswerBody,
    read: String,
}

/// How a stream went on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A block, without its end.
    Block(String),
    /// It was broken off.
    Broken,
    /// It came to its end.
    End,
}

impl Blocks {
    pub(crate) fn new(body: AnswerBody) -> Self {
        Self { body, read: String::new() }
    }

    /// The next block, heartbeats included.
    pub(crate) async fn any(&mut self) -> Next {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let block = block.to_owned();
                self.read = rest.to_owned();
                return Next::Block(block);
            }
            match timeout(PATIENCE, self.body.next()).await.expect("something happens") {
                Some(Ok(piece)) => self.read.push_str(std::str::from_utf8(&piece).unwrap()),
                Some(Err(_)) => return Next::Broken,
                None => return Next::End,
            }
        }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Event {
        let event = async {
            loop {
                match self.any().await {
                    Next::Block(comment) if comment.starts_with(':') => {}
                    Next::Block(event) => return Event::read(&event),
                    other => panic!("{other:?}"),
                }
            }
        };
        // Heartbeats are no events.
        timeout(PATIENCE, event).await.expect("an event comes")
    }
}

/// An event as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Event {
    fn read(block: &str) -> Self {
        let lines: Vec<&str> = block.split('\n').collect();
        let [id, name, data] = lines[..] else { panic!("{block:?}") };
        let field = |line: &str, name: &str| line.strip_prefix(name).unwrap().to_owned();
        Self { id: field(id, "id: "), name: field(name, "event: "), data: field(data, "data: ") }
    }
}

/// Opens a stream, behind the event with this id.
pub(crate) async fn open(api: &Api, path: &str, last_event_id: Option<&str>) -> Response<AnswerBody> {
    let request = Request::get(path).header("Last-Event-ID", last_event_id.unwrap_or_default());
    api.open(request.body(Bytes::new()).unwrap()).await
}

/// As [`open`], of a stream that is there.
pub(crate) async fn follow(api: &Api, path: &str, last_event_id: Option<&str>) -> Blocks {
    let answer = open(api, path, last_event_id).await;
    assert_eq!(answer.status(), StatusCode::OK);
    Blocks::new(answer.into_body())
}

impl TestNode {
    pub(crate) async fn open(&self, path: &str, last_event_id: Option<&str>) -> Response<AnswerBody> {
        open(&self.api, path, last_event_id).await
    }

    pub(crate) async fn follow(&self, path: &str, last_event_id: Option<&str>) -> Blocks {
        follow(&self.api, path, last_event_id).await
    }
}
