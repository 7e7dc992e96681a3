//! Answers that go on: connections that carry pieces in order, as TCP does.
//!
//! A piece that is lost is sent again, one that overtakes others waits for them, and a node sends no more than fits into the window until
//! its reader has taken some: so a slow reader holds its stream up, and a way that is cut stalls it. What ends a connection ends it abruptly:
//! the reader leaves, the node breaks it off or is gone, nothing has moved for too long, or the network breaks it. Of a loss of power,
//! and across a cut, the other end hears nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use capstan_api::{AnswerBody, Api};
use capstan_model::sometimes;
use futures::StreamExt;
use http::{Request, Response};
use rand::RngExt;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    CLIENTS, Expected, HTTP_BYTES, Inner, Job, Net, NoResponse, Parcel, Place, Waiting,
    post::NOTICED_WITHIN,
    rules::{Leg, Way},
};

/// How long a connection may stand still before a node cuts it off, as `capstan_api::server` does.
const STALLED_MAX: Duration = Duration::from_secs(30);
/// A window holds up to two to this power of pieces.
const WINDOW_LOG_MAX: u32 = 5;

/// Something that a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Some more of the answer.
    Piece(Bytes),
    /// The answer has come to its end.
    End,
    /// The connection is gone.
    Broken,
}

/// What is on its way for a stream.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// Something that the reader gets, by its number in the stream.
    Item { number: u64, item: Item },
    /// The reader has taken so many.
    Taken { count: u64 },
    /// The reader has gone.
    Left,
    /// The connection was reset by the node's end, or by the network.
    Reset,
}

/// One connection that carries a stream; the post office knows both of its ends.
pub(super) struct Line {
    node: Place,
    /// The node's end; `None` once it is closed.
    writer: Option<Writer>,
    /// The reader's end; `None` once it is closed.
    reader: Option<Reader>,
}

struct Writer {
    sent: u64,
    taken: u64,
    window: u64,
    /// Told when there is room again, or the reader has gone.
    moved: Arc<Notify>,
}

struct Reader {
    /// The number of the next item.
    next: u64,
    /// What has overtaken it.
    early: BTreeMap<u64, Item>,
    items: mpsc::UnboundedSender<Item>,
}

/// The reader's end of a stream that has begun; to drop it is to leave.
pub struct Pieces {
    net: Arc<Net>,
    call: u64,
    items: mpsc::UnboundedReceiver<Item>,
    taken: u64,
}

/// A client's call whose answer may go on.
#[derive(Debug)]
pub enum Opened {
    /// The answer was whole.
    Whole(Response<Bytes>),
    /// It goes on; this is how it begins.
    GoesOn(Response<()>, Pieces),
}

impl Pieces {
    /// What comes next. Only what was taken makes room for more.
    pub async fn next(&mut self) -> Item {
        let Some(item) = self.items.recv().await else { return Item::Broken };
        self.taken += 1;
        self.net.tell(self.call, Part::Taken { count: self.taken });
        item
    }
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieces").field("call", &self.call).finish_non_exhaustive()
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.net.leave(self.call);
    }
}

impl Net {
    /// Makes a client's call whose answer may go on.
    ///
    /// # Errors
    /// See [`NoResponse`]; `patience` is for the beginning of the answer.
    pub async fn open(
        &self,
        to: Place,
        request: Request<Bytes>,
        patience: Duration,
    ) -> Result<Opened, NoResponse> {
        let (answer, response) = oneshot::channel();
        let (sender, items) = mpsc::unbounded_channel();
        let pieces = {
            let inner = &mut *self.lock();
            let call = inner.expect(Waiting::Client(answer));
            let reader = Reader { next: 0, early: BTreeMap::new(), items: sender };
            inner.lines.insert(call, Line { node: to, writer: None, reader: Some(reader) });
            match inner.life_of(to) {
                Some(to_life) => inner.send_client_call(call, to, to_life, request),
                None => inner.nobody_listens(CLIENTS, to, call),
            }
            Pieces { net: self.arc(), call, items, taken: 0 }
        };
        self.posted.notify_one();
        let waiting = Expected { net: self, call: pieces.call };
        let response = match tokio::time::timeout(patience, response).await {
            Ok(Ok(response)) => response?,
            Ok(Err(_)) | Err(_) => return Err(NoResponse::Silence),
        };
        drop(waiting);
        if self.lock().is_whole(pieces.call) {
            return Ok(Opened::Whole(response));
        }
        Ok(Opened::GoesOn(response.map(drop), pieces))
    }

