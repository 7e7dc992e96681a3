//! P2: a record goes from one phase to another only as it may, under the next tag, and a new one has an epoch of its own.

use std::{collections::BTreeSet, sync::Arc};

use capstan_model::{
    event::Event,
    lrp::{
        actual::{Actual, ActualKey, Phase, Presence},
        event::LrpEvent,
    },
};

use super::Invariant;
use crate::oracle::Observation;

/// What follows on what, counted apart from the model.
#[derive(Default)]
pub(crate) struct RecordsChangeLegally {
    epochs: BTreeSet<(ActualKey, u128)>,
}

impl Invariant for RecordsChangeLegally {
    fn name(&self) -> &'static str {
        "a record changes from phase to phase as it may, under the next tag"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        for event in &committed.events {
            let wrong = match event {
                Event::Lrp(LrpEvent::ActualCreated { key, presence, actual }) => {
                    self.wrong_at_birth(key, *presence, actual)
                }
                Event::Lrp(LrpEvent::ActualChanged { before, after, .. }) => wrong_change(before, after),
                _ => None,
            };
            if let Some(wrong) = wrong {
                return Err(format!("at {}: {wrong}: {event:?}", committed.index));
            }
        }
        Ok(())
    }
}

impl RecordsChangeLegally {
    fn wrong_at_birth(
        &mut self,
        key: &ActualKey,
        presence: Presence,
        actual: &Arc<Actual>,
    ) -> Option<&'static str> {
        let is_new = self.epochs.insert((key.clone(), actual.tag.epoch));
        let begins = match presence {
            Presence::Ordinary => {
                matches!(&actual.phase, Phase::Unclaimed { placement_error } if placement_error.is_empty())
                    && (actual.crash_count, actual.tag.index) == (0, 0)
            }
            Presence::Evacuating => {
                matches!(actual.phase, Phase::Running { stopping: None, .. }) && actual.tag.index == 1
            }
        };
        match (is_new, begins) {
            (false, _) => Some("its epoch is not new"),
            (true, false) => Some("so no record begins"),
            (true, true) => None,
        }
    }
}

fn wrong_change(before: &Actual, after: &Actual) -> Option<&'static str> {
    let is_same = (&before.domain, before.needs) == (&after.domain, after.needs);
    let is_next = after.tag.epoch == before.tag.epoch && after.tag.index == before.tag.index + 1;
    let may_follow = match (&before.phase, &after.phase) {
        (Phase::Unclaimed { .. }, Phase::Claimed { stopping: None, .. }) => true,
        (Phase::Unclaimed { .. }, Phase::Unclaimed { placement_error }) => !placement_error.is_empty(),
        (
            Phase::Claimed { instance: was, stopping: None }
            | Phase::Running { instance: was, stopping: None, .. },
            Phase::Running { instance: is, stopping: None, .. },
        ) => was == is,
        (
            Phase::Claimed { stopping: None, .. } | Phase::Running { stopping: None, .. } | Phase::Crashed,
            Phase::Unclaimed { placement_error },
        ) => placement_error.is_empty(),
        (Phase::Claimed { stopping: None, .. } | Phase::Running { stopping: None, .. }, Phase::Crashed) => {
            true
        }
        _ => false,
    };
    match (is_same && is_next, may_follow) {
        (false, _) => Some("it is no next form of the same"),
        (true, false) => Some("this does not follow on that"),
        (true, true) => None,
    }
}
