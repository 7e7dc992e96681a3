//! Counts of what happened in a run, for its summary.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::AddAssign,
};

use capstan_model::{
    event::Event,
    ids::{Incarnation, RequestId},
    nodes::Nodes,
    sometimes,
    workflow::event::WorkflowEvent,
};
use serde::Serialize;

use crate::ledger::Committed;

/// Counts of what happened, for the summary of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Terms with a leader.
    pub leaders: u64,
    /// The highest term that anyone voted in.
    pub terms: u64,
    /// The highest index published.
    pub commits: u64,
    /// Crashes of nodes.
    pub crashes: u64,
    /// Steps of snapshots that arrived at a node.
    pub snapshot_steps: u64,
    /// Requests that were stored.
    pub requests: u64,
    /// Requests that were stopped.
    pub stops: u64,
    /// Processes that were started.
    pub processes: u64,
    /// Lives of nodes that were declared lost.
    pub lost: u64,
    /// Requests that another node took over because the life that owned them was over.
    pub taken_over: u64,
    /// Requests that a living node handed over to another.
    pub handed_over: u64,
    /// Sequences that were tried again.
    pub resets: u64,
    /// Nodes that were drained.
    pub drained: u64,
    /// Lives of nodes that said that they leave.
    pub left: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.leaders += other.leaders;
        self.terms += other.terms;
        self.commits += other.commits;
        self.crashes += other.crashes;
        self.snapshot_steps += other.snapshot_steps;
        self.requests += other.requests;
        self.stops += other.stops;
        self.processes += other.processes;
        self.lost += other.lost;
        self.taken_over += other.taken_over;
        self.handed_over += other.handed_over;
        self.resets += other.resets;
        self.drained += other.drained;
        self.left += other.left;
    }
}

/// As part of a line.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leaders, terms, commits, crashes, snapshot_steps, requests, stops, processes, .. } = self;
        let Self { lost, taken_over, handed_over, resets, drained, left, .. } = self;
        write!(
            f,
            "{commits} commits, {leaders} leaders in {terms} terms, {crashes} crashes, {snapshot_steps} snapshot steps, {requests} requests, {stops} stops, \
             {processes} processes, {resets} sequences tried again, {lost} nodes lost, {drained} drained, {left} left, {taken_over} \
             requests taken over, {handed_over} handed over"
        )
    }
}

/// Counts what the log says.
#[derive(Default)]
pub(crate) struct LogCounter {
    /// The last owner of each request, present or not.
    owners: BTreeMap<RequestId, Incarnation>,
    /// Requests that were given to another node.
    moved: BTreeSet<RequestId>,
    /// The term in which a life was declared lost last.
    lost_in: Option<u64>,
}

impl LogCounter {
    /// Counts one entry.
    pub(crate) fn count(&mut self, tally: &mut Tally, committed: &Committed) {
        for event in &committed.events {
            match event {
                Event::NodeLost { .. } => {
                    tally.lost += 1;
                    let term = committed.after.term();
                    let before = self.lost_in.replace(term);
                    sometimes!("a second leader declares a life lost", before.is_some_and(|it| it != term));
                }
                Event::NodeLeaving { .. } => tally.left += 1,
                Event::NodeDrained { draining: true, .. } => tally.drained += 1,
                Event::Workflow(event) => self.count_workflow(tally, event, &committed.after.nodes),
                _ => {}
            }
        }
    }

    fn count_workflow(&mut self, tally: &mut Tally, event: &WorkflowEvent, nodes: &Nodes) {
        match event {
            WorkflowEvent::RequestCreated { .. } => tally.requests += 1,
            WorkflowEvent::RequestStopped { .. } => tally.stops += 1,
            WorkflowEvent::SequenceReset { .. } => {
                tally.resets += 1;
                let has_moved = self.moved.contains(&event.request());
                sometimes!("a sequence is tried again by another node than began it", has_moved);
            }
            WorkflowEvent::RequestOwned { request, owner, .. } => {
                let Some(before) = self.owners.insert(*request, *owner) else { return };
                let record = nodes.get(&before.node);
                let is_over = record.is_none_or(|record| record.incarnation != before || record.lost);
                if before.node != owner.node {
                    self.moved.insert(*request);
                    *(if is_over { &mut tally.taken_over } else { &mut tally.handed_over }) += 1;
                }
            }
            _ => {}
        }
    }
}
