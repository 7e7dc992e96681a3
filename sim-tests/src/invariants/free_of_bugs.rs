//! A contained panic keeps a production cluster alive, and fails a simulated one.

use super::Invariant;
use crate::oracle::Observation;

/// No command panics in apply.
#[derive(Default)]
pub(crate) struct FreeOfBugs;

impl Invariant for FreeOfBugs {
    fn name(&self) -> &'static str {
        "no command panics in apply"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Bugs { node, bugs } => Err(format!("{bugs} commands have panicked on node {node}")),
            _ => Ok(()),
        }
    }
}
