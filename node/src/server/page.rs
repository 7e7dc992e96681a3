//! The page of metrics: what this process counts, and what the cluster has by its latest state.
//!
//! Of the latter every node shows the same, as far as it has come. Labels are few and fixed, so that neither cells nor LRPs that go leave
//! anything behind.

use std::sync::Arc;

use capstan_api::ports::MetricsPage;
use capstan_model::{
    lrp::cell::{Cell, Used},
    state::State,
};
use capstan_raft_store::handle::ClusterHandle;
use metrics::gauge;

use crate::telemetry::Metrics;

const MIB: f64 = 1_048_576.0;

/// The page of one node.
pub(super) struct Page {
    pub(super) process: Arc<Metrics>,
    pub(super) cluster: ClusterHandle,
}

impl MetricsPage for Page {
    fn render(&self) -> String {
        let view = self.cluster.view();
        sample_requests(view.state());
        sample_lrps(view.state());
        sample_tasks(view.state());
        sample_cells(view.state());
        self.process.render()
    }
}

fn sample_requests(state: &State) {
    gauge!("capstan_requests_live").set(state.requests.len() as f64);
    gauge!("capstan_requests_archived").set(state.archive.count() as f64);
}

fn sample_lrps(state: &State) {
    let counts = state.lrps.counts();
    gauge!("capstan_lrps_desired").set(state.lrps.desired_len() as f64);
    gauge!("capstan_lrp_instances_desired").set(counts.desired_instances as f64);
    let of_state = [
        ("unclaimed", counts.unclaimed),
        ("claimed", counts.claimed),
        ("running", counts.running),
        ("crashed", counts.crashed),
        ("evacuating", counts.evacuating),
    ];
    for (state, count) in of_state {
        gauge!("capstan_lrp_instances", "state" => state).set(count as f64);
    }
}

fn sample_tasks(state: &State) {
    let counts = state.tasks.counts();
    let of_state = [
        ("pending", counts.pending),
        ("running", counts.running),
        ("completed", counts.completed),
        ("resolving", counts.resolving),
    ];
    for (state, count) in of_state {
        gauge!("capstan_tasks", "state" => state).set(count as f64);
    }
}

/// What cells of one state have together.
#[derive(Default)]
struct Together {
    cells: u64,
    capacity: Used,
    used: Used,
}

fn sample_cells(state: &State) {
    let (mut open, mut silent, mut evacuating) = <(Together, Together, Together)>::default();
    for (_, cell) in state.lrps.cells() {
        let together = match cell {
            Cell { silent: true, .. } => &mut silent,
            Cell { evacuating: true, .. } => &mut evacuating,
            Cell { .. } => &mut open,
        };
        let capacity = Used {
            memory_mb: cell.capacity.memory_mb.into(),
            disk_mb: cell.capacity.disk_mb.into(),
            containers: cell.capacity.containers.into(),
        };
        together.cells += 1;
        together.capacity = together.capacity + capacity;
        together.used = together.used + state.used(cell.incarnation);
    }
    for (state, together) in [("open", open), ("silent", silent), ("evacuating", evacuating)] {
        gauge!("capstan_cells", "state" => state).set(together.cells as f64);
        for (of, sum) in [("capacity", together.capacity), ("used", together.used)] {
            let labels = [("state", state), ("of", of)];
            gauge!("capstan_cells_memory_bytes", &labels).set(sum.memory_mb as f64 * MIB);
            gauge!("capstan_cells_disk_bytes", &labels).set(sum.disk_mb as f64 * MIB);
            gauge!("capstan_cells_containers", &labels).set(sum.containers as f64);
        }
    }
}
