//! Which expansions may start; see [`super::parallel`].

use super::{
    LiveRequests,
    chain::JobPlace,
    draft::Draft,
    event::WorkflowEvent,
    live_rows::parallel_key,
    parallel::{ParallelPlace, ParallelProgress},
    request::LiveRequest,
};
use crate::{ids::RequestId, rows::RowSink};

impl LiveRequest {
    /// How far expansions have come.
    pub(super) fn parallel_progress(&self, parallel: ParallelPlace) -> ParallelProgress {
        self.parallels.get(&parallel).copied().unwrap_or_default()
    }

    /// Whether a job's place among expansions lets it start.
    pub(super) fn is_admitted(&self, job: JobPlace) -> bool {
        let expansion = self.chain().parallels().started_by(job);
        expansion.is_none_or(|(parallel, number)| number < self.parallel_progress(parallel).admitted)
    }
}

impl Draft<'_> {
    /// Admits the expansions for which there is a place, once a job before or at the end of expansions is complete.
    pub(super) fn admit_expansions(&mut self, request: RequestId, job: JobPlace) {
        let parallels = self.request(request).chain().parallels();
        let (behind, ended) = (parallels.behind(job), parallels.ended_by(job));
        for parallel in behind.into_iter().chain(ended) {
            let live = self.request(request);
            let progress = live.parallel_progress(parallel);
            let spec = live.chain().parallel(parallel);
            let admitted = progress.admissible(spec);
            if admitted > progress.admitted {
                let new = &spec.expansions[progress.admitted as usize..admitted as usize];
                let firsts: Vec<JobPlace> = new.iter().map(|expansion| expansion.first).collect();
                self.record(WorkflowEvent::ExpansionsAdmitted { request, parallel, admitted });
                firsts.into_iter().for_each(|first| self.make_runnable(request, first));
            }
        }
    }

    /// Lets no further expansion start beside one that holds a job which failed for good.
    pub(super) fn close_parallels(&mut self, request: RequestId, job: JobPlace) {
        let live = self.request(request);
        let chain = live.chain();
        let begins = chain.enclosing(job).map(|sequence| chain.sequence(sequence).begin);
        let around: Vec<ParallelPlace> = std::iter::once(job)
            .chain(begins.filter(|begin| *begin != job))
            .filter_map(|first| chain.parallels().started_by(first))
            .map(|(parallel, _)| parallel)
            .filter(|parallel| !live.parallel_progress(*parallel).closed)
            .collect();
        for parallel in around {
            self.record(WorkflowEvent::ParallelClosed { request, parallel });
        }
    }
}

impl LiveRequests {
    /// Changes how far expansions have come.
    pub(super) fn change_parallel(
        &mut self,
        request: RequestId,
        parallel: ParallelPlace,
        sink: Option<&mut RowSink>,
        change: impl FnOnce(&mut ParallelProgress),
    ) {
        let live = self.live_mut(request);
        let before = live.parallels.get(&parallel).copied();
        let mut progress = before.unwrap_or_default();
        change(&mut progress);
        live.parallels.insert(parallel, progress);
        if let Some(sink) = sink {
            sink.replace(&parallel_key(request, parallel), before.as_ref(), Some(&progress));
        }
    }
}
