//! The disk reserve: room kept so that a full disk never stops the cluster from shrinking its data.

/// The largest reserve, in bytes.
const RESERVE_BYTES_MAX: u64 = 1 << 30;

/// The room on the file system of a data directory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What can still be written.
    pub free: u64,
    /// The size of the file system.
    pub total: u64,
}

impl Space {
    /// What is kept free: the smaller of 5 % and 1 GiB. Below it the leader refuses client writes and hands leadership away.
    pub fn reserve(self) -> u64 {
        (self.total / 20).min(RESERVE_BYTES_MAX)
    }

    /// Whether the reserve is being eaten.
    pub fn is_low(self) -> bool {
        self.free < self.reserve()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_a_twentieth_and_at_most_a_gibibyte() {
        let gib = 1 << 30;
        let cases = [
            (Space { free: gib, total: 10 * gib }, gib / 2, false),
            (Space { free: gib / 2 - 1, total: 10 * gib }, gib / 2, true),
            (Space { free: gib, total: 1_000 * gib }, gib, false),
            (Space { free: gib - 1, total: 1_000 * gib }, gib, true),
            (Space { free: 0, total: 0 }, 0, false),
        ];
        for (space, reserve, low) in cases {
            assert_eq!((space.reserve(), space.is_low()), (reserve, low), "{space:?}");
        }
    }
}