    /// Whether a call is one whose answer may go on.
    pub(super) fn is_opened(&self, call: u64) -> bool {
        self.lock().lines.contains_key(&call)
    }

    /// What a node does with such a call.
    pub(super) fn stream_job(
        &self,
        call: u64,
        (to, life): (Place, u64),
        api: Api,
        request: Request<Bytes>,
    ) -> Job {
        let net = self.arc();
        Box::new(move || {
            Box::pin(async move {
                let (head, mut body) = api.open(request).await.into_parts();
                let is_whole = body.is_whole();
                let mut whole = Vec::new();
                while is_whole && let Some(Ok(piece)) = body.next().await {
                    whole.extend_from_slice(&piece);
                }
                let response = Response::from_parts(head, Bytes::from(whole));
                net.answer(to, life, |inner| {
                    if is_whole {
                        inner.lines.remove(&call);
                    } else {
                        inner.begin_line(call);
                    }
                    let bytes = HTTP_BYTES + response.body().len();
                    let way = way_of(to, Leg::Answer, bytes);
                    inner.post.send(way, Parcel::ClientReply { call, from: to, response });
                });
                if !is_whole {
                    net.write(call, to, life, body).await;
                }
            })
        })
    }

    /// Sends the pieces of an answer for as long as somebody reads it.
    async fn write(&self, call: u64, node: Place, life: u64, mut body: AnswerBody) {
        loop {
            let Some(moved) = self.lock().moved(call) else { return };
            let item = tokio::select! {
                biased;
                () = moved.notified() => continue,
                piece = body.next() => match piece {
                    Some(Ok(piece)) => Item::Piece(piece),
                    Some(Err(_)) => Item::Broken,
                    None => Item::End,
                },
            };
            let is_last = !matches!(item, Item::Piece(_));
            self.answer(node, life, |inner| inner.send_item(call, item));
            if is_last {
                return;
            }
            loop {
                let Some(moved) = self.lock().moved_when_full(call) else { break };
                if tokio::time::timeout(STALLED_MAX, moved.notified()).await.is_err() {
                    sometimes!("a stream that does not move is cut off");
                    return self.answer(node, life, |inner| inner.close_writer(call, true));
                }
            }
        }
    }

    /// Takes a part of a stream to its other end.
    pub(super) fn deliver_part(&self, call: u64, part: Part) {
        let inner = &mut *self.lock();
        let Some(line) = inner.lines.get(&call) else { return };
        let node = line.node;
        let (from, to) = if part.leg() == Leg::Call { (CLIENTS, node) } else { (node, CLIENTS) };
        if inner.post.rules.is_cut(from, to) {
            return inner.post.lose(&Parcel::Streamed { call, part });
        }
        match part {
            Part::Item { number, item } => {
                if let Item::Piece(bytes) = &item {
                    self.trace.event(node, "piece", &[call, number], bytes);
                }
                inner.arrived(call, number, item);
            }
            Part::Taken { count } => {
                if let Some(writer) = inner.writer(call) {
                    writer.taken = writer.taken.max(count);
                    writer.moved.notify_one();
                }
            }
            Part::Left => inner.close_writer(call, false),
            Part::Reset => {
                sometimes!("the connection of a stream is reset");
                inner.close_writer(call, false);
                if let Some(reader) = inner.reader(call) {
                    // Whoever read may have left.
                    let _ = reader.items.send(Item::Broken);
                }
            }
        }
    }

    fn tell(&self, call: u64, part: Part) {
        self.lock().send_part(call, part);
        self.posted.notify_one();
    }

    /// The reader has gone; the node hears of it if that gets through.
    fn leave(&self, call: u64) {
        let inner = &mut *self.lock();
        inner.send_part(call, Part::Left);
        if let Some(line) = inner.lines.get_mut(&call) {
            line.reader = None;
        }
        inner.forget_closed(call);
        self.posted.notify_one();
    }
}

impl Part {
    fn leg(&self) -> Leg {
        match self {
            Self::Taken { .. } | Self::Left => Leg::Call,
            Self::Item { .. } | Self::Reset => Leg::Answer,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Item { item: Item::Piece(bytes), .. } => bytes.len(),
            _ => 0,
        }
    }
}

