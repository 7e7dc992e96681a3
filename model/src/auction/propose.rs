//! What a plan asks of the log: as few commands as their bounds allow.

use super::{plan::Outcome, work::Item};
use crate::{
    command::Command,
    lrp::{
        actual::InstanceKey,
        command::{LrpCommand, PLACED_MAX, Place, Placement, PlacementFailure},
    },
    task::command::{PlaceTasks, TaskCommand, TaskPlacement, TaskPlacementFailure},
};

/// The commands that make a plan so, in its order. `draw` gives a random UUID for each new instance.
pub fn commands(outcomes: Vec<Outcome>, mut draw: impl FnMut() -> u128) -> Vec<Command> {
    let (mut lrps, mut tasks) = (vec![Place::default()], vec![PlaceTasks::default()]);
    for Outcome { item, result } in outcomes {
        match item {
            Item::Instance { key, tag } => {
                let is_full = |place: &Place| place.placements.len() + place.failures.len() == PLACED_MAX;
                let place = room_in(&mut lrps, is_full);
                match result {
                    Ok(cell) => {
                        let instance = InstanceKey { instance_guid: draw(), cell };
                        place.placements.push(Placement { key, tag, instance });
                    }
                    Err(error) => place.failures.push(PlacementFailure { key, tag, error }),
                }
            }
            Item::Task { guid, updated_at } => {
                let is_full =
                    |place: &PlaceTasks| place.placements.len() + place.failures.len() == PLACED_MAX;
                let place = room_in(&mut tasks, is_full);
                match result {
                    Ok(cell) => place.placements.push(TaskPlacement { guid, updated_at, cell }),
                    Err(error) => place.failures.push(TaskPlacementFailure { guid, updated_at, error }),
                }
            }
        }
    }
    let lrps = lrps.into_iter().filter(|place| *place != Place::default());
    let tasks = tasks.into_iter().filter(|place| *place != PlaceTasks::default());
    let lrps = lrps.map(|place| Command::Lrp(LrpCommand::Place(Box::new(place))));
    lrps.chain(tasks.map(|place| Command::Task(TaskCommand::Place(Box::new(place))))).collect()
}

/// The last of the commands, or one more if that is full.
fn room_in<T: Default>(commands: &mut Vec<T>, is_full: impl Fn(&T) -> bool) -> &mut T {
    if commands.last().is_none_or(is_full) {
        commands.push(T::default());
    }
    commands.last_mut().expect("one was there or was added")
}
