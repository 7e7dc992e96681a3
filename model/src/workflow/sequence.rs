//! Sequence retry: from a failure on nothing of the sequence starts; once nothing of it runs any more it is reset
//! whole, with all it encloses, and tried again after its wait.
//!
//! Which one: the innermost around the failed job that has budget left. A reset gives the sequences inside their budgets
//! back. Job data is kept, as upstream keeps it, and so are the numbers of tries, which never repeat.

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::{
    LiveRequests,
    chain::{JobPlace, SequencePlace, ValidChain},
    draft::Draft,
    event::WorkflowEvent,
    job::{Phase, is_noop},
    live_rows::{parallel_key, sequence_key},
    parallel::ParallelPlace,
    request::LiveRequest,
    retry,
};
use crate::{ids::RequestId, rows::RowSink, time::Timestamp};

/// The mutable part of a sequence: one row, absent before its first failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SequenceProgress {
    /// How often it was reset; what its retry budget is compared with.
    pub tries_failed: u32,
    /// Whether it is to be reset as soon as nothing of it runs any more.
    pub failing: bool,
}

impl LiveRequest {
    /// How a sequence stands.
    pub(super) fn sequence_progress(&self, sequence: SequencePlace) -> SequenceProgress {
        self.sequences.get(&sequence).copied().unwrap_or_default()
    }

    /// Whether a sequence around a job is to be reset.
    pub(super) fn is_failing(&self, job: JobPlace) -> bool {
        self.outermost_failing(job).is_some()
    }

    /// The largest sequence around a job that is to be reset, and how many jobs in it still run.
    fn outermost_failing(&self, job: JobPlace) -> Option<(SequencePlace, u32)> {
        if self.failing.is_empty() {
            return None;
        }
        let failing = |sequence| self.failing.get(&sequence).map(|running| (sequence, *running));
        self.chain().enclosing(job).filter_map(failing).last()
    }

    /// How many jobs run in the largest failing sequence around a job; zero if none is failing.
    pub(super) fn outermost_running(&self, job: JobPlace) -> u32 {
        self.outermost_failing(job).map_or(0, |(_, running)| running)
    }

    /// The innermost sequence around a job that may be tried again.
    fn sequence_to_retry(&self, job: JobPlace) -> Option<SequencePlace> {
        let is_rejected = |sequence: SequencePlace| {
            let inside =
                |rejected: &JobPlace| self.chain().encloses(sequence, self.chain().job(*rejected).sequence);
            self.control.rejected.iter().any(inside) && !mutant!("sequence-of-rejected-tried-again")
        };
        let has_budget = |sequence: &SequencePlace| {
            let retries =
                self.chain().sequence(*sequence).retry + u32::from(mutant!("sequence-retry-off-by-one"));
            self.sequence_progress(*sequence).tries_failed < retries
        };
        self.chain().enclosing(job).filter(|sequence| !is_rejected(*sequence)).find(has_budget)
    }
}

impl Draft<'_> {
    /// Decides what the failure of a job with no try left means for the sequences around it.
    pub(super) fn fail_sequence(&mut self, request: RequestId, job: JobPlace) {
        let live = self.request(request);
        if live.progress.stopped_at.is_some() || live.is_failing(job) {
            return; // It is not tried again, or reset with what has failed already.
        }
        // A `noop` fails only for its data, which a reset keeps: it would fail again in the same entry.
        let is_noop = is_noop(&live.chain().job(job).job_type);
        match live.sequence_to_retry(job).filter(|_| !is_noop) {
            Some(sequence) => {
                let members = live.chain().members(sequence).to_vec();
                self.record(WorkflowEvent::SequenceFailed { request, sequence });
                self.end_approvals(request, &members, "its sequence is tried again");
            }
            None => self.close_parallels(request, job),
        }
    }

    /// Resets the failed sequence around a job, if nothing of it runs any more.
    pub(super) fn reset_failed_sequence(&mut self, request: RequestId, job: JobPlace) {
        let live = self.request(request);
        let Some((sequence, 0)) = live.outermost_failing(job) else { return };
        if live.progress.stopped_at.is_some() {
            return;
        }
        let spec = live.chain().sequence(sequence);
        let begin = spec.begin;
        let backoff = live.terms.sequences.get(&sequence);
        let waits = live.sequence_progress(sequence).tries_failed;
        let wait = retry::wait_after(spec.retry_wait.as_ref(), backoff, waits);
        let retry_at = (!wait.is_zero()).then(|| self.at.after(wait));
        self.record(WorkflowEvent::SequenceReset { request, sequence, retry_at });
        if retry_at.is_none() {
            self.make_runnable(request, begin);
        }
    }
}

