//! What is counted of this node as a cell.

use metrics::{Counter, counter};

use crate::instance::life::Observation;

/// The counters of a cell; cheap to clone.
#[derive(Clone)]
pub(crate) struct Counted {
    /// Instances that were to be started here.
    pub(crate) starts: Counter,
    /// Those that became healthy.
    pub(crate) healthy: Counter,
    /// Those that ended by themselves, or could not begin.
    pub(crate) crashes: Counter,
    /// Those that ended because they were to.
    pub(crate) stops: Counter,
    /// Tasks that were to be started here.
    pub(crate) tasks: Counter,
    /// Those that succeeded.
    pub(crate) tasks_done: Counter,
    /// Those that failed.
    pub(crate) tasks_failed: Counter,
}

impl Counted {
    pub(crate) fn new() -> Self {
        let of_instances = |what| counter!("capstan_cell_instances_total", "what" => what);
        let of_tasks = |what| counter!("capstan_cell_tasks_total", "what" => what);
        Self {
            starts: of_instances("started"),
            healthy: of_instances("healthy"),
            crashes: of_instances("crashed"),
            stops: of_instances("stopped"),
            tasks: of_tasks("started"),
            tasks_done: of_tasks("succeeded"),
            tasks_failed: of_tasks("failed"),
        }
    }

    /// Counts what was seen of an instance.
    pub(crate) fn observe(&self, seen: &Observation) {
        let counter = match seen {
            Observation::Running => &self.healthy,
            Observation::Crashed { .. } | Observation::Refused { .. } => &self.crashes,
            Observation::Stopped => &self.stops,
        };
        counter.increment(1);
    }
}
