//! How far the instances of an LRP are towards what is desired.

use std::fmt;

use super::{ActualLrp, ActualLrpState};

/// The instances of one LRP, counted by what is to become of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rollout {
    /// How many instances are to run.
    pub wanted: u32,
    /// How many of these run; one that waits for its replacement on a drained cell does.
    pub running: u32,
    /// How many of these are being started.
    pub starting: u32,
    /// How many of these wait for a cell.
    pub unplaced: u32,
    /// How many of these have crashed three times or more and wait until they are started again.
    pub crashed: u32,
    /// How many there are of others, which are being stopped.
    pub leaving: u32,
}

impl Rollout {
    /// Counts the instances of an LRP of which so many are wanted.
    pub fn of(wanted: u32, instances: &[ActualLrp]) -> Self {
        let mut rollout = Self { wanted, ..Self::default() };
        for instance in instances {
            let count = match instance.state {
                _ if instance.index >= wanted => &mut rollout.leaving,
                ActualLrpState::Running => &mut rollout.running,
                ActualLrpState::Claimed => &mut rollout.starting,
                ActualLrpState::Crashed => &mut rollout.crashed,
                ActualLrpState::Unclaimed | ActualLrpState::Invalid => &mut rollout.unplaced,
            };
            *count += 1;
        }
        rollout
    }

    /// Whether all that is wanted runs, and nothing else.
    pub fn is_done(&self) -> bool {
        self.running == self.wanted && self.leaving == 0
    }
}

impl fmt::Display for Rollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} running", self.running, self.wanted)?;
        let parts = [
            (self.starting, "starting"),
            (self.unplaced, "waiting for a cell"),
            (self.crashed, "crashed"),
            (self.leaving, "stopping"),
        ];
        parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receptor::ModificationTag;

    fn instance(index: u32, state: ActualLrpState) -> ActualLrp {
        ActualLrp {
            process_guid: "p".to_owned(),
            instance_guid: String::new(),
            cell_id: String::new(),
            domain: "d".to_owned(),
            index,
            address: String::new(),
            ports: vec![],
            state,
            crash_count: 0,
            crash_reason: String::new(),
            placement_error: String::new(),
            since: 0,
            evacuating: false,
            modification_tag: ModificationTag::default(),
        }
    }

    #[test]
    fn it_is_done_when_what_is_wanted_runs_and_nothing_else_is_there() {
        use ActualLrpState::{Claimed, Crashed, Running, Unclaimed};
        let cases: [(u32, &[ActualLrpState], bool); 8] = [
            (0, &[], true),
            (2, &[Running, Running], true),
            (2, &[Running], false),
            (2, &[Running, Claimed], false),
            (2, &[Running, Unclaimed], false),
            (2, &[Running, Crashed], false),
            (1, &[Running, Running], false),
            (0, &[Claimed], false),
        ];
        for (wanted, states, done) in cases {
            let instances: Vec<_> = (0..).zip(states).map(|(index, state)| instance(index, *state)).collect();
            assert_eq!(Rollout::of(wanted, &instances).is_done(), done, "{wanted} wanted of {states:?}");
        }
    }
}
