//! How long messages take when nothing is wrong.

use std::time::Duration;

use rand::{RngExt, rngs::SmallRng};
use serde::{Deserialize, Serialize};

/// How long messages take when nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Latency {
    /// Up to 2 ms.
    #[default]
    Lan,
    /// 10 to 40 ms.
    Wan,
    /// As in a local network, but one message in a hundred takes up to 100 ms.
    Spiky,
}

impl Latency {
    /// The longest.
    pub fn most(self) -> Duration {
        Duration::from_millis(match self {
            Self::Lan => 2,
            Self::Wan => 40,
            Self::Spiky => 100,
        })
    }

    pub(super) fn draw(self, rng: &mut SmallRng) -> Duration {
        match self {
            Self::Lan => rng.random_range(Duration::ZERO..=self.most()),
            Self::Wan => rng.random_range(Duration::from_millis(10)..=self.most()),
            Self::Spiky if rng.random_bool(0.01) => rng.random_range(Duration::ZERO..=self.most()),
            Self::Spiky => rng.random_range(Duration::ZERO..=Self::Lan.most()),
        }
    }
}
