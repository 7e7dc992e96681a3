//! The node table: every node that ever joined, and the life it lives now.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    command::NodeJoined,
    event::Event,
    ids::{DiskId, Incarnation, NodeId},
    rejection::Rejection,
    rows::{self, Key, KeyReader, LoadError, RowSink, Table},
    state::State,
};

/// All nodes by id.
pub type Nodes = imbl::OrdMap<NodeId, Arc<NodeRecord>>;

/// What the cluster knows of a node; written when it joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its newest life.
    pub incarnation: Incarnation,
    /// The data directory it has had from the start.
    pub disk: DiskId,
    /// `host:port` for its peers.
    pub peer_address: Arc<str>,
    /// `host:port` of its HTTP API.
    pub http_address: Arc<str>,
    /// How many jobs it runs at a time, not counting those that take no slot.
    pub slots: u32,
    /// The job types it offers, sorted.
    pub job_types: Vec<Arc<str>>,
    /// Whether its newest life was declared lost; the next one is not.
    pub lost: bool,
    /// Whether it takes no new work and hands over what it has; kept over restarts.
    pub draining: bool,
    /// Whether its newest life is shutting down, which is the same but for the next life.
    pub leaving: bool,
}

impl NodeRecord {
    /// Whether the node can be given work.
    pub fn is_available(&self) -> bool {
        !self.lost && !self.draining && !self.leaving
    }

    /// Whether it offers a job type.
    pub fn offers(&self, job_type: &str) -> bool {
        self.job_types.binary_search_by(|offered| (**offered).cmp(job_type)).is_ok()
    }
}

/// Decides on `NodeJoined`: a higher boot count ends the life before it, the same life again changes nothing, any
/// other life and any other disk are refused.
pub(crate) fn join(state: &State, joined: &NodeJoined) -> Result<Vec<Event>, Rejection> {
    let Some(known) = state.nodes.get(&joined.node()) else {
        return Ok(vec![Event::NodeJoined(joined.clone())]);
    };
    if known.disk != joined.disk {
        return Err(Rejection::OtherDisk { node: joined.node(), recorded: known.disk, found: joined.disk });
    }
    if known.incarnation == joined.incarnation {
        return Ok(vec![]);
    }
    if known.incarnation.boot >= joined.incarnation.boot {
        return Err(Rejection::OldIncarnation { incarnation: joined.incarnation });
    }
    sometimes!("a node that was lost joins anew", known.lost);
    sometimes!("a node joins anew before it is missed", !known.lost);
    let ended =
        state.sessions.of(known.incarnation).map(|_| Event::SessionEnded { incarnation: known.incarnation });
    Ok(ended.into_iter().chain([Event::NodeJoined(joined.clone())]).collect())
}

/// Decides on `NodeLost`; an older life, or one that is lost already, changes nothing. A leader that was cut off or stood still has
/// heard nobody, and may say so long after others have taken its place.
pub(crate) fn lose(state: &State, incarnation: Incarnation, term: u64) -> Result<Vec<Event>, Rejection> {
    if term != state.term() && !mutant!("stale-judgement-accepted") {
        return Err(Rejection::OtherTerm { given: term, now: state.term() });
    }
    let known = newest_life(state, incarnation)?;
    if known.is_none_or(|record| record.lost) {
        return Ok(vec![]);
    }
    let ended = state.sessions.of(incarnation).map(|_| Event::SessionEnded { incarnation });
    Ok(ended.into_iter().chain([Event::NodeLost { incarnation }]).collect())
}

/// Decides on `NodeLeaving`; a life that is over changes nothing.
pub(crate) fn leave(state: &State, incarnation: Incarnation) -> Result<Vec<Event>, Rejection> {
    let known = newest_life(state, incarnation)?;
    let is_news = known.is_some_and(|record| !record.lost && !record.leaving);
    Ok(if is_news { vec![Event::NodeLeaving { incarnation }] } else { vec![] })
}

/// Decides on `DrainNode` and `UndrainNode`; what is so already changes nothing.
pub(crate) fn drain(state: &State, node: NodeId, draining: bool) -> Result<Vec<Event>, Rejection> {
    let known = state.nodes.get(&node).ok_or(Rejection::NoSuchNode { node })?;
    Ok(if known.draining == draining { vec![] } else { vec![Event::NodeDrained { node, draining }] })
}

/// The record of a life's node, if the life is its newest.
fn newest_life(state: &State, incarnation: Incarnation) -> Result<Option<&NodeRecord>, Rejection> {
    let node = incarnation.node;
    let known = state.nodes.get(&node).ok_or(Rejection::NoSuchNode { node })?;
    Ok(Some(&**known).filter(|record| record.incarnation == incarnation))
}

pub(crate) fn evolve_lost(nodes: &mut Nodes, incarnation: Incarnation, sink: &mut RowSink) {
    change(nodes, incarnation.node, sink, |record| record.lost = true);
}

pub(crate) fn evolve_leaving(nodes: &mut Nodes, incarnation: Incarnation, sink: &mut RowSink) {
    change(nodes, incarnation.node, sink, |record| record.leaving = true);
}

pub(crate) fn evolve_drained(nodes: &mut Nodes, node: NodeId, draining: bool, sink: &mut RowSink) {
    change(nodes, node, sink, |record| record.draining = draining);
}

fn change(nodes: &mut Nodes, node: NodeId, sink: &mut RowSink, change: impl FnOnce(&mut NodeRecord)) {
    let record = nodes.get_mut(&node).expect("only a known node changes");
    let before = record.clone();
    change(Arc::make_mut(record));
    sink.replace(&key(node), Some(&*before), Some(&**record));
}

pub(crate) fn evolve_joined(nodes: &mut Nodes, joined: &NodeJoined, sink: &mut RowSink) {
    let known = nodes.get(&joined.node());
    let record = NodeRecord {
        incarnation: joined.incarnation,
        disk: joined.disk,
        peer_address: joined.peer_address.clone(),
        http_address: joined.http_address.clone(),
        slots: joined.slots,
        job_types: joined.job_types.clone(),
        lost: false,
        leaving: known.is_some_and(|known| known.leaving && mutant!("leave-kept-over-restart")),
        draining: known.is_some_and(|known| known.draining && !mutant!("drain-forgotten-at-restart")),
    };
    sink.replace(&key(joined.node()), known.map(|known| &**known), Some(&record));
    nodes.insert(joined.node(), Arc::new(record));
}

pub(crate) fn load_row(nodes: &mut Nodes, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
    let mut parts = KeyReader::new(key);
    let node = NodeId(parts.u64()?);
    parts.end()?;
    nodes.insert(node, Arc::new(rows::decode(key, value)?));
    Ok(())
}

/// Writes every row of the table as if it were new.
pub(crate) fn dump(nodes: &Nodes, sink: &mut RowSink) {
    for (node, record) in nodes {
        sink.replace(&key(*node), None, Some(&**record));
    }
}

fn key(node: NodeId) -> Key {
    Key::new(Table::Node).u64(node.0)
}
