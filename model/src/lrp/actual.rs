//! One index of an LRP as it is: its records, what they may become, and which of two is shown.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{guid::ProcessGuid, tag::ModificationTag};
use crate::{ids::Incarnation, time::Timestamp};

/// One index of one LRP.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ActualKey {
    /// The LRP.
    pub guid: ProcessGuid,
    /// From 0.
    pub index: u32,
}

/// Which of the two records of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Presence {
    /// The one that is placed, started and restarted.
    Ordinary,
    /// An instance that goes on, on a cell that is being drained, until another one runs in its stead.
    Evacuating,
}

/// A record of an index: what is known of one instance, or of the place for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actual {
    /// The domain of the LRP it was created for, which it may outlive.
    pub domain: Arc<str>,
    /// What it takes of a cell.
    pub needs: Needs,
    /// How far it is.
    pub phase: Phase,
    /// How often it has crashed, in a row.
    pub crash_count: u32,
    /// Why it crashed last; empty if it has not, or without an error.
    pub crash_reason: Arc<str>,
    /// When it was created, started, crashed, taken back, or could not be placed; a claim leaves it.
    pub since: Timestamp,
    /// Counts the changes that anybody is told of.
    pub tag: ModificationTag,
}

/// How far a record is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It waits to be placed.
    Unclaimed {
        /// Why it could not be, the last time; empty before.
        placement_error: Arc<str>,
    },
    /// A cell is to start it, or has begun to.
    Claimed {
        /// The instance, and where.
        instance: InstanceKey,
        /// Set once its cell is to stop it; nobody is told of that.
        stopping: Option<StopCause>,
    },
    /// It is healthy.
    Running {
        /// The instance, and where.
        instance: InstanceKey,
        /// How it is reached.
        net: Arc<NetInfo>,
        /// Set once its cell is to stop it; nobody is told of that.
        stopping: Option<StopCause>,
    },
    /// It has crashed too often to be started at once.
    Crashed,
}

/// Why a cell is to stop an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCause {
    /// Its index is not desired any more.
    Retired,
    /// Its owner wants another one in its place.
    Killed,
}

/// Names one run of an index. Whoever reports names it, so that a late report changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InstanceKey {
    /// Drawn when it was placed; shown as a UUID.
    pub instance_guid: u128,
    /// The cell, in the life in which it was given the instance.
    pub cell: Incarnation,
}

/// What an instance or a task takes of a cell, beside one container; zero is unlimited, and counts for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// In MiB.
    pub memory_mb: u32,
    /// In MiB.
    pub disk_mb: u32,
}

/// How an instance is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetInfo {
    /// The cell's address, as others see it.
    pub address: Arc<str>,
    /// In the order of the definition's ports.
    pub ports: Vec<PortMapping>,
}

/// A port of an instance, and the port of the cell that leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// As the instance sees it.
    pub container_port: u16,
    /// As others see it.
    pub host_port: u16,
}

/// The records of one index; there is at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The ordinary one; an index that is desired always has it.
    pub instance: Option<Arc<Actual>>,
    /// The evacuating one.
    pub evacuating: Option<Arc<Actual>>,
}

impl ActualKey {
    /// The key of an index.
    pub fn new(guid: &ProcessGuid, index: u32) -> Self {
        Self { guid: guid.clone(), index }
    }
}

impl Actual {
    /// The instance it is about, if it was placed.
    pub fn instance(&self) -> Option<InstanceKey> {
        match self.phase {
            Phase::Claimed { instance, .. } | Phase::Running { instance, .. } => Some(instance),
            Phase::Unclaimed { .. } | Phase::Crashed => None,
        }
    }

    /// Why its cell is to stop it, if it is.
    pub fn stopping(&self) -> Option<StopCause> {
        match self.phase {
            Phase::Claimed { stopping, .. } | Phase::Running { stopping, .. } => stopping,
            Phase::Unclaimed { .. } | Phase::Crashed => None,
        }
    }

    /// Whether it is healthy.
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// The same, with its cell asked to stop it.
    pub(super) fn asked_to_stop(&self, cause: StopCause) -> Self {
        let mut asked = self.clone();
        match &mut asked.phase {
            Phase::Claimed { stopping, .. } | Phase::Running { stopping, .. } => *stopping = Some(cause),
            Phase::Unclaimed { .. } | Phase::Crashed => panic!("only what is on a cell is stopped"),
        }
        asked
    }
}

impl Phase {
    /// A phase in which nothing has been tried yet.
    pub(super) fn unclaimed() -> Self {
        Self::Unclaimed { placement_error: "".into() }
    }

