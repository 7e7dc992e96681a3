//! What a sweep must have seen: a check of something that never happens shows nothing.
//!
//! Places in the product are marked by `sometimes!` and `buggify!`, those in the simulator likewise; each kind of fault is one too.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{faults, probes::Counts};

/// A sweep of fewer seeds is not judged.
pub const JUDGED_FROM: u64 = 400;

/// How often something happened in a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// In how many seeds.
    pub seeds: u64,
    /// How many times in all of them.
    pub times: u64,
}

/// What a sweep has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Coverage {
    reached: BTreeMap<&'static str, Reached>,
}

/// Everything that is expected, and nothing of it seen.
impl Default for Coverage {
    fn default() -> Self {
        let names = EXPECTED.iter().copied().chain(faults::names());
        Self { reached: names.map(|name| (name, Reached::default())).collect() }
    }
}

impl Coverage {
    /// Adds what a run has seen.
    pub fn add(&mut self, counts: &Counts) {
        for (name, times) in counts {
            let reached = self.reached.entry(name).or_default();
            reached.seeds += 1;
            reached.times += times;
        }
    }

    /// What was expected or seen, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Reached)> {
        self.reached.iter().map(|(name, reached)| (*name, *reached))
    }

    /// What was never seen.
    pub fn missed(&self) -> Vec<&'static str> {
        self.iter().filter(|(_, reached)| reached.times == 0).map(|(name, _)| name).collect()
    }

    /// What was seen and nobody expected: it belongs into the list, or it would not be missed.
    pub fn unexpected(&self) -> Vec<&'static str> {
        let names: Vec<&str> = EXPECTED.iter().copied().chain(faults::names()).collect();
        self.iter().map(|(name, _)| name).filter(|name| !names.contains(name)).collect()
    }
}

/// What every large sweep must see, beside every kind of fault.
const EXPECTED: &[&str] = &[
    "a bridge between two halves must serve",
    "batch given up before it was appended",
    "client refused because a disk is nearly full",
    "connection broke under calls",
    "damaged snapshot detected",
    "damaged value detected",
    "disk has room again",
    "entries of a deposed leader truncated",
    "forwarded batch had no answer",
    "forwarded batch not applied within its deadline",
    "hello refused at an address of someone else",
    "leader deposed with a forwarded batch in flight",
    "leader deposed with a proposal in flight",
    "leadership handed away",
    "log purged past its end",
    "log purged to its tip",
    "log starts anew behind the state",
    "node of another cluster refused",
    "power cut took batches that were not synced",
    "power cut tore a file",
    "pre-vote denied",
    "restored directory refused by its boot count",
    "snapshot's chunk received twice",
    "state taken from a snapshot at the start",
    "step of a superseded snapshot refused",
    "two candidates in one term",
    "undecodable raft message refused",
    "unfinished snapshot replaced by another",
    "unreadable row met",
    "what was done was asked for again later",
    "wiped directory refused under its node id",
];
