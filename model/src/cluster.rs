//! What the cluster is: its id, founded once, and the version of the rules it runs under.

use serde::{Deserialize, Serialize};

use crate::{
    event::Event,
    ids::ClusterId,
    rejection::Rejection,
    reply::Answer,
    rows::{Key, RowSink, Table},
    state::State,
    time::Timestamp,
};

/// The rules this program applies; raised only when every node knows the next ones.
pub const CLUSTER_VERSION: u32 = 1;

/// The cluster's identity; written by the first command of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Drawn by the voter that founded it.
    pub id: ClusterId,
    /// Which rules apply follows; compared in the handshake between nodes.
    pub version: u32,
    /// Log time of the founding.
    pub founded_at: Timestamp,
}

/// Decides on `FoundCluster`. The same id again is a repeat and changes nothing.
pub(crate) fn found(state: &State, at: Timestamp, id: ClusterId) -> Result<(Answer, Vec<Event>), Rejection> {
    match state.cluster {
        None => {
            let cluster = Cluster { id, version: CLUSTER_VERSION, founded_at: at };
            Ok((Answer::Done, vec![Event::ClusterFounded(cluster)]))
        }
        Some(cluster) if cluster.id == id => Ok((Answer::Done, vec![])),
        Some(_) => Err(Rejection::AlreadyFounded),
    }
}

pub(crate) fn evolve(current: &mut Option<Cluster>, founded: Cluster, sink: &mut RowSink) {
    sink.replace(&Key::new(Table::Cluster), current.as_ref(), Some(&founded));
    *current = Some(founded);
}
