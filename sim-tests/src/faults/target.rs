//! Whom a fault hits.

use serde::{Deserialize, Serialize};

use crate::{net::Place, world::World};

/// Whom a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Who leads then; node 1 when nobody does.
    Leader,
    /// Some other node than the leader, counted round.
    Follower(u64),
    /// This node, counted round.
    Node(Place),
}

impl Target {
    /// Who that is now.
    pub(super) fn resolve(self, world: &World) -> Place {
        let nodes: Vec<Place> = world.machines.net.nodes().collect();
        let leader = world.machines.leader().unwrap_or(1);
        match self {
            Self::Leader => leader,
            // Schedules are shrunk to fewer nodes than they were drawn for.
            Self::Node(node) => *nth(&nodes, node - 1).expect("a world has nodes"),
            Self::Follower(which) => {
                let others: Vec<Place> = nodes.into_iter().filter(|node| *node != leader).collect();
                nth(&others, which).copied().unwrap_or(leader)
            }
        }
    }
}

fn nth(nodes: &[Place], which: u64) -> Option<&Place> {
    nodes.iter().cycle().nth(usize::try_from(which).expect("a small number"))
}
