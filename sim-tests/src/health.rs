//! What a run in which nothing goes wrong owes beside all else: every outcome is known, and no leader is deposed for nothing.

use std::time::Duration;

use crate::run::Report;

/// How many terms may begin in a minute of virtual time.
const TERMS_PER_MINUTE_MAX: u64 = 4;

/// Judges a run without faults; each thing that does not hold is a sentence and what was seen.
pub(crate) fn check(report: &Report) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if report.unknown > 0 {
        found.push((
            "without faults every outcome is known",
            format!("{} of {} writes have none", report.unknown, report.operations),
        ));
    }
    let minutes = report.virtual_time.as_secs().div_ceil(60);
    if report.tally.terms > TERMS_PER_MINUTE_MAX * minutes {
        let within = Duration::from_secs(60 * minutes);
        found.push(("without faults terms seldom end", format!("{} within {within:?}", report.tally.terms)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{oracle::Violation, probes::Counts, tally::Tally, trace::TraceSummary};

    fn report(unknown: u64, terms: u64, secs: u64) -> Report {
        Report {
            seed: 1,
            violations: Vec::<Violation>::new(),
            trace: TraceSummary { hash: 0, events: 0, hashes: vec![] },
            events: vec![],
            tally: Tally { terms, ..Tally::default() },
            counts: Counts::new(),
            operations: 100,
            unknown,
            virtual_time: Duration::from_secs(secs),
        }
    }

    #[test]
    fn an_open_outcome_and_a_storm_of_elections_are_noticed() {
        assert!(check(&report(0, 1, 40)).is_empty());
        assert!(check(&report(0, 8, 90)).is_empty(), "two minutes have begun");
        assert_eq!(check(&report(1, 1, 40)).len(), 1);
        assert_eq!(check(&report(0, 9, 90)).len(), 1);
    }
}
