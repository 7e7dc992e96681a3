//! Server-sent events: their names, and the data of each.

use serde::{Deserialize, Serialize};

use super::{ActualLrp, DesiredLrp};
use crate::spin_cycle::UtcTime;

/// The data is a [`DesiredLrpEvent`].
pub const DESIRED_LRP_CREATED: &str = "desired_lrp_created";
/// The data is a [`DesiredLrpChange`].
pub const DESIRED_LRP_CHANGED: &str = "desired_lrp_changed";
/// The data is a [`DesiredLrpEvent`].
pub const DESIRED_LRP_REMOVED: &str = "desired_lrp_removed";
/// The data is an [`ActualLrpEvent`].
pub const ACTUAL_LRP_CREATED: &str = "actual_lrp_created";
/// The data is an [`ActualLrpChange`].
pub const ACTUAL_LRP_CHANGED: &str = "actual_lrp_changed";
/// The data is an [`ActualLrpEvent`].
pub const ACTUAL_LRP_REMOVED: &str = "actual_lrp_removed";

/// A desired LRP was created, or removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DesiredLrpEvent {
    /// When; under `/cluster/v1` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<UtcTime>,
    /// As it is, or was last.
    pub desired_lrp: DesiredLrp,
}

/// A desired LRP was changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DesiredLrpChange {
    /// When; under `/cluster/v1` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<UtcTime>,
    /// As it was.
    pub desired_lrp_before: DesiredLrp,
    /// As it is.
    pub desired_lrp_after: DesiredLrp,
}

/// A record of an index was created, or removed. Its `evacuating` tells which of the two that an index may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActualLrpEvent {
    /// When; under `/cluster/v1` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<UtcTime>,
    /// As it is, or was last.
    pub actual_lrp: ActualLrp,
}

/// A record of an index was changed. Its `evacuating` tells which of the two, and is the same before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActualLrpChange {
    /// When; under `/cluster/v1` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<UtcTime>,
    /// As it was.
    pub actual_lrp_before: ActualLrp,
    /// As it is.
    pub actual_lrp_after: ActualLrp,
}
