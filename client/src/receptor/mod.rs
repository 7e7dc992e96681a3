//! The shapes under `/v1`, those of Diego's Receptor of November 2015: order of keys, what is omitted and what is null.
//!
//! What is sent reads with upstream's rules for absence: a list that is null or missing is empty.

mod action;
mod actual;
mod cell;
mod desired;
mod egress;
mod error;
mod event;
mod output;
mod rollout;
mod task;
mod version;

pub use action::{
    Action, Download, EmitProgress, EnvironmentVariable, List, ResourceLimits, Run, Timeout, Try, Upload,
};
pub use actual::{ActualLrp, ActualLrpState, PortMapping};
pub use cell::{Cell, CellCapacity};
pub use desired::{DesiredLrp, DesiredLrpCreate, DesiredLrpUpdate, ModificationTag, Routes};
pub use egress::{EgressRule, IcmpInfo, PortRange};
pub use error::ErrorBody;
pub use event::{
    ACTUAL_LRP_CHANGED, ACTUAL_LRP_CREATED, ACTUAL_LRP_REMOVED, ActualLrpChange, ActualLrpEvent,
    DESIRED_LRP_CHANGED, DESIRED_LRP_CREATED, DESIRED_LRP_REMOVED, DesiredLrpChange, DesiredLrpEvent,
};
pub use output::{OutputLine, OutputStream};
pub use rollout::Rollout;
pub use task::{Task, TaskCreate, TaskState};
pub use version::Version;

use serde::{Deserialize, Deserializer};

fn null_is_empty<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
