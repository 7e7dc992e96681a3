//! J2: a try has one end, and it is told by who claimed it.

use capstan_model::command::Command;

use super::{Invariant, claims::Claims};
use crate::oracle::Observation;

/// No try ends twice, and an accepted report names the claim it ends.
#[derive(Default)]
pub(crate) struct EndsAreRecordedOnce {
    claims: Claims,
}

impl Invariant for EndsAreRecordedOnce {
    fn name(&self) -> &'static str {
        "a try ends once, by the report of its claim"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let mut heeded = Ok(());
        for event in committed.workflow() {
            heeded = heeded.and(self.claims.heed(committed.index, event));
        }
        heeded?;
        for (command, reply) in &committed.commands {
            let (Command::FinishTry(finish), Ok(_)) = (command, reply) else { continue };
            let id = finish.id;
            let claim = self.claims.of(&(id.request, id.job, id.try_no));
            let is_its_end = claim.is_some_and(|claim| {
                (claim.owner, claim.epoch, claim.ended) == (id.incarnation, id.epoch, Some(committed.index))
            });
            if !is_its_end {
                return Err(format!("index {} accepts a report of {id:?} on {claim:?}", committed.index));
            }
        }
        Ok(())
    }
}
