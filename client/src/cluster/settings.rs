//! Settings: what all nodes go by, changed while they run.

use serde::{Deserialize, Serialize};

/// One setting. Values are texts, whole numbers among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingEntry {
    /// The setting's name, such as `archive_days`.
    pub name: String,
    /// What it is now.
    pub value: String,
    /// What it is while nobody has changed it.
    pub default: String,
}

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingList {
    /// In a fixed order.
    pub settings: Vec<SettingEntry>,
}
