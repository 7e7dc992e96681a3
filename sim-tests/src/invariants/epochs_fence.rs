//! J3: whoever takes a request over gets a later epoch, and what is said under an earlier one changes nothing.

use capstan_model::{command::Command, ids::Epoch, ids::RequestId, state::State, workflow::command::TryId};

use super::Invariant;
use crate::oracle::Observation;

/// Epochs grow with each owner, and fence.
#[derive(Default)]
pub(crate) struct EpochsFence;

impl Invariant for EpochsFence {
    fn name(&self) -> &'static str {
        "a new owner has a later epoch, and earlier ones are not heard"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let index = committed.index;
        for request in committed.workflow().map(capstan_model::workflow::event::WorkflowEvent::request) {
            let progress = |state: &State| state.requests.get(&request).map(|live| live.progress.clone());
            let (Some(before), Some(after)) = (progress(&committed.before), progress(&committed.after))
            else {
                continue;
            };
            let is_taken_over = after.owner.is_some() && before.owner != after.owner;
            if before.epoch > after.epoch || is_taken_over && before.epoch == after.epoch {
                return Err(format!("at index {index} request {request} went from {before:?} to {after:?}"));
            }
        }
        for (command, reply) in &committed.commands {
            let id = match command {
                Command::FinishTry(finish) => finish.id,
                Command::StartRetry(start) => start.id,
                _ => continue,
            };
            let TryId { request, epoch, .. } = id;
            let current = epoch_of(&committed.before, request);
            if reply.is_ok() && current.is_some_and(|current| epoch < current) {
                return Err(format!("index {index} hears {id:?} although the epoch is {current:?}"));
            }
        }
        Ok(())
    }
}

fn epoch_of(state: &State, request: RequestId) -> Option<Epoch> {
    state.requests.get(&request).map(|live| live.progress.epoch)
}
