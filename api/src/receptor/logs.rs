//! `GET /v1/actual_lrps/{process_guid}/index/{index}/logs`: what the instances of an index write, through any node.

mod wanted;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use capstan_client::{receptor as wire, spin_cycle::UtcTime};
use capstan_model::{
    ids::NodeId,
    lrp::actual::{ActualKey, Presence},
    state::State,
};
use capstan_raft_store::{
    handle::View,
    peer::{OutputFrom, OutputLine, OutputPage, OutputPlace, OutputStream, ReadOutput},
};
use futures::FutureExt;
use http::HeaderValue;
use tokio::time::{Instant, sleep};

use self::wanted::Wanted;
use super::{actual_lrps::Asked, at_index, error::Refusal};
use crate::{
    answer::{self, Answer, BrokenOff, Pieces},
    call::Head,
    error::ApiError,
    ports::{InstanceOutput, OutputError},
    read,
    service::Inner,
    streams::Open,
};

/// A JSON object on each line.
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// A line without anything, which readers pass over.
const HEARTBEAT: Bytes = Bytes::from_static(b"\n");
/// How often whoever follows looks for new lines.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Answers with the lines that are wanted, and with `follow` goes on with those that come, until the index is gone or runs on another cell.
pub(crate) async fn get(api: &Inner, head: &Head<'_>, guid: &str, index: &str) -> Result<Answer, ApiError> {
    let Asked { guid, index, key } = Asked::of(guid, index)?;
    let wanted = Wanted::of(head.query)?;
    let open = api.streams.open(&api.parts.cluster, &api.parts.health, head)?;
    if wanted.follow {
        open.may_begin()?;
    }
    let view = read::view(&api.parts.cluster, head).await?;
    let key = key.filter(|key| view.state().lrps.group(key).is_some());
    let key = key.ok_or(Refusal::NoSuchIndex { guid, index })?;
    let output = api.parts.output.clone();
    let asked = ReadOutput { key, from: wanted.from, stream: wanted.stream };
    let (node, page) = first_page(api, &view, &asked).await?;
    let index = view.index();
    drop(view);
    let reader = Reader { open, output, node, asked, follow: wanted.follow };
    Ok(at_index(answer::in_pieces(LINES, reader.pieces(page)), index))
}

/// The node that has the output, and the first of it. While an index waits for a cell nobody knows where it was last: then the first node that
/// has anything of it is taken, this one before others.
async fn first_page(api: &Inner, view: &View, asked: &ReadOutput) -> Result<(NodeId, OutputPage), ApiError> {
    if let Some(node) = holder(view.state(), &asked.key) {
        return Ok((node, api.parts.output.read(node, asked.clone()).await?));
    }
    let me = api.parts.cluster.node_id();
    let mut nothing = api.parts.output.read(me, asked.clone()).await?;
    let others = view.state().nodes.iter().filter(|(id, record)| **id != me && !record.lost);
    for (node, _) in others {
        if nothing.is_known {
            break;
        }
        match api.parts.output.read(*node, asked.clone()).await {
            Ok(page) if page.is_known => return Ok((*node, page)),
            Ok(_) => {}
            // It may have been elsewhere.
            Err(error) => tracing::debug!(%node, %error, "a node does not tell whether it has output"),
        }
    }
    nothing.is_last |= !nothing.is_known;
    Ok((me, nothing))
}

/// The node on which an index runs, or is to.
fn holder(state: &State, key: &ActualKey) -> Option<NodeId> {
    let group = state.lrps.group(key)?;
    let on = |presence| Some(group.get(presence)?.instance()?.cell.node);
    on(Presence::Ordinary).or_else(|| on(Presence::Evacuating))
}

/// Reads page after page.
struct Reader {
    open: Open,
    output: Arc<dyn InstanceOutput>,
    node: NodeId,
    asked: ReadOutput,
    follow: bool,
}

/// What is to be sent next.
enum Next {
    Page(OutputPage),
    /// There is more.
    From(OutputPlace),
    /// Everything that was there has been sent.
    After(OutputPlace),
    Nothing,
}

/// What waiting has led to.
enum Waited {
    Page(OutputPage),
    InVain,
    Over,
}

impl Reader {
    fn pieces(self, first: OutputPage) -> Pieces {
        Pieces::unfold((self, Next::Page(first)), |(reader, next)| reader.piece(next).boxed())
    }

    async fn piece(mut self, mut next: Next) -> Result<Option<(Bytes, (Self, Next))>, BrokenOff> {
        loop {
            match next {
                Next::Nothing => return Ok(None),
                Next::From(place) => next = Next::Page(self.read(place).await?),
                Next::After(place) => match self.wait(place).await? {
                    Waited::Page(page) => next = Next::Page(page),
                    Waited::InVain => return Ok(Some((HEARTBEAT, (self, next)))),
                    Waited::Over => return Ok(None),
                },
                Next::Page(page) => {
                    let OutputPage { lines, next: place, is_last, .. } = page;
                    next = match (is_last, self.follow) {
                        (true, false) => Next::Nothing,
                        (true, true) => Next::After(place),
                        (false, _) => Next::From(place),
                    };
                    if !lines.is_empty() {
                        return Ok(Some((encode(&lines), (self, next))));
                    }
                }
            }
        }
    }

    async fn read(&self, place: OutputPlace) -> Result<OutputPage, OutputError> {
        let asked = ReadOutput { from: OutputFrom::Place(place), ..self.asked.clone() };
        self.output.read(self.node, asked).await
    }

    /// Waits for lines behind `place`.
    async fn wait(&mut self, place: OutputPlace) -> Result<Waited, BrokenOff> {
        let until = self.open.next_heartbeat();
        while Instant::now() < until {
            tokio::select! {
                () = self.open.told_to_end() => return Err(BrokenOff::NodeEnds),
                () = sleep(LOOK_EVERY) => {}
            }
            let can_be_more = self.can_be_more()?;
            // What was written until then is read first.
            let page = self.read(place).await?;
            if page.next != place {
                return Ok(Waited::Page(page));
            }
            if !can_be_more {
                return Ok(Waited::Over);
            }
        }
        Ok(Waited::InVain)
    }

    /// Whether instances of the index may still write on this node.
    fn can_be_more(&self) -> Result<bool, BrokenOff> {
        let view = self.open.cluster().view();
        self.open.goes_on(&view)?;
        let is_elsewhere = holder(view.state(), &self.asked.key).is_some_and(|node| node != self.node);
        Ok(view.state().lrps.group(&self.asked.key).is_some() && !is_elsewhere)
    }
}

fn encode(lines: &[OutputLine]) -> Bytes {
    let mut encoded = Vec::new();
    for line in lines {
        let shown = wire::OutputLine {
            at: UtcTime::from_unix_nanos(line.at.0),
            stream: match line.stream {
                OutputStream::Stdout => wire::OutputStream::Stdout,
                OutputStream::Stderr => wire::OutputStream::Stderr,
            },
            source: line.source.clone(),
            text: line.text.clone(),
        };
        serde_json::to_writer(&mut encoded, &shown).expect("wire types are plain data");
        encoded.push(b'\n');
    }
    encoded.into()
}
