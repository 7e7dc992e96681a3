//! The clocks and random bits of simulated machines.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use capstan_model::time::Timestamp;
use capstan_raft_store::ports::{Clock, Entropy};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::time::Instant;

/// When every world begins: 20 November 2026, in nanoseconds since the Unix epoch.
pub(crate) const EPOCH_NS: u64 = 1_795_132_800_000_000_000;

/// Virtual time, and a wall clock that may be off.
pub(super) struct SimClock {
    pub(super) off_ms: Arc<AtomicI64>,
    pub(super) start: Instant,
}

impl Clock for SimClock {
    fn wall(&self) -> Timestamp {
        let off_ns = self.off_ms.load(Ordering::Relaxed) * 1_000_000;
        let elapsed = u64::try_from(self.start.elapsed().as_nanos()).expect("a run is shorter than an age");
        Timestamp((EPOCH_NS + elapsed).saturating_add_signed(off_ns))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Random bits of one life.
pub(super) struct SimEntropy(Mutex<SmallRng>);

impl SimEntropy {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(SmallRng::seed_from_u64(seed)))
    }
}

impl Entropy for SimEntropy {
    fn u64(&self) -> u64 {
        self.0.lock().expect("nothing panics while holding it").random()
    }
}
