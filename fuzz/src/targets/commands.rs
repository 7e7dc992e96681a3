//! Commands: whatever decodes is applied, to a small cluster that runs requests, and breaks nothing.

use capstan_model::{
    command::{Command, Entry, Idempotency, Sealed, Settled},
    ids::NodeId,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::world::{World, call, commands};
use crate::{Seed, Target, Verdict};

pub(crate) const TARGET: Target = Target { name: "commands", run, seeds };

/// How much of one input is applied.
const STEPS_MAX: usize = 24;

/// What one entry of an input's log is made from.
#[derive(Serialize, Deserialize)]
enum Step {
    /// An entry with commands.
    Commands {
        /// How long after the entry before it.
        after_ms: u32,
        /// What node 1 has settled.
        settled_below: Option<u64>,
        /// Commands, each with the node that proposes it.
        commands: Vec<(u8, Option<Idempotency>, Command)>,
    },
    /// An entry without, so many terms later.
    Blank { terms: u8 },
}

/// An input is one step after another, in postcard.
fn run(input: &[u8]) -> Verdict {
    let mut world = World::small();
    let mut rest = input;
    let mut done = 0;
    while done < STEPS_MAX
        && let Ok((step, behind)) = postcard::take_from_bytes::<Step>(rest)
    {
        rest = behind;
        done += 1;
        take(&mut world, step);
    }
    world.check();
    Verdict::of(done > 0)
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Commands { after_ms, settled_below, commands } => {
            let time = Timestamp(world.state.log_time().0.saturating_add(u64::from(after_ms) * 1_000_000));
            let incarnation = world.state.nodes.get(&NodeId(1)).map(|node| node.incarnation);
            let settled = settled_below.zip(incarnation);
            let settled = settled.map(|(below, incarnation)| Settled { incarnation, below });
            let commands = commands.into_iter().filter_map(|(node, idempotency, command)| {
                let id = world.next_id(u64::from(node));
                Sealed::new(id, idempotency, command).ok()
            });
            let commands = commands.collect();
            world.apply(&Entry::V1 { time, settled: settled.into_iter().collect(), commands });
        }
        Step::Blank { terms } => world.apply_blank(world.state.term() + u64::from(terms)),
    }
}

fn seeds() -> Vec<Seed> {
    let step = |commands| Step::Commands { after_ms: 4_000, settled_below: Some(3), commands };
    let encoded = |step: &Step| postcard::to_stdvec(step).expect("steps are serialisable");
    let one_each = commands();
    let mut all = encoded(&Step::Blank { terms: 1 });
    for (_, command) in &one_each {
        all.extend(encoded(&step(vec![(1, None, command.clone())])));
    }
    let together = one_each.iter().map(|(_, command)| (2, Some(call()), command.clone())).collect();
    let together = Seed::new("together", encoded(&step(together)));
    let singly = one_each
        .iter()
        .map(|(name, command)| Seed::new(name, encoded(&step(vec![(1, None, command.clone())]))));
    singly.chain([Seed::new("all", all), together]).collect()
}
