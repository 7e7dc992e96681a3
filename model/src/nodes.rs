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
    /// Whether it takes no new work; kept over restarts.
    pub draining: bool,
}

impl NodeRecord {
    /// Whether the node can be given work.
    pub fn is_available(&self) -> bool {
        !self.lost && !self.draining
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
    let ended =
        state.sessions.of(known.incarnation).map(|_| Event::SessionEnded { incarnation: known.incarnation });
    Ok(ended.into_iter().chain([Event::NodeJoined(joined.clone())]).collect())
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
        draining: known.is_some_and(|known| known.draining),
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
