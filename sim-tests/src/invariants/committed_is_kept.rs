//! R4 and R6: what is committed is durable on a majority of the voters when it becomes so, stays the entry it is, and is in the log of
//! every later leader (thesis, figure 3.2).

use std::collections::{BTreeMap, BTreeSet};

use capstan_raft_store::witness::{self, LogRow, Position, Step, Voters};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Invariant,
    chain::{Chain, Link},
};
use crate::{
    net::Place,
    oracle::{Disks, Observation},
};

/// Commits rest on disks, also on those of nodes that are down, and no leader is without them.
#[derive(Default)]
pub(crate) struct CommittedIsKept {
    chain: Chain,
    /// The term of the committed entry at each index.
    terms: Vec<u64>,
    /// The newest term of any entry.
    term: u64,
    members: BTreeMap<Place, Members>,
    /// Whose data was damaged on purpose: it had what was committed then, and cannot be asked any more.
    damaged: BTreeSet<Place>,
}

/// Who votes, as one node knows it.
#[derive(Default)]
struct Members {
    /// By the index of the entry in its log.
    in_log: BTreeMap<u64, Voters>,
    in_state: Voters,
}

impl Invariant for CommittedIsKept {
    fn name(&self) -> &'static str {
        "what is committed is durable on a majority, stays what it is, and is in the log of every later leader"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        if let Observation::Damaged { node } = observation {
            self.damaged.insert(*node);
        }
        let Observation::Stepped { node, step, disks } = observation else { return Ok(()) };
        let led = match step {
            Step::Appended(rows) => self.appending(*node, rows),
            _ => Ok(()),
        };
        // What is wrong with the logs themselves is for others to say.
        drop(self.chain.heed(*node, step));
        self.members.entry(*node).or_default().heed(step);
        match step {
            Step::Committed(at) | Step::Applying { at, .. } => led.and(self.committed(*node, *at, disks)),
            _ => led,
        }
    }
}

impl CommittedIsKept {
    /// The first entry of a term is appended by its leader.
    fn appending(&mut self, node: Place, rows: &[LogRow]) -> Result<(), String> {
        let Some(row) = rows.iter().find(|row| row.at.term > self.term) else { return Ok(()) };
        self.term = row.at.term;
        let Some(newest) = self.newest() else { return Ok(()) };
        let last = self.chain.last(node);
        let mut log = last.into_iter().flat_map(|last| self.chain.back_from(last));
        if log.any(|(at, _)| at == newest) {
            return Ok(());
        }
        Err(format!(
            "node {node} leads term {} with a log that ends at {last:?}, and {newest:?} is committed",
            self.term
        ))
    }

    fn committed(&mut self, node: Place, at: Position, disks: &Disks) -> Result<(), String> {
        if let Some(term) = usize::try_from(at.index).ok().and_then(|index| self.terms.get(index)) {
            return if *term == at.term {
                Ok(())
            } else {
                Err(format!("node {node} takes {at:?} for committed, which has term {term}"))
            };
        }
        let newest = self.newest();
        let new: Vec<(Position, Link)> = self
            .chain
            .back_from(at)
            .take_while(|(at, _)| newest.is_none_or(|newest| at.index > newest.index))
            .collect();
        let rests_on = new.last().map_or(Some(at), |(_, link)| link.before);
        self.terms.extend(new.iter().rev().map(|(at, _)| at.term));
        if rests_on != newest {
            return Err(format!(
                "{at:?} is committed and rests on {rests_on:?}, where {newest:?} is committed"
            ));
        }
        let voters = self.members.get(&node).map(Members::newest).unwrap_or_default();
        let damaged = &self.damaged;
        new.iter().rev().try_for_each(|(at, link)| durable_on_majorities(*at, *link, &voters, disks, damaged))
    }

    fn newest(&self) -> Option<Position> {
        let term = *self.terms.last()?;
        Some(Position { term, index: self.terms.len() as u64 - 1 })
    }
}

impl Members {
    fn heed(&mut self, step: &Step<'_>) {
        match step {
            Step::LogOpened { rows, .. } => {
                self.in_log.clear();
                self.add(rows);
            }
            Step::Appended(rows) => self.add(rows),
            Step::Truncated(last) => {
                self.in_log.retain(|index, _| last.is_some_and(|last| *index <= last.index));
            }
            Step::Restarted(_) => self.in_log.clear(),
            Step::Opened { voters, .. } => self.in_state.clone_from(voters),
            Step::Installed { at, voters, .. } => {
                self.in_log.retain(|index, _| *index > at.index);
                self.in_state.clone_from(voters);
            }
            _ => {}
        }
    }

    fn add(&mut self, rows: &[LogRow]) {
        let brought = rows.iter().filter_map(|row| Some((row.at.index, row.voters.clone()?)));
        self.in_log.extend(brought);
    }

    /// Those that a leader counts with, whether their entry is committed or not.
    fn newest(&self) -> Voters {
        self.in_log.last_key_value().map_or_else(|| self.in_state.clone(), |(_, voters)| voters.clone())
    }
}

fn durable_on_majorities(
    at: Position,
    link: Link,
    voters: &Voters,
    disks: &Disks,
    damaged: &BTreeSet<Place>,
) -> Result<(), String> {
    let key = witness::entry_key(at.index);
    let holds = |voter: &&u64| {
        let row = disks.get(voter).and_then(|disk| disk.durable_row(witness::LOG, &key));
        damaged.contains(voter) || row.is_some_and(|row| xxh3_64(&row) == link.written)
    };
    for set in voters {
        let holders: Vec<_> = set.iter().filter(holds).collect();
        if 2 * holders.len() <= set.len() {
            return Err(format!("{at:?} is committed, and of {set:?} only {holders:?} have it on disk"));
        }
    }
    if voters.is_empty() { Err(format!("{at:?} is committed, and nobody votes")) } else { Ok(()) }
}
