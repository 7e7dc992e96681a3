//! P1: an index has at most one record of each presence, and an instance is given out once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use capstan_model::{
    event::Event,
    lrp::{
        actual::{Actual, ActualKey, Phase, Presence},
        event::LrpEvent,
    },
};

use super::Invariant;
use crate::{ledger::Committed, oracle::Observation};

/// Records come, change and go one after the other, as the state has them.
#[derive(Default)]
pub(crate) struct RecordsAreUnique {
    records: BTreeMap<(ActualKey, Presence), Arc<Actual>>,
    /// Every instance that was ever given to a cell.
    given: BTreeSet<u128>,
}

impl Invariant for RecordsAreUnique {
    fn name(&self) -> &'static str {
        "an index has one record of each presence, and an instance is given out once"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let mut touched = BTreeSet::new();
        for event in &committed.events {
            let Event::Lrp(event) = event else { continue };
            let key =
                self.heed(event).map_err(|found| format!("at {}: {found}: {event:?}", committed.index))?;
            touched.extend(key);
        }
        touched.iter().try_for_each(|key| self.compare(committed, key))
    }
}

impl RecordsAreUnique {
    /// Takes an event of the log, and returns the index that it is about.
    fn heed(&mut self, event: &LrpEvent) -> Result<Option<ActualKey>, &'static str> {
        match event {
            LrpEvent::ActualCreated { key, presence, actual } => {
                let before = self.records.insert((key.clone(), *presence), Arc::clone(actual));
                if before.is_some() {
                    return Err("there is one already");
                }
                Ok(Some(key.clone()))
            }
            LrpEvent::ActualChanged { key, presence, before, after } => {
                let known = self.records.insert((key.clone(), *presence), Arc::clone(after));
                if known.as_ref() != Some(before) {
                    return Err("it was another before");
                }
                let is_given = matches!(before.phase, Phase::Unclaimed { .. });
                if let Some(instance) = after.instance()
                    && is_given
                    && !self.given.insert(instance.instance_guid)
                {
                    return Err("the instance was given out before");
                }
                Ok(Some(key.clone()))
            }
            LrpEvent::ActualRemoved { key, presence, actual } => {
                let known = self.records.remove(&(key.clone(), *presence));
                if known.as_ref() != Some(actual) {
                    Err("it was another before")
                } else {
                    Ok(Some(key.clone()))
                }
            }
            LrpEvent::StopAsked { key, presence, cause } => {
                let known = self.records.get_mut(&(key.clone(), *presence)).ok_or("there is none")?;
                match &mut Arc::make_mut(known).phase {
                    Phase::Claimed { stopping, .. } | Phase::Running { stopping, .. } => {
                        *stopping = Some(*cause);
                    }
                    Phase::Unclaimed { .. } | Phase::Crashed => return Err("it is nowhere"),
                }
                Ok(Some(key.clone()))
            }
            _ => Ok(None),
        }
    }

    /// The state has the same records of an index, and two that run are not told apart by anybody.
    fn compare(&self, committed: &Committed, key: &ActualKey) -> Result<(), String> {
        let of = |presence| self.records.get(&(key.clone(), presence));
        let (ordinary, evacuating) = (of(Presence::Ordinary), of(Presence::Evacuating));
        let group = committed.after.lrps.group(key).cloned().unwrap_or_default();
        if (ordinary, evacuating) != (group.instance.as_ref(), group.evacuating.as_ref()) {
            let found = format!("{group:?}, and the log says {ordinary:?} and {evacuating:?}");
            return Err(format!("at {} the state has of {key} {found}", committed.index));
        }
        let both_run = [ordinary, evacuating].iter().all(|it| it.is_some_and(|actual| actual.is_running()));
        if both_run {
            Err(format!("at {} two instances of {key} are healthy", committed.index))
        } else {
            Ok(())
        }
    }
}
