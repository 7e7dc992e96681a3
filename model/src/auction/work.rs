//! What an auction is about: indices of LRPs that wait, and tasks that wait.

use std::{sync::Arc, time::Duration};

use super::Auction;
use crate::{
    lrp::{
        actual::{ActualKey, Needs},
        guid::Guid,
        tag::ModificationTag,
    },
    state::State,
    time::Timestamp,
};

/// What found no cell is in an auction again after this time.
pub const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// How many that found no cell are held against the cells when room was given back.
const SOUGHT_MAX: usize = 4_096;

/// Something that needs a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// What.
    pub item: Item,
    /// What it takes of a cell.
    pub needs: Needs,
    /// What it is started from.
    pub rootfs: Arc<str>,
}

/// What is placed, and how it was seen: apply leaves out what is not so any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// An index of an LRP.
    Instance {
        /// Which.
        key: ActualKey,
        /// Its tag.
        tag: ModificationTag,
    },
    /// A task.
    Task {
        /// Which.
        guid: Guid,
        /// When it last changed.
        updated_at: Timestamp,
    },
}

/// What waits to be placed: at most `work_max` indices and as many tasks, those first that have waited longest. What found no cell is
/// in it again if that was before `failed_before`: [`AGAIN_AFTER`] ago as a rule, now when there is a new cell.
pub fn work(state: &State, failed_before: Timestamp, work_max: usize) -> Vec<Work> {
    let unclaimed = state.lrps.unclaimed(failed_before).take(work_max);
    let instances = unclaimed.filter_map(|record| Work::of_index(state, record.key));
    let tasks = state.tasks.pending().take(work_max).map(|task| {
        let item = Item::Task { guid: task.guid.clone(), updated_at: task.updated_at };
        Work { item, needs: task.definition.needs(), rootfs: task.definition.rootfs.clone() }
    });
    instances.chain(tasks).collect()
}

/// What found no cell and would find one now: at most `work_max` of the `SOUGHT_MAX` indices that have waited longest.
pub fn work_that_fits(state: &State, work_max: usize) -> Vec<Work> {
    let auction = Auction::of(state);
    let unplaced = state.lrps.unplaced().take(SOUGHT_MAX);
    let work = unplaced.filter_map(|record| Work::of_index(state, record.key));
    work.filter(|work| auction.cells().iter().any(|cell| cell.has_room(work))).take(work_max).collect()
}

/// When what found no cell is next to be in an auction again, if nothing else happens.
pub fn next_again(state: &State) -> Option<Timestamp> {
    // Of strictly more age, as Diego's.
    state.lrps.first_unplaced().map(|since| since.after(AGAIN_AFTER + Duration::from_nanos(1)))
}

impl Work {
    /// What placing this index takes, whether it waits or not; `None` if it is not desired.
    pub fn of_index(state: &State, key: &ActualKey) -> Option<Self> {
        let desired = state.lrps.desired(key.guid.as_str())?;
        let actual = state.lrps.group(key)?.instance.as_ref()?;
        let item = Item::Instance { key: key.clone(), tag: actual.tag };
        Some(Self { item, needs: actual.needs, rootfs: desired.definition.rootfs.clone() })
    }
}

impl Auction {
    /// An auction of State that knows where the instances of the LRPs are that the work is about.
    pub fn about(state: &State, work: &[Work]) -> Self {
        let mut auction = Self::of(state);
        for work in work {
            if let Item::Instance { key, .. } = &work.item {
                auction.count(&state.lrps, &key.guid);
            }
        }
        auction
    }
}
