//! Faults that wait for the moment at which they hurt most: random ones seldom find it.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Fault, Kind, Strike, disk};
use crate::disk::DiskManner;

/// A node that is cut off for so much longer than it takes to be declared lost is so: an election, and the looks in between.
const LOST_WITHIN: Duration = Duration::from_secs(4);

/// Something that strikes at a moment that it waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[strum(prefix = "fault: ", serialize_all = "kebab-case")]
pub enum GuidedFault {
    /// All disks are slow; at the first write acknowledged meanwhile all machines lose their power.
    PowerLossAtAcknowledgement,
    /// The node of the process that has run longest is cut off from the others, for longer than it takes to be declared lost: its
    /// requests go to others while the process would still run.
    IsolateRunner,
}

pub(super) const KINDS: &[Kind] = &[
    Kind::new(|_| Fault::Guided(GuidedFault::PowerLossAtAcknowledgement)),
    Kind::silencing(|_| Fault::Guided(GuidedFault::IsolateRunner)),
];

impl GuidedFault {
    pub(super) async fn carry_out(self, strike: Strike) {
        match self {
            Self::PowerLossAtAcknowledgement => power_loss_at_acknowledgement(strike).await,
            Self::IsolateRunner => {
                let running = strike.world.machines.processes.running();
                let Some(oldest) = running.first() else { return };
                let silence = strike.world.timing().owner_lost_after;
                strike.during(strike.isolate(oldest.node), silence + LOST_WITHIN).await;
            }
        }
    }
}

/// Random power cuts seldom hit the moment between an acknowledgement and the sync it rests on; this one aims at it.
async fn power_loss_at_acknowledgement(strike: Strike) {
    let Strike { world, lasts, .. } = strike;
    let nodes = || world.machines.net.nodes();
    for node in nodes() {
        world.machines.disk(node).set_manner(disk::slow(400));
    }
    // Let what was under way be answered: the next acknowledgement rests on a slow sync.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let machines = Arc::downgrade(&world.machines);
    world.machines.oracle.at_next_acknowledgement(Box::new(move || {
        if let Some(machines) = machines.upgrade() {
            machines.strike_all();
        }
    }));
    tokio::time::sleep(lasts).await;
    for node in nodes() {
        world.machines.disk(node).set_manner(DiskManner::default());
    }
    world.machines.oracle.at_next_acknowledgement(Box::new(|| {}));
    world.boot_all();
}
