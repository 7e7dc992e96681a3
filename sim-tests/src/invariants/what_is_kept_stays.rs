//! Finished requests leave when they are too many or too old, the one that ended first before the others.

use std::time::Duration;

use capstan_model::{
    archive::TrimRequests, event::Event, ids::RequestId, time::Timestamp, workflow::event::WorkflowEvent,
};

use super::Invariant;
use crate::{ledger::Committed, oracle::Observation};

/// How far ahead of the log the clock may be by which a leader judges ages.
const AHEAD_MAX: Duration = Duration::from_secs(300);

/// What ended, and how much of that has left.
#[derive(Default)]
pub(crate) struct WhatIsKeptStays {
    /// How many may be kept by the run, and for how long, where that is less than the settings say.
    few: (Option<u64>, Option<Duration>),
    /// In the order in which they ended.
    ended: Vec<(RequestId, Timestamp)>,
    /// How many of them have left.
    left: usize,
}

impl Invariant for WhatIsKeptStays {
    fn name(&self) -> &'static str {
        "nothing is trimmed that is unfinished, or is to be kept"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::KeepsFew { kept, age } => self.few = (*kept, *age),
            Observation::Committed(committed) => {
                for event in &committed.events {
                    match event {
                        Event::Workflow(WorkflowEvent::RequestEnded { request, at, .. }) => {
                            self.ended.push((*request, *at));
                        }
                        Event::RequestsTrimmed(trimmed) => self.trim(trimmed, committed)?,
                        _ => {}
                    }
                }
                let archive = committed.after.archive;
                let expected = (self.left as u64, self.ended.len() as u64);
                if (archive.first(), archive.next()) != expected {
                    let index = committed.index;
                    return Err(format!("index {index} keeps {archive:?}, and {expected:?} is to be kept"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl WhatIsKeptStays {
    fn trim(&mut self, trimmed: &TrimRequests, committed: &Committed) -> Result<(), String> {
        let index = committed.index;
        let settings = &committed.before.settings;
        let kept = self.few.0.unwrap_or(u64::MAX).min(settings.archive_requests_max());
        let age = self.few.1.unwrap_or(settings.archive_age_max() - AHEAD_MAX);
        let whole = trimmed.whole.iter().map(|whole| whole.indexed.id);
        for id in whole.chain(trimmed.part.iter().map(|part| part.request)) {
            let is_part = trimmed.part.as_ref().is_some_and(|part| part.request == id);
            match self.ended.get(self.left) {
                Some((first, at)) if *first == id => {
                    let count = (self.ended.len() - self.left) as u64;
                    let is_old = committed.after.log_time().since(*at) >= age;
                    if count <= kept && !is_old {
                        return Err(format!(
                            "index {index} trims {id}, one of {count} where {kept} are kept, which ended at {at:?}"
                        ));
                    }
                }
                first => return Err(format!("index {index} trims {id}, and {first:?} ended before")),
            }
            self.left += usize::from(!is_part);
        }
        Ok(())
    }
}
