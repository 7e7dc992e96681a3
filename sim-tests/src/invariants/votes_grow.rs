//! R2: what a node has voted for it does not take back, also not by a crash.

use std::collections::BTreeMap;

use capstan_raft_store::witness::{Ballot, Step};

use super::Invariant;
use crate::oracle::Observation;

/// A node's vote never decreases, is found again after a crash, and goes to one candidate a term until another is known to lead.
#[derive(Default)]
pub(crate) struct VotesGrow {
    nodes: BTreeMap<u64, Votes>,
}

/// The votes of a node.
#[derive(Debug, Default)]
struct Votes {
    /// The newest that others may have been told of.
    saved: Option<Ballot>,
    /// Those written since.
    written: Vec<Ballot>,
    /// Whom it voted for in each term, as far as others may know.
    granted: BTreeMap<u64, u64>,
}

impl Invariant for VotesGrow {
    fn name(&self) -> &'static str {
        "a node's vote never decreases, and is for one candidate a term"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Stepped { node, step, .. } = observation else { return Ok(()) };
        let votes = self.nodes.entry(*node).or_default();
        let holds = match step {
            Step::VoteWritten(vote) => votes.write(*vote),
            Step::VoteSaved(vote) => votes.save(*vote),
            Step::LogOpened { vote, .. } => votes.find(*vote),
            _ => true,
        };
        if holds { Ok(()) } else { Err(format!("node {node} had {votes:?} before {step:?}")) }
    }
}

impl Votes {
    fn write(&mut self, vote: Ballot) -> bool {
        let newest = self.written.last().copied().or(self.saved);
        let unsaved = self.written.iter().find(|written| written.term == vote.term && !written.committed);
        let granted = self.granted.get(&vote.term).copied().or(unsaved.map(|unsaved| unsaved.candidate));
        self.written.push(vote);
        let is_first = vote.committed || granted.is_none_or(|candidate| candidate == vote.candidate);
        is_first && newest.is_none_or(|newest| strength(newest) <= strength(vote))
    }

    fn save(&mut self, vote: Ballot) -> bool {
        let place = self.written.iter().position(|written| *written == vote);
        self.keep(Some(vote));
        if let Some(place) = place {
            self.written.drain(..=place);
        }
        place.is_some()
    }

    fn find(&mut self, vote: Option<Ballot>) -> bool {
        let is_known = vote == self.saved || vote.is_some_and(|vote| self.written.contains(&vote));
        self.keep(vote);
        self.written.clear();
        is_known
    }

    fn keep(&mut self, vote: Option<Ballot>) {
        self.saved = vote;
        if let Some(vote) = vote.filter(|vote| !vote.committed) {
            self.granted.insert(vote.term, vote.candidate);
        }
    }
}

/// A leader that a quorum has elected is stronger than any candidate of its term.
fn strength(vote: Ballot) -> (u64, bool) {
    (vote.term, vote.committed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::testing::stepped;

    fn vote(term: u64, candidate: u64) -> Ballot {
        Ballot { term, candidate, committed: false }
    }

    fn opened(vote: Option<Ballot>) -> Step<'static> {
        Step::LogOpened { purged: None, committed: None, vote, rows: &[] }
    }

    fn holds(steps: &[Step<'_>]) -> bool {
        let mut votes = VotesGrow::default();
        steps.iter().all(|step| stepped(&mut votes, 1, step).is_ok())
    }

    #[test]
    fn a_vote_is_found_again_after_a_crash() {
        let (written, saved) = (Step::VoteWritten(vote(3, 1)), Step::VoteSaved(vote(3, 1)));
        assert!(holds(&[written, saved, opened(Some(vote(3, 1)))]));
        assert!(!holds(&[Step::VoteWritten(vote(3, 1)), Step::VoteSaved(vote(3, 1)), opened(None)]));
        assert!(holds(&[Step::VoteWritten(vote(3, 1)), opened(None)]), "nobody was told");
        assert!(
            holds(&[Step::VoteWritten(vote(3, 1)), opened(Some(vote(3, 1)))]),
            "it may have come through"
        );
        assert!(!holds(&[opened(Some(vote(3, 1)))]), "nobody wrote it");
    }

    #[test]
    fn a_term_has_one_candidate_until_it_has_a_leader() {
        assert!(!holds(&[Step::VoteWritten(vote(3, 1)), Step::VoteWritten(vote(3, 2))]));
        assert!(!holds(&[Step::VoteWritten(vote(3, 1)), Step::VoteWritten(vote(2, 1))]));
        let lost = [Step::VoteWritten(vote(3, 1)), opened(None), Step::VoteWritten(vote(3, 2))];
        assert!(holds(&lost), "nobody was told of the first");
        let told = [Step::VoteWritten(vote(3, 1)), opened(Some(vote(3, 1))), Step::VoteWritten(vote(3, 2))];
        assert!(!holds(&told), "it was found again");
        let elected = Ballot { committed: true, ..vote(3, 2) };
        assert!(holds(&[Step::VoteWritten(vote(3, 1)), Step::VoteWritten(elected)]));
        assert!(!holds(&[Step::VoteWritten(elected), Step::VoteWritten(vote(3, 2))]));
    }
}
