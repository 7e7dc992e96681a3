//! What a run follows from: everything is drawn from the seed before anything starts, and can be kept as a file.

mod durations;
mod swarm;

use std::{fs, path::Path, time::Duration};

use anyhow::Context;
use capstan_raft_store::timing::Timing;
use serde::{Deserialize, Serialize};

use crate::{
    auth_load::AuthLoad,
    events::TailLoad,
    faults::Planned,
    lrps::LrpLoad,
    net::Latency,
    probes::Buggify,
    requests::{RequestLoad, beyond::BeyondLoad},
    retention::RetentionLoad,
    specs_load::SpecLoad,
    workload::Load,
};

/// Everything a run follows from. As a file it is RON, made to be edited by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What all choices follow from that are not named here.
    pub seed: u64,
    /// How many nodes there are.
    pub nodes: u64,
    /// How long things go wrong, in virtual time.
    #[serde(with = "humantime_serde")]
    pub safety: Duration,
    /// Whom peace reaches first.
    pub heal: Heal,
    /// How long messages take.
    pub latency: Latency,
    /// How busy the clients of variables are.
    pub load: Load,
    /// How busy the clients of requests are.
    pub requests: RequestLoad,
    /// How busy those are that use what requests have beyond Spin Cycle.
    #[serde(default)]
    pub beyond: BeyondLoad,
    /// How busy the clients of LRPs are, and what cells have.
    #[serde(default)]
    pub lrps: LrpLoad,
    /// How busy those are that follow events.
    #[serde(default)]
    pub tailing: TailLoad,
    /// How few finished requests are kept, and how busy those are that look at them.
    #[serde(default)]
    pub retention: RetentionLoad,
    /// How busy those are that give out tokens and use them, and so whether the cluster asks who calls.
    #[serde(default)]
    pub auth: AuthLoad,
    /// How busy those are that change specs, and whether nodes seed a new cluster with theirs.
    #[serde(default)]
    pub specs: SpecLoad,
    /// What the specs that are drawn follow from.
    pub specs_seed: u64,
    /// The nodes' periods.
    #[serde(with = "durations")]
    pub timing: Timing,
    /// Which places of the product are disturbed.
    pub buggify: Buggify,
    /// What goes wrong.
    pub schedule: Vec<Planned>,
}

/// Whom peace reaches first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heal {
    /// All nodes at once.
    All,
    /// A majority, which must serve while the others stay as broken as they are; then all.
    CoreFirst,
}

impl Plan {
    /// The plan that a seed stands for.
    pub fn from_seed(seed: u64) -> Self {
        swarm::draw(seed)
    }

    /// Reads a plan from a file.
    ///
    /// # Errors
    /// The file cannot be read, or is not a plan; says where.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let plan: Self = ron::from_str(&text).with_context(|| format!("{} is not a plan", path.display()))?;
        plan.timing.check().with_context(|| format!("the periods in {}", path.display()))?;
        Ok(plan)
    }

    /// Whether nothing goes wrong in it.
    pub(crate) fn is_faultless(&self) -> bool {
        self.schedule.is_empty() && self.heal == Heal::All && self.buggify == Buggify::Off
    }

    /// The text of its file.
    pub fn to_text(&self) -> String {
        let pretty = ron::ser::PrettyConfig::new().compact_arrays(false).depth_limit(3);
        ron::ser::to_string_pretty(self, pretty).expect("plans are serialisable")
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        fs::write(path, self.to_text() + "\n").with_context(|| format!("write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_the_same_after_it_was_written_and_read() {
        for seed in 0..200 {
            let plan = Plan::from_seed(seed);
            let read: Plan = ron::from_str(&plan.to_text()).expect("it was just written");
            assert_eq!(read, plan, "seed {seed}");
        }
    }
}
