//! What is desired: one manifest, how many instances of it, and its tag.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    definition::{Changeable, Definition, Update},
    guid::ProcessGuid,
    tag::ModificationTag,
};

/// How many LRPs may be desired at a time: twice the 200,000 of Diego's own measurements.
pub const DESIRED_MAX: usize = 400_000;
/// How many instances of one LRP may be desired. One command creates, or retires, all of them: some 10 ms of apply's time.
pub const INSTANCES_MAX: u32 = 5_000;
/// How many records of instances there may be in all: four times the 250,000 of Diego's own measurements.
pub const RECORDS_MAX: usize = 1_000_000;

/// A desired LRP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Its name.
    pub guid: ProcessGuid,
    /// What is to run; the same for its life.
    pub definition: Arc<Definition>,
    /// What its owner may change.
    pub changeable: Changeable,
    /// Counts the changes.
    pub tag: ModificationTag,
}

/// The part of a desired LRP that is written again at each change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangeableRow {
    pub(crate) changeable: Changeable,
    pub(crate) tag: ModificationTag,
}

impl Desired {
    /// How many instances are to run.
    pub fn instances(&self) -> u32 {
        self.changeable.instances
    }

    /// The same after a change; also one that names nothing counts as one.
    pub(super) fn updated(&self, update: &Update) -> Self {
        let now = self.changeable.clone();
        let changeable = Changeable {
            instances: update.instances.unwrap_or(now.instances),
            routes: update.routes.clone().unwrap_or(now.routes),
            annotation: update.annotation.clone().unwrap_or(now.annotation),
        };
        Self { changeable, tag: self.tag.next(), ..self.clone() }
    }

    pub(crate) fn row(&self) -> ChangeableRow {
        ChangeableRow { changeable: self.changeable.clone(), tag: self.tag }
    }
}
