//! A cell is silent exactly as the leader last said.

use std::collections::BTreeMap;

use capstan_model::{command::Command, ids::Incarnation, lrp::command::LrpCommand};

use super::Invariant;
use crate::oracle::Observation;

/// A cell that is heard again takes work again, and one that is silent takes none.
#[derive(Default)]
pub(crate) struct HeardCellsCount;

impl Invariant for HeardCellsCount {
    fn name(&self) -> &'static str {
        "a cell is silent exactly as the leader last said"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let mut said = BTreeMap::<Incarnation, bool>::new();
        for (command, reply) in &committed.commands {
            match command {
                Command::Lrp(LrpCommand::CellSilent { incarnation, .. }) if reply.is_ok() => {
                    said.insert(*incarnation, true);
                }
                Command::Lrp(LrpCommand::CellHeard { incarnation }) if reply.is_ok() => {
                    said.insert(*incarnation, false);
                }
                _ => {}
            }
        }
        // A life that is over has no cell any more.
        let cells =
            said.into_iter().filter_map(|(life, silent)| Some((committed.after.lrps.cell_of(life)?, silent)));
        let wrong = cells.into_iter().find(|(cell, silent)| cell.silent != *silent);
        wrong.map_or(Ok(()), |(cell, said)| {
            Err(format!("at {} silent was said to be {said}: {cell:?}", committed.index))
        })
    }
}
