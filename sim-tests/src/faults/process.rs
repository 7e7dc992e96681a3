//! Nodes that are killed, stand still, or lose their power.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Fault, Kind, Strike, Target};
use crate::disk::Loss;

/// Something that goes wrong with a node's process, or with its machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[strum(prefix = "fault: ", serialize_all = "kebab-case")]
pub enum ProcessFault {
    /// A process is killed, and started again at the end.
    Kill(Target),
    /// A machine loses its power.
    PowerLoss(Target),
    /// All machines lose their power.
    TotalPowerLoss,
    /// A node's processor stands still.
    Pause(Target),
}

pub(super) const KINDS: &[Kind] = &[
    Kind::silencing(|draw| Fault::Process(ProcessFault::Kill(draw.target()))),
    Kind::silencing(|draw| Fault::Process(ProcessFault::PowerLoss(draw.target()))),
    Kind::new(|_| Fault::Process(ProcessFault::TotalPowerLoss)),
    Kind::silencing(|draw| Fault::Process(ProcessFault::Pause(draw.target()))),
];

impl ProcessFault {
    pub(super) async fn carry_out(self, strike: Strike) {
        match self {
            Self::Kill(target) => strike.stop(target, Loss::Process),
            Self::PowerLoss(target) => strike.stop(target, Loss::Power),
            Self::TotalPowerLoss => {
                strike.world.machines.strike_all();
                strike
                    .world
                    .machines
                    .net
                    .nodes()
                    .for_each(|node| strike.world.boot_later(node, strike.lasts));
            }
            Self::Pause(target) => {
                let node = strike.resolve(target);
                strike.world.set_paused(node, true);
                tokio::time::sleep(strike.lasts).await;
                strike.world.set_paused(node, false);
            }
        }
    }
}

impl Strike {
    fn stop(&self, target: Target, loss: Loss) {
        let node = self.resolve(target);
        self.world.machines.strike(node, loss);
        self.world.boot_later(node, self.lasts);
    }
}
