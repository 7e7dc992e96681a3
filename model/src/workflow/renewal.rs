//! A request that goes on with a finished one: some of its jobs are complete from the start, and have the data they had.

use std::sync::Arc;

use super::{
    chain::JobPlace,
    draft::Draft,
    job::Phase,
    json::JsonMap,
    parallel::{ParallelPlace, ParallelProgress},
    request::LiveRequest,
    terms::JobData,
};
use crate::ids::RequestId;

impl LiveRequest {
    /// Makes a new request what its terms say it goes on with.
    pub(super) fn renew(&mut self, data: &JobData) {
        let terms = self.terms.clone();
        let Some(retry_of) = &terms.retry_of else { return };
        let created = self.created.clone();
        let chain = &created.chain;
        for (place, map) in data.iter().filter(|_| !mutant!("kept-data-lost")) {
            self.jobs[place.at()].data = map.clone();
        }
        for place in &retry_of.kept {
            if !mutant!("kept-job-runs-again") {
                self.jobs[place.at()].phase = Phase::Complete;
            }
            let handed_on = self.jobs[place.at()].data.clone();
            for next in &chain.job(*place).successors {
                self.jobs[next.at()].parents_left -= 1;
                self.hand_on(*next, &handed_on, data);
            }
        }
        for (place, admitted, complete) in
            retry_of.expansions(chain).filter(|_| !mutant!("kept-expansions-forgotten"))
        {
            let progress = ParallelProgress { admitted, complete, closed: false };
            self.parallels.insert(place, progress);
        }
    }

    /// Hands on to a job that has nothing of its own yet: what it had includes what it was handed then.
    fn hand_on(&mut self, job: JobPlace, handed_on: &Arc<JsonMap>, data: &JobData) {
        if !data.has(job) {
            self.jobs[job.at()].merge_data(handed_on);
        }
    }
}

impl Draft<'_> {
    /// Admits the expansions that may start from the start: those behind jobs that are complete already.
    pub(super) fn admit_renewed(&mut self, request: RequestId) {
        let begun: Vec<ParallelPlace> = self.request(request).parallels.keys().copied().collect();
        for parallel in begun {
            let begin = self.request(request).chain().parallel(parallel).begin;
            self.admit_expansions(request, begin);
        }
    }
}
