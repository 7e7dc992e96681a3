//! Log time follows the clocks of a majority: one that is wrong moves it nowhere.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::time::Timestamp;

use super::Invariant;
use crate::{oracle::Observation, world::EPOCH_NS};

/// How far log time may be ahead of the clocks that are right, in milliseconds: a wrong one draws by a hundredth of a run.
const AHEAD_MS_MAX: u64 = 1_000;

/// Log time does not run back, and is not ahead of the clocks while at most one was ever wrong.
#[derive(Default)]
pub(crate) struct LogTimeIsTrue {
    /// The nodes whose clock has been wrong.
    wrong: BTreeSet<u64>,
    /// Set once a monotonic clock has run at another rate: log time runs as fast as its leader's, and comes near the others' by a hundredth.
    is_paced: bool,
    newest: Timestamp,
    /// How many nodes there are, as far as the log says.
    nodes: usize,
    /// The log time of each index, until it has been compared.
    fresh: BTreeMap<u64, Timestamp>,
}

impl Invariant for LogTimeIsTrue {
    fn name(&self) -> &'static str {
        "log time never runs back, and one wrong clock moves it nowhere"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::ClockOff { node } => {
                self.wrong.insert(*node);
            }
            Observation::RateOff => self.is_paced = true,
            Observation::Committed(committed) => {
                let now = committed.after.log_time();
                self.fresh.insert(committed.index, now);
                if now < self.newest {
                    return Err(format!("index {}: {now:?} after {:?}", committed.index, self.newest));
                }
                self.newest = now;
                self.nodes = committed.after.nodes.len();
            }
            Observation::Applied { index, at_us, .. } => {
                let Some(log_time) = self.fresh.remove(index) else { return Ok(()) };
                let ahead_ms = log_time.since(Timestamp(EPOCH_NS + at_us * 1_000)).as_millis();
                if self.wrong.len() <= 1
                    && !self.is_paced
                    && self.nodes > 2
                    && ahead_ms > u128::from(AHEAD_MS_MAX)
                {
                    let wrong = &self.wrong;
                    return Err(format!("index {index} is {ahead_ms} ms ahead; wrong clocks: {wrong:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
