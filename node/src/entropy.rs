//! The machine's random bits.

use capstan_raft_store::ports::Entropy;
use rand::{Rng, TryRng, rngs::SysRng};

/// The kernel's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn u64(&self) -> u64 {
        // The kernel's generator fails only before it was seeded at boot; rand's own was seeded from it.
        SysRng.try_next_u64().unwrap_or_else(|_| rand::rng().next_u64())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn bits_do_not_repeat() {
        let drawn: BTreeSet<_> = (0..1_000).map(|_| SystemEntropy.u128()).collect();
        assert_eq!(drawn.len(), 1_000);
    }
}
