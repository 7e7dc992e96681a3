//! The true table of what runs for instances and tasks, whatever cells and the cluster believe.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use capstan_model::{
    ids::Incarnation,
    lrp::{
        actual::{ActualKey, InstanceKey},
        guid::Guid,
    },
    time::Timestamp,
};
use capstan_node::instance::driver::ProcessEnd;

use crate::{
    net::Place,
    oracle::{Observation, Oracle},
    trace::Trace,
};

/// What a process runs for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// An instance of an LRP.
    Instance {
        /// Its index.
        key: ActualKey,
        /// Which instance.
        instance: InstanceKey,
    },
    /// A task.
    Task {
        /// Its name.
        guid: Guid,
        /// When it was desired.
        created_at: Timestamp,
    },
}

/// One process of an instance or a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitProcess {
    /// What it runs for.
    pub unit: Unit,
    /// The machine it runs on.
    pub node: Place,
    /// Which of the machine's lives started it, counted over all nodes.
    pub life: u64,
    /// The incarnation of the node in that life.
    pub incarnation: Incarnation,
    /// What it executes.
    pub program: Arc<str>,
    /// Whether it only looks at another one of its instance.
    pub is_check: bool,
    /// The ports of the machine that are its instance's.
    pub ports: Vec<u16>,
    /// When it was started, in microseconds of virtual time.
    pub started_us: u64,
}

/// Who ended a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// Nobody.
    Itself,
    /// Its cell, by a signal.
    Cell,
    /// Its guardian, whose node is gone or begins anew; or its machine, which has lost its power.
    Machine,
}

/// Every process of instances and tasks of a world.
pub struct Instances {
    trace: Arc<Trace>,
    oracle: Arc<Oracle>,
    running: Mutex<BTreeMap<u64, UnitProcess>>,
    next: Mutex<u64>,
}

impl Instances {
    /// Nothing runs.
    pub(crate) fn new(trace: Arc<Trace>, oracle: Arc<Oracle>) -> Self {
        Self { trace, oracle, running: Mutex::default(), next: Mutex::new(1) }
    }

    /// Enters a process that was just made, and numbers it.
    pub(crate) fn started(&self, process: UnitProcess) -> u64 {
        let number = {
            let mut next = self.next.lock().expect("nothing panics while holding it");
            *next += 1;
            *next - 1
        };
        let UnitProcess { node, life, .. } = process;
        let shown = format!("{} {}", process.unit, process.program);
        self.trace.event(node, "unit process started", &[life, number], shown.as_bytes());
        self.oracle.observe(&Observation::UnitStarted { process: &process });
        self.lock().insert(number, process);
        number
    }

    /// Takes a process that has ended out of the table; one that went with its machine is not there any more.
    pub(crate) fn ended(&self, number: u64, end: &ProcessEnd, by: EndedBy) {
        let Some(process) = self.lock().remove(&number) else { return };
        let status = match end {
            ProcessEnd::Exited { status, .. } => i64::from(*status),
            ProcessEnd::Failed(_) => -1,
        };
        let shown = format!("{status} by {by:?}");
        self.trace.event(process.node, "unit process ended", &[number], shown.as_bytes());
        self.oracle.observe(&Observation::UnitEnded { process: &process, by });
    }

    /// A machine has lost its power.
    pub(crate) fn power_lost(&self, node: Place) {
        let gone: Vec<UnitProcess> =
            self.lock().extract_if(.., |_, process| process.node == node).map(|(_, gone)| gone).collect();
        for process in &gone {
            self.oracle.observe(&Observation::UnitEnded { process, by: EndedBy::Machine });
        }
    }

    /// What runs now, but for checks.
    pub fn running(&self) -> Vec<UnitProcess> {
        self.lock().values().filter(|process| !process.is_check).cloned().collect()
    }

    /// Whether something that another life of this machine started still runs there.
    pub(crate) fn has_leftovers(&self, node: Place, life: u64) -> bool {
        self.lock().values().any(|process| process.node == node && process.life != life)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, UnitProcess>> {
        self.running.lock().expect("nothing panics while holding it")
    }
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Instance { key, instance } => write!(f, "{key} {:08x}", instance.instance_guid >> 96),
            Self::Task { guid, .. } => write!(f, "task {guid}"),
        }
    }
}