impl Inner {
    /// Whether the answer to a call has come to its end with its beginning.
    fn is_whole(&self, call: u64) -> bool {
        !self.lines.contains_key(&call)
    }

    fn begin_line(&mut self, call: u64) {
        let window = 1 << self.post.rng.random_range(0..=WINDOW_LOG_MAX);
        if let Some(line) = self.lines.get_mut(&call) {
            line.writer = Some(Writer { sent: 0, taken: 0, window, moved: Arc::default() });
        }
    }

    fn writer(&mut self, call: u64) -> Option<&mut Writer> {
        self.lines.get_mut(&call)?.writer.as_mut()
    }

    fn reader(&mut self, call: u64) -> Option<&mut Reader> {
        self.lines.get_mut(&call)?.reader.as_mut()
    }

    /// What tells the node's end that something has moved, while it is open.
    fn moved(&mut self, call: u64) -> Option<Arc<Notify>> {
        self.writer(call).map(|writer| Arc::clone(&writer.moved))
    }

    /// So does this, while the window is full.
    fn moved_when_full(&mut self, call: u64) -> Option<Arc<Notify>> {
        let writer = self.writer(call)?;
        (writer.sent - writer.taken >= writer.window).then(|| Arc::clone(&writer.moved))
    }

    /// Sends something to the reader. What ends the stream closes the node's end, and may overtake what is on its way.
    fn send_item(&mut self, call: u64, item: Item) {
        let Some(writer) = self.writer(call) else { return };
        let number = writer.sent;
        writer.sent += 1;
        match item {
            Item::Broken if self.post.rng.random_bool(0.5) => self.close_writer(call, true),
            Item::Broken | Item::End => {
                self.send_part(call, Part::Item { number, item });
                self.close_writer(call, false);
            }
            Item::Piece(_) => {
                if self.post.rules.breaks(&mut self.post.rng) {
                    let after = self.post.moment(Duration::from_millis(20));
                    self.post.send_late(after, Parcel::Streamed { call, part: Part::Reset });
                }
                self.send_part(call, Part::Item { number, item });
            }
        }
    }

    /// Sends a part on its way, or once more when it was lost, as kernels do for as long as they have the connection.
    pub(super) fn send_part(&mut self, call: u64, part: Part) {
        let Some(line) = self.lines.get(&call) else { return };
        let way = way_of(line.node, part.leg(), HTTP_BYTES + part.bytes());
        self.post.send(way, Parcel::Streamed { call, part });
    }

    /// Gives the reader what comes next, with all that waited for it.
    fn arrived(&mut self, call: u64, number: u64, item: Item) {
        let Some(reader) = self.reader(call) else { return };
        if number >= reader.next {
            reader.early.insert(number, item);
        }
        while let Some(item) = reader.early.remove(&reader.next) {
            reader.next += 1;
            // Whoever read may have left.
            let _ = reader.items.send(item);
        }
    }

    /// Closes the node's end, and tells the reader if there is still somebody to do so.
    fn close_writer(&mut self, call: u64, is_told: bool) {
        if is_told {
            self.send_part(call, Part::Reset);
        }
        let Some(line) = self.lines.get_mut(&call) else { return };
        if let Some(writer) = line.writer.take() {
            writer.moved.notify_one();
        }
        self.forget_closed(call);
    }

    /// Forgets a connection of which no end is open any more.
    fn forget_closed(&mut self, call: u64) {
        if self.lines.get(&call).is_some_and(|line| line.writer.is_none() && line.reader.is_none()) {
            self.lines.remove(&call);
        }
    }

    /// A node is gone. Half of its connections are reset by its machine; the others are silent from now on.
    pub(super) fn break_streams_of(&mut self, node: Place) {
        let is_of = |line: &Line| line.node == node && line.writer.is_some();
        let calls: Vec<u64> =
            self.lines.iter().filter(|(_, line)| is_of(line)).map(|(call, _)| *call).collect();
        for call in calls {
            if self.post.rng.random_bool(0.5) {
                let after = self.post.moment(NOTICED_WITHIN);
                self.post.send_late(after, Parcel::Streamed { call, part: Part::Reset });
            }
            self.close_writer(call, false);
        }
    }
}

fn way_of(node: Place, leg: Leg, bytes: usize) -> Way {
    let (from, to) = if leg == Leg::Call { (CLIENTS, node) } else { (node, CLIENTS) };
    Way { from, to, leg, channel: None, bytes, copies_max: u32::MAX }
}
