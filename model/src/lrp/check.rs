//! What must hold of LRPs, whatever was applied.

use super::{
    Lrps,
    actual::{Actual, ActualKey, Group, Phase},
    crash,
};
use crate::state::State;

/// Checks everything about LRPs and cells; the error says what does not hold.
pub(crate) fn check(state: &State) -> Result<(), String> {
    let State { lrps, nodes, .. } = state;
    if lrps.indexes != lrps.rebuild_indexes() {
        return Err("the indexes do not follow from the records".into());
    }
    if !lrps.domains.index_matches() {
        return Err("the index of domains by time does not follow from the domains".into());
    }
    for desired in lrps.all_desired() {
        let recorded = lrps.groups_of(&desired.guid).filter(|(key, _)| key.index < desired.instances());
        let instances = recorded.filter(|(_, group)| group.instance.is_some()).count();
        if instances != desired.instances() as usize {
            return Err(format!("{}: {instances} of {} indices", desired.guid, desired.instances()));
        }
    }
    for (key, group) in lrps.groups() {
        check_group(lrps, key, group).map_err(|reason| format!("{key}: {reason}"))?;
    }
    for (id, cell) in lrps.cells() {
        let node = nodes.get(&id).ok_or_else(|| format!("cell {id} has no node"))?;
        if node.incarnation != cell.incarnation || node.lost {
            return Err(format!("cell {id} is of a life that is over"));
        }
        if cell.evacuating != (node.draining || node.leaving) {
            return Err(format!("cell {id} does not follow its node"));
        }
        if !state.used(cell.incarnation).is_within(cell.capacity) {
            return Err(format!("cell {id} is overfilled"));
        }
    }
    Ok(())
}

fn check_group(lrps: &Lrps, key: &ActualKey, group: &Group) -> Result<(), String> {
    if group.is_empty() {
        return Err("it has no record".into());
    }
    for (presence, actual) in group.records() {
        check_phase(actual).map_err(|reason| format!("{presence:?}: {reason}"))?;
        if !lrps.is_desired(key) && actual.stopping().is_none() {
            return Err(format!("{presence:?}: it is neither desired nor being stopped"));
        }
    }
    let Some(evacuating) = &group.evacuating else { return Ok(()) };
    if !evacuating.is_running() {
        return Err(format!("what evacuates does not run: {evacuating:?}"));
    }
    match &group.instance {
        Some(instance) if instance.is_running() => Err("two instances run".into()),
        _ => Ok(()),
    }
}

fn check_phase(actual: &Actual) -> Result<(), String> {
    match actual.phase {
        Phase::Crashed if actual.crash_count < crash::WAITS_FROM => {
            Err(format!("it waits after crash {}", actual.crash_count))
        }
        _ => Ok(()),
    }
}
