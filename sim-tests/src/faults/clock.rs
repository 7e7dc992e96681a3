//! Wall clocks that are off.

use rand::RngExt;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Fault, Kind, Strike, Target};

/// Something that goes wrong with a clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[strum(prefix = "fault: ", serialize_all = "kebab-case")]
pub enum ClockFault {
    /// A node's wall clock is off by so many milliseconds.
    WallOff(Target, i64),
}

pub(super) const KINDS: &[Kind] = &[Kind::new(|draw| {
    Fault::Clock(ClockFault::WallOff(draw.target(), draw.rng.random_range(-3_600_000..3_600_000)))
})];

impl ClockFault {
    pub(super) async fn carry_out(self, strike: Strike) {
        let Self::WallOff(target, ms) = self;
        let node = strike.resolve(target);
        strike.world.machines.set_clock(node, ms);
        tokio::time::sleep(strike.lasts).await;
        strike.world.machines.set_clock(node, 0);
    }
}
