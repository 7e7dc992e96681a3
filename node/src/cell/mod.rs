//! The node as a host of instances and tasks.
//!
//! * `plan`: what there is to do, by comparing State with what runs here; the cell's actor does it.
//! * `report`: how what runs here becomes known to the cluster; `counted`: and to whoever reads the metrics of this node.
//! * [`host`]: makes what drives an instance or a task on this machine; [`capacity`]: what the machine has.

pub mod capacity;
pub(crate) mod counted;
pub mod host;
pub(crate) mod plan;
pub(crate) mod report;

use std::sync::Arc;

use capstan_model::{
    lrp::{
        actual::{ActualKey, InstanceKey, NetInfo},
        cell::{Capacity, RootfsProviders},
        definition::Definition,
        isolation::Isolation,
    },
    task::Task,
};
use tokio::sync::Semaphore;

use crate::instance::driver::Driver;

/// What the cell actor of a node works with. Cheap to clone.
#[derive(Clone)]
pub struct CellTools {
    /// Where it stands.
    pub zone: Arc<str>,
    /// What it has in all.
    pub capacity: Capacity,
    /// What it can start instances from.
    pub rootfs: RootfsProviders,
    /// How far it keeps them apart.
    pub isolation: Isolation,
    /// Makes what drives them.
    pub drivers: Arc<dyn Drivers>,
    /// The permits for health checks; see [`crate::instance::monitor::check_permits`].
    pub checks: Arc<Semaphore>,
}

/// Makes what drives instances and tasks.
pub trait Drivers: Send + Sync {
    /// For an instance of an LRP. Nothing of it is started yet.
    ///
    /// # Errors
    /// The cell cannot give it what it needs; the text is for its owner.
    fn instance(
        &self,
        key: &ActualKey,
        instance: InstanceKey,
        definition: &Definition,
    ) -> Result<Driven, String>;

    /// For a task. `id` names what is started for it, and was never used before.
    ///
    /// # Errors
    /// As for an instance.
    fn task(&self, task: &Task, id: u128) -> Result<Arc<dyn Driver>, String>;
}

/// An instance that can be started.
pub struct Driven {
    /// What drives it.
    pub driver: Arc<dyn Driver>,
    /// How others reach it once it runs.
    pub net: Arc<NetInfo>,
}
