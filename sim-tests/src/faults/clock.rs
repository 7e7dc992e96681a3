//! Wall clocks that are off, and monotonic ones that run too fast or too slow.

use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Draw, Fault, Kind, Strike, Target};
use crate::{oracle::Observation, world::RIGHT};

/// An hour and a year, in milliseconds.
const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;
/// The rates, in thousandths, that leases allow for (`Timing::check`), and all that there are.
const ALLOWED: (u32, u32) = (910, 1_090);
const ANY: (u32, u32) = (500, 2_000);
/// How much longer than it lasts a clock runs at another rate: a lease and the loss of a node must fit in.
const RUNS_LONGER: Duration = Duration::from_secs(25);

/// Something that goes wrong with a clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[strum(prefix = "fault: ", serialize_all = "kebab-case")]
pub enum ClockFault {
    /// A node's wall clock is off by so many milliseconds.
    WallOff(Target, i64),
    /// A machine's monotonic clock runs at so many thousandths of its rate, which is no more off than leases allow for.
    Drift(Target, u32),
    /// A machine's monotonic clock runs at so many thousandths of its rate; leases need not hold.
    WildDrift(Target, u32),
}

pub(super) const KINDS: &[Kind] = &[
    Kind::new(|draw| {
        let target = draw.target();
        let most_ms = if draw.rng.random_bool(0.7) { HOUR_MS } else { YEAR_MS };
        Fault::Clock(ClockFault::WallOff(target, draw.rng.random_range(-most_ms..most_ms)))
    }),
    Kind::new(|draw| Fault::Clock(ClockFault::Drift(draw.target(), rate(draw, ALLOWED)))),
    Kind::new(|draw| Fault::Clock(ClockFault::WildDrift(draw.target(), rate(draw, ANY)))),
];

fn rate(draw: &mut Draw, (least, most): (u32, u32)) -> u32 {
    draw.rng.random_range(least..=most)
}

impl ClockFault {
    pub(super) async fn carry_out(self, strike: Strike) {
        let machines = &strike.world.machines;
        match self {
            Self::WallOff(target, ms) => {
                let node = strike.resolve(target);
                machines.set_clock(node, ms);
                tokio::time::sleep(strike.lasts).await;
                machines.set_clock(node, 0);
            }
            Self::Drift(target, rate) => strike.drift(target, rate).await,
            Self::WildDrift(target, rate) => {
                machines.oracle.observe(&Observation::LeasesOff { node: strike.resolve(target) });
                strike.drift(target, rate).await;
            }
        }
    }
}

impl Strike {
    async fn drift(&self, target: Target, rate: u32) {
        let node = self.resolve(target);
        self.world.machines.set_clock_rate(node, rate);
        tokio::time::sleep(self.lasts + RUNS_LONGER).await;
        self.world.machines.set_clock_rate(node, RIGHT);
    }
}
