//! Stamps entries with log time: `capstan_model::log_time` holds the rule, this the clock it needs.

use std::{sync::Arc, time::Duration};

use capstan_model::{log_time::LogClock, time::Timestamp};

use crate::{ports::Clock, publish::Publisher};

/// The leader's log clock, started anew in each term from the last log time applied.
pub(crate) struct Stamper {
    clock: Arc<dyn Clock>,
    term: Option<Term>,
}

struct Term {
    number: u64,
    clock: LogClock,
    read_at: Duration,
}

impl Stamper {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, term: None }
    }

    /// The stamp of the next entry. The caller leads `term` and has applied its own first entry, so `publisher` has seen
    /// every earlier stamp. `None` while there is nothing to start from: no entry was ever stamped, and no majority has
    /// reported its clocks.
    pub(crate) fn stamp(
        &mut self,
        term: u64,
        publisher: &Publisher,
        median: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let now = self.clock.monotonic();
        if self.term.as_ref().is_none_or(|current| current.number != term) {
            let last = publisher.view().state().log_time();
            if last == Timestamp::ZERO && median.is_none() {
                return None;
            }
            self.term = Some(Term { number: term, clock: LogClock::start(last), read_at: now });
        }
        let current = self.term.as_mut().expect("set above");
        let elapsed = now.saturating_sub(current.read_at);
        current.read_at = now;
        if capstan_model::mutant!("stamped-by-wall-clock") {
            return Some(self.clock.wall());
        }
        Some(current.clock.advance(elapsed, self.clock.wall(), median))
    }
}