impl LiveRequests {
    /// Takes back what of a sequence waits to start, and lets nothing of it start any more.
    pub(super) fn fail_sequence(
        &mut self,
        request: RequestId,
        sequence: SequencePlace,
        mut sink: Option<&mut RowSink>,
    ) {
        let members = self.members(request, sequence);
        for place in members {
            let phase = self.live_mut(request).job_at(place).phase;
            if matches!(phase, Phase::Ready | Phase::RetryWait { .. }) {
                self.change_job(request, place, sink.as_deref_mut(), |job, kind| {
                    job.enter(Phase::Pending, kind);
                });
            }
        }
        let progress = self.live_mut(request).sequence_progress(sequence);
        self.set_sequence(request, sequence, Some(SequenceProgress { failing: true, ..progress }), sink);
    }

    /// Makes a sequence and all it encloses as if they had not begun; its first job may wait.
    pub(super) fn reset_sequence(
        &mut self,
        request: RequestId,
        sequence: SequencePlace,
        retry_at: Option<Timestamp>,
        mut sink: Option<&mut RowSink>,
    ) {
        let live = self.live_mut(request);
        let chain = live.created.clone();
        let chain = &chain.chain;
        let begin = chain.sequence(sequence).begin;
        let tries_failed = live.sequence_progress(sequence).tries_failed + 1;
        let inside: Vec<SequencePlace> =
            live.sequences.keys().copied().filter(|inner| chain.encloses(sequence, *inner)).collect();
        let is_inside = |parallel: &ParallelPlace| {
            chain.encloses(sequence, chain.job(chain.parallel(*parallel).begin).sequence)
        };
        let parallels: Vec<ParallelPlace> = live.parallels.keys().copied().filter(is_inside).collect();
        for place in chain.members(sequence) {
            self.change_job(request, *place, sink.as_deref_mut(), |job, _| {
                // The jobs before its first one lie outside, and are complete.
                job.reset(if *place == begin { 0 } else { chain.parents(*place) });
                if let Some(until) = retry_at.filter(|_| *place == begin) {
                    job.phase = Phase::RetryWait { until };
                }
            });
        }
        for parallel in parallels {
            let before = self.live_mut(request).parallels.remove(&parallel);
            if let Some(sink) = sink.as_deref_mut() {
                sink.replace(&parallel_key(request, parallel), before.as_ref(), None);
            }
        }
        let is_reset = |inner: &SequencePlace| *inner != sequence && !mutant!("inner-sequence-not-reset");
        for inner in inside.into_iter().filter(is_reset) {
            self.set_sequence(request, inner, None, sink.as_deref_mut());
        }
        self.set_sequence(request, sequence, Some(SequenceProgress { tries_failed, failing: false }), sink);
    }

    fn members(&mut self, request: RequestId, sequence: SequencePlace) -> Vec<JobPlace> {
        self.live_mut(request).chain().members(sequence).to_vec()
    }

    /// Sets how a sequence stands, and what follows from it.
    fn set_sequence(
        &mut self,
        request: RequestId,
        sequence: SequencePlace,
        progress: Option<SequenceProgress>,
        sink: Option<&mut RowSink>,
    ) {
        let live = self.live_mut(request);
        let before = match progress {
            Some(progress) => live.sequences.insert(sequence, progress),
            None => live.sequences.remove(&sequence),
        };
        if progress.is_some_and(|progress| progress.failing) {
            let running = running_in(live, sequence);
            live.failing.insert(sequence, running);
        } else {
            live.failing.remove(&sequence);
        }
        if let Some(sink) = sink {
            sink.replace(&sequence_key(request, sequence), before.as_ref(), progress.as_ref());
        }
    }
}

/// Counts down for the failing sequences around a job that runs no longer.
pub(super) fn note_end(chain: &ValidChain, failing: &mut OrdMap<SequencePlace, u32>, job: JobPlace) {
    if failing.is_empty() {
        return;
    }
    for sequence in chain.enclosing(job) {
        if let Some(running) = failing.get_mut(&sequence) {
            *running -= 1;
        }
    }
}

/// What a request's failing sequences must be.
pub(super) fn failing(live: &LiveRequest) -> OrdMap<SequencePlace, u32> {
    let failing = live.sequences.iter().filter(|(_, progress)| progress.failing);
    failing.map(|(sequence, _)| (*sequence, running_in(live, *sequence))).collect()
}

fn running_in(live: &LiveRequest, sequence: SequencePlace) -> u32 {
    let runs = |place: &&JobPlace| live.job_at(**place).phase.runs();
    let running = live.chain().members(sequence).iter().filter(runs).count();
    u32::try_from(running).expect("a chain is bounded")
}