    /// Whether a record in this phase may enter the next one.
    pub fn may_become(&self, next: &Self) -> bool {
        match (self, next) {
            // Placed; could not be placed.
            (Self::Unclaimed { .. }, Self::Claimed { .. } | Self::Unclaimed { .. }) => true,
            // Healthy; or reached in another way.
            (
                Self::Claimed { instance, .. } | Self::Running { instance, .. },
                Self::Running { instance: same, .. },
            ) => instance == same,
            // Crashed; or taken back from a cell that is drained.
            (Self::Claimed { .. } | Self::Running { .. }, Self::Unclaimed { .. } | Self::Crashed) => true,
            // Its wait is over.
            (Self::Crashed, Self::Unclaimed { .. }) => true,
            (Self::Unclaimed { .. }, Self::Running { .. } | Self::Crashed)
            | (Self::Claimed { .. } | Self::Running { .. } | Self::Crashed, Self::Claimed { .. })
            | (Self::Crashed, Self::Running { .. } | Self::Crashed) => false,
        }
    }
}

impl Group {
    /// One of the two.
    pub fn get(&self, presence: Presence) -> Option<&Arc<Actual>> {
        match presence {
            Presence::Ordinary => self.instance.as_ref(),
            Presence::Evacuating => self.evacuating.as_ref(),
        }
    }

    /// Those that there are.
    pub fn records(&self) -> impl Iterator<Item = (Presence, &Arc<Actual>)> {
        let with = |presence| self.get(presence).map(|actual| (presence, actual));
        [with(Presence::Ordinary), with(Presence::Evacuating)].into_iter().flatten()
    }

    /// Which record is about this instance; `None` if the instance is not current.
    pub fn presence_of(&self, instance: InstanceKey) -> Option<Presence> {
        self.records().find(|(_, actual)| actual.instance() == Some(instance)).map(|(presence, _)| presence)
    }

    /// The record that stands for the index: of two the ordinary one once it is healthy, the evacuating one until then, which is
    /// healthy. Diego lets one that has crashed stand for it, too; there the evacuating one goes then, here it goes on, and is
    /// what can be routed to. Records of other domains than the one asked for are left out before.
    pub fn resolved(&self, domain: Option<&str>) -> Option<(Presence, &Arc<Actual>)> {
        let mut found = self.records().filter(|(_, actual)| domain.is_none_or(|d| *actual.domain == *d));
        let first = found.next()?;
        let Some(second) = found.next() else { return Some(first) };
        Some(if first.1.is_running() { first } else { second })
    }

    pub(super) fn slot(&mut self, presence: Presence) -> &mut Option<Arc<Actual>> {
        match presence {
            Presence::Ordinary => &mut self.instance,
            Presence::Evacuating => &mut self.evacuating,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.instance.is_none() && self.evacuating.is_none()
    }
}

impl std::fmt::Display for ActualKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.guid, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;

    fn record(phase: Phase) -> Arc<Actual> {
        Arc::new(Actual {
            domain: "d".into(),
            needs: Needs::default(),
            phase,
            crash_count: 0,
            crash_reason: "".into(),
            since: Timestamp(1),
            tag: ModificationTag { epoch: 1, index: 0 },
        })
    }

    #[test]
    fn the_evacuating_record_stands_for_an_index_until_the_other_runs() {
        let instance =
            InstanceKey { instance_guid: 1, cell: Incarnation { node: NodeId(1), boot: 1, nonce: 0 } };
        let net = Arc::new(NetInfo { address: "10.0.0.1".into(), ports: vec![] });
        let running = Phase::Running { instance, net, stopping: None };
        let cases = [
            (Phase::unclaimed(), Presence::Evacuating),
            (Phase::Claimed { instance, stopping: None }, Presence::Evacuating),
            (running.clone(), Presence::Ordinary),
            (Phase::Crashed, Presence::Evacuating),
        ];
        for (phase, expected) in cases {
            let instance = Some(record(phase));
            let alone = Group { instance: instance.clone(), evacuating: None };
            assert_eq!(alone.resolved(None).map(|found| found.0), Some(Presence::Ordinary));
            let both = Group { instance, evacuating: Some(record(running.clone())) };
            assert_eq!(both.resolved(None).map(|found| found.0), Some(expected), "{both:?}");
            assert_eq!(both.resolved(Some("d")), both.resolved(None));
            assert_eq!(both.resolved(Some("other")), None);
        }
        let evacuating = Group { instance: None, evacuating: Some(record(running)) };
        assert_eq!(evacuating.resolved(None).map(|found| found.0), Some(Presence::Evacuating));
    }
}
