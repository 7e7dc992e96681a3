//! The rows of live requests: their keys, and a load from them.

use std::sync::Arc;

use super::{
    LiveRequests,
    chain::{JobPlace, JobSpec, SequencePlace},
    command::CreateRequest,
    job::Job,
    live::tally,
    parallel::ParallelPlace,
    request::LiveRequest,
    sequence,
    terms::Terms,
};
use crate::{
    ids::{JobId, RequestId},
    rows::{self, Key, KeyReader, LoadError, RowSink, Table},
};

impl LiveRequests {
    /// Writes every row as if it were new.
    pub(crate) fn dump(&self, sink: &mut RowSink) {
        self.iter().for_each(|live| write_new(live, sink));
    }

    /// Takes one row of the tables Request, Chain, Job, Sequence, Parallel, Terms, Control; they come in key order.
    pub(crate) fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let mut parts = KeyReader::new(key);
        let request = RequestId(parts.fixed()?);
        match Table::of(key) {
            Some(Table::Request) => {
                parts.end()?;
                self.loading.insert(request, rows::decode(key, value)?);
            }
            Some(Table::Chain) => {
                parts.end()?;
                let created: CreateRequest = rows::decode(key, value)?;
                let progress =
                    self.loading.remove(&request).ok_or_else(|| contradiction(request, "no progress"))?;
                self.by_id.insert(request, Arc::new(LiveRequest::new(Arc::new(created), progress)));
            }
            Some(Table::Job) => {
                let job = JobId(parts.fixed()?);
                parts.end()?;
                self.load_job(request, job, rows::decode(key, value)?)?;
            }
            Some(Table::Sequence) => {
                let place = SequencePlace(parts.u32()?);
                parts.end()?;
                let live = self.loaded(request)?;
                if !live.chain().sequences().any(|sequence| sequence == place) {
                    return Err(contradiction(request, "a sequence that is not in its chain"));
                }
                live.sequences.insert(place, rows::decode(key, value)?);
            }
            Some(Table::Parallel) => {
                let place = ParallelPlace(parts.u32()?);
                parts.end()?;
                let live = self.loaded(request)?;
                if !live.chain().parallels().holds(place) {
                    return Err(contradiction(request, "expansions that are not in its chain"));
                }
                live.parallels.insert(place, rows::decode(key, value)?);
            }
            Some(Table::Terms) => {
                parts.end()?;
                let terms: Terms = rows::decode(key, value)?;
                let live = self.loaded(request)?;
                terms.check(live.chain()).map_err(|invalid| contradiction(request, &invalid.to_string()))?;
                live.terms = Arc::new(terms);
            }
            Some(Table::Control) => {
                parts.end()?;
                self.loaded(request)?.control = rows::decode(key, value)?;
            }
            _ => return Err(LoadError::unknown_key(key)),
        }
        Ok(())
    }

    /// A request whose chain has been loaded.
    fn loaded(&mut self, request: RequestId) -> Result<&mut LiveRequest, LoadError> {
        let live = self.by_id.get_mut(&request);
        live.map(Arc::make_mut).ok_or_else(|| contradiction(request, "progress but no chain"))
    }

    fn load_job(&mut self, request: RequestId, id: JobId, job: Job) -> Result<(), LoadError> {
        let live = self.loaded(request)?;
        let place =
            live.chain().place(id).ok_or_else(|| contradiction(request, "a job that is not in its chain"))?;
        live.jobs.set(place.0 as usize, job);
        Ok(())
    }

    /// Builds what follows from the rows.
    pub(crate) fn finish_load(&mut self) -> Result<(), LoadError> {
        if let Some(request) = self.loading.keys().next() {
            return Err(contradiction(*request, "no chain"));
        }
        let ids: Vec<RequestId> = self.by_id.keys().copied().collect();
        for id in ids {
            let live = Arc::make_mut(self.by_id.get_mut(&id).expect("the key was just read"));
            live.tally = tally(live);
            if !mutant!("failing-sequences-not-rebuilt") {
                live.failing = sequence::failing(live);
            }
        }
        self.indexes = self.rebuild_indexes();
        Ok(())
    }
}

/// Writes every row of a request as if it were new.
pub(super) fn write_new(live: &LiveRequest, sink: &mut RowSink) {
    sink.replace(&request_key(live.id()), None, Some(&live.progress));
    sink.replace(&chain_key(live.id()), None, Some(&*live.created));
    sink.replace(&terms_key(live.id()), None, live.terms.row());
    sink.replace(&control_key(live.id()), None, live.control.row());
    for (spec, job) in touched(live) {
        sink.replace(&job_key(live.id(), spec.id), None, Some(job));
    }
    for (sequence, progress) in &live.sequences {
        sink.replace(&sequence_key(live.id(), *sequence), None, Some(progress));
    }
    for (parallel, progress) in &live.parallels {
        sink.replace(&parallel_key(live.id(), *parallel), None, Some(progress));
    }
}

/// The jobs to which something has happened: those that have a row.
pub(super) fn touched(live: &LiveRequest) -> impl Iterator<Item = (&JobSpec, &Job)> {
    let is_touched = |place: JobPlace| *live.job_at(place) != Job::new(live.chain().parents(place));
    live.chain().places().zip(live.jobs()).filter(move |(place, _)| is_touched(*place)).map(|(_, job)| job)
}

fn contradiction(request: RequestId, what: &str) -> LoadError {
    LoadError::Contradiction { reason: format!("request {request} has {what}") }
}

pub(super) fn request_key(request: RequestId) -> Key {
    Key::new(Table::Request).fixed(&request.0)
}

pub(super) fn chain_key(request: RequestId) -> Key {
    Key::new(Table::Chain).fixed(&request.0)
}

pub(super) fn terms_key(request: RequestId) -> Key {
    Key::new(Table::Terms).fixed(&request.0)
}

pub(super) fn control_key(request: RequestId) -> Key {
    Key::new(Table::Control).fixed(&request.0)
}

pub(super) fn sequence_key(request: RequestId, sequence: SequencePlace) -> Key {
    Key::new(Table::Sequence).fixed(&request.0).u32(sequence.0)
}

pub(super) fn parallel_key(request: RequestId, parallel: ParallelPlace) -> Key {
    Key::new(Table::Parallel).fixed(&request.0).u32(parallel.0)
}

pub(super) fn job_key(request: RequestId, job: JobId) -> Key {
    Key::new(Table::Job).fixed(&request.0).fixed(&job.0)
}
