//! R3: two logs with an entry of the same index and term are the same up to it (thesis, figure 3.2).

use super::{Invariant, chain::Chain};
use crate::oracle::Observation;

/// An entry is written alike wherever it is, and follows on the same entry, which by induction is all of the prefix.
#[derive(Default)]
pub(crate) struct LogMatching {
    chain: Chain,
}

impl Invariant for LogMatching {
    fn name(&self) -> &'static str {
        "logs that share an entry are the same up to it"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Stepped { node, step, .. } = observation else { return Ok(()) };
        self.chain.heed(*node, step)
    }
}

#[cfg(test)]
mod tests {
    use capstan_raft_store::witness::{Position, Step};

    use super::*;
    use crate::invariants::testing::{rows, stepped};

    /// What two nodes append, as terms of entries from index 1 on.
    fn holds(first: &[u64], second: &[u64], written: &'static str) -> bool {
        let mut matching = LogMatching::default();
        stepped(&mut matching, 1, &Step::Appended(&rows(1, first, "a"))).expect("one log alone matches");
        stepped(&mut matching, 2, &Step::Appended(&rows(1, second, written))).is_ok()
    }

    #[test]
    fn one_name_is_one_entry_behind_one_prefix() {
        assert!(holds(&[1, 1, 2], &[1, 1, 2], "a"));
        assert!(holds(&[1, 1, 2], &[1, 1, 3], "a"), "they may part");
        assert!(!holds(&[1, 1, 3], &[1, 2, 3], "a"), "and not come together again");
        assert!(!holds(&[1, 1], &[1, 1], "b"), "what is written differs");
        assert!(!holds(&[1], &[2, 1], "a"), "terms do not decrease");
    }

    #[test]
    fn what_was_cut_off_may_be_replaced() {
        let mut matching = LogMatching::default();
        let steps = [
            Step::Appended(&rows(1, &[1, 1, 1], "a")),
            Step::Truncated(Some(Position { term: 1, index: 1 })),
            Step::Appended(&rows(2, &[2, 2], "b")),
        ];
        assert!(steps.iter().all(|step| stepped(&mut matching, 1, step).is_ok()));
        let hole = rows(5, &[2], "b");
        assert!(stepped(&mut matching, 1, &Step::Appended(&hole)).is_err(), "3 is the last");
    }
}
