//! What is written and read: variables of 256 bytes, keys uniform over ten thousand.

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// Bytes of a value.
pub(crate) const VALUE_BYTES: usize = 256;
/// How many keys there are.
pub(crate) const KEYS: usize = 10_000;
/// Random bytes of which values are cut: enough that values differ, few enough to stay in the cache of the processor.
const POOL_BYTES: usize = 16 * 1024;

/// The keys and values of one client. The same seed draws the same.
pub(crate) struct Workload {
    random: SmallRng,
    pool: Bytes,
}

impl Workload {
    /// A client's own.
    pub(crate) fn new(client: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(client);
        let mut pool = vec![0; POOL_BYTES];
        random.fill(&mut pool[..]);
        Self { random, pool: pool.into() }
    }

    /// Draws a key, `key-00000` to `key-09999`.
    pub(crate) fn key(&mut self) -> String {
        name(self.random.random_range(0..KEYS))
    }

    /// Draws a value. Shares its bytes with the pool.
    pub(crate) fn value(&mut self) -> Bytes {
        let start = self.random.random_range(0..=POOL_BYTES - VALUE_BYTES);
        self.pool.slice(start..start + VALUE_BYTES)
    }
}

/// The name of a key by its number.
pub(crate) fn name(number: usize) -> String {
    format!("key-{number:05}")
}
