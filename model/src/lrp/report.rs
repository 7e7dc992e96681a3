//! What cells report of their instances. A report names its instance; one that is not current changes nothing, and its cell is
//! to stop it.

use std::sync::Arc;

use super::{
    actual::{Actual, ActualKey, InstanceKey, NetInfo, Phase, Presence},
    crash,
    draft::Draft,
    handle::Decision,
};
use crate::{
    rejection::{Rejection, check_size},
    state::State,
    time::Timestamp,
};

/// The longest reason of a crash, in bytes; whoever reports cuts it.
pub const REASON_BYTES_MAX: usize = 10_240;

/// The end of an instance.
#[derive(Debug, Clone, Copy)]
pub(super) struct End<'a> {
    pub(super) key: &'a ActualKey,
    pub(super) instance: InstanceKey,
    pub(super) draw: u128,
}

/// An instance is healthy. What is known already, and what is to be stopped, changes nothing.
pub(super) fn running(
    state: &State,
    at: Timestamp,
    key: &ActualKey,
    instance: InstanceKey,
    net: &Arc<NetInfo>,
) -> Decision {
    let (presence, actual) = find(state, key, instance)?;
    let is_known = match &actual.phase {
        Phase::Running { net: known, .. } => known == net,
        Phase::Claimed { .. } | Phase::Unclaimed { .. } | Phase::Crashed => false,
    };
    if presence == Presence::Evacuating || is_known || actual.stopping().is_some() {
        return Ok(vec![]);
    }
    let mut draft = Draft::new(state, at);
    draft.start(key, instance, net);
    Ok(draft.into_events())
}

/// An instance has crashed. One that was to be stopped has stopped, whatever made it; one that was evacuating has another in its
/// place already.
pub(super) fn crashed(state: &State, at: Timestamp, end: End<'_>, reason: &Arc<str>) -> Decision {
    let (presence, actual) = find(state, end.key, end.instance)?;
    sometimes!("an instance ends by itself when it is to be stopped", actual.stopping().is_some());
    sometimes!("an evacuating copy crashes", presence == Presence::Evacuating);
    if presence == Presence::Evacuating || actual.stopping().is_some() {
        return stopped(state, at, end);
    }
    check_size("the reason of a crash", reason, REASON_BYTES_MAX)?;
    let count = crash::count_after(actual, at);
    sometimes!("an instance waits after a crash", count >= crash::WAITS_FROM);
    let mut draft = Draft::new(state, at);
    draft.change(end.key, |actual| {
        actual.phase = crash::phase_after(count);
        actual.crash_count = count;
        actual.crash_reason = reason.clone();
        actual.since = at;
    });
    Ok(draft.into_events())
}

/// An instance is gone. Its index begins anew if it is desired.
pub(super) fn stopped(state: &State, at: Timestamp, end: End<'_>) -> Decision {
    let (presence, _) = find(state, end.key, end.instance)?;
    let mut draft = Draft::new(state, at);
    draft.replace(end.key, presence, end.draw);
    Ok(draft.into_events())
}

fn find<'a>(
    state: &'a State,
    key: &ActualKey,
    instance: InstanceKey,
) -> Result<(Presence, &'a Actual), Rejection> {
    let group = state.lrps.group(key);
    let found = group.and_then(|group| {
        let is_placed = || group.instance.as_ref().is_some_and(|actual| actual.instance().is_some());
        let current = (mutant!("stale-instance-accepted") && is_placed()).then_some(Presence::Ordinary);
        let presence = group.presence_of(instance).or(current)?;
        group.get(presence).map(|actual| (presence, &**actual))
    });
    sometimes!("a report names an instance that is not current", found.is_none());
    found.ok_or_else(|| Rejection::StaleInstance { guid: key.guid.clone(), index: key.index })
}
