//! What must hold at every moment, one property a file.

mod applied_grows;
mod committed_agreement;
mod election_safety;
mod free_of_bugs;
mod sound_state;

use crate::oracle::Observation;

/// A property of everything observed so far.
pub trait Invariant: Send {
    /// What holds, as a sentence.
    fn name(&self) -> &'static str;

    /// Takes the next observation.
    ///
    /// # Errors
    /// It does not hold; says what was seen.
    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String>;
}

/// Every invariant, fresh for a run.
pub(crate) fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::<election_safety::ElectionSafety>::default(),
        Box::<committed_agreement::CommittedAgreement>::default(),
        Box::<applied_grows::AppliedGrows>::default(),
        Box::<sound_state::SoundState>::default(),
        Box::<free_of_bugs::FreeOfBugs>::default(),
    ]
}
