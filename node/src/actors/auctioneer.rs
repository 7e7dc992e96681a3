//! The leader's auctioneer: gives what waits for a cell to one, in batches, by the model's plan.

use std::{collections::BTreeSet, time::Duration};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, SpawnHandle};
use capstan_model::{
    auction::{
        self, Auction, Outcome,
        work::{AGAIN_AFTER, next_again, work},
    },
    command::Command,
    failpoint,
    ids::Incarnation,
    lrp::tag::as_uuid_v4,
    state::State,
    time::Timestamp,
};

use metrics::{Counter, Histogram, counter, histogram};

use super::{Tools, hints, log_clock::LogClock, proposals};

/// How many indices are in one auction, and how many tasks. A plan for so many among a thousand cells takes some fifty milliseconds, for
/// which no other actor is heard.
const BATCH_MAX: usize = 512;
/// How long it sleeps at most; what is due earlier wakes it.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Everything that can wake the auctioneer.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum AuctioneerMessage {
    /// The state has moved; a hint.
    StateChanged,
    /// What it has proposed is committed, or will not be.
    Proposed,
    /// This node leads no longer.
    TermEnded,
}

/// Places what waits. Holds nothing that State does not say, but which cells it has seen.
pub struct Auctioneer {
    tools: Tools,
    clock: LogClock,
    round: Round,
    counted: Counted,
    is_proposing: bool,
    wakes: Option<SpawnHandle>,
}

/// What is measured of auctions on this node.
struct Counted {
    auctions: Counter,
    placements: Counter,
    failures: Counter,
    plan_seconds: Histogram,
}

impl Counted {
    fn new() -> Self {
        let outcomes = |outcome| counter!("capstan_auction_outcomes_total", "outcome" => outcome);
        Self {
            auctions: counter!("capstan_auctions_total"),
            placements: outcomes("placed"),
            failures: outcomes("failed"),
            plan_seconds: histogram!("capstan_auction_plan_seconds"),
        }
    }

    fn record(&self, outcomes: &[Outcome], took: Duration) {
        let placed = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
        self.auctions.increment(1);
        self.placements.increment(placed as u64);
        self.failures.increment((outcomes.len() - placed) as u64);
        self.plan_seconds.record(took);
    }
}

/// What an auctioneer remembers from one look to the next.
#[derive(Debug, Default)]
struct Round {
    /// The cells that took work at the last look.
    cells: BTreeSet<Incarnation>,
    /// What found no cell before this moment is to be in an auction once more: a cell has come since.
    again_before: Timestamp,
}

impl Round {
    /// What found no cell before this moment is in an auction again.
    fn failed_before(&mut self, state: &State, at: Timestamp) -> Timestamp {
        // Without such work it does not matter which cells have come; they count as new once it does.
        if state.lrps.first_unplaced().is_some() {
            let available = state.lrps.cells().filter(|(_, cell)| cell.is_available());
            let cells: BTreeSet<Incarnation> = available.map(|(_, cell)| cell.incarnation).collect();
            if !cells.is_subset(&self.cells) {
                self.again_before = at;
            }
            self.cells = cells;
        }
        self.again_before.max(at.before(AGAIN_AFTER))
    }
}

impl Auctioneer {
    /// An actor for the present term.
    pub fn new(tools: Tools) -> Self {
        let clock = LogClock::new(tools.clock.monotonic());
        let (round, counted) = (Round::default(), Counted::new());
        Self { tools, clock, round, counted, is_proposing: false, wakes: None }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.is_proposing {
            return;
        }
        let view = self.tools.cluster.view();
        let state = view.state();
        let at = self.clock.at(state.log_time(), self.tools.clock.monotonic());
        let failed_before = self.round.failed_before(state, at);
        let work = work(state, failed_before, BATCH_MAX);
        if work.is_empty() {
            let due = next_again(state).map_or(LOOK_EVERY, |due| due.since(at));
            return self.wake_after(due.min(LOOK_EVERY), ctx);
        }
        let begun = self.tools.clock.monotonic();
        let mut auction = Auction::about(state, &work);
        let outcomes = auction::plan(&mut auction, work);
        self.counted.record(&outcomes, self.tools.clock.monotonic().saturating_sub(begun));
        failpoint!("auction: over, not proposed");
        let entropy = &self.tools.entropy;
        self.propose(auction::commands(outcomes, || as_uuid_v4(entropy.u128())), ctx);
    }

    fn propose(&mut self, commands: Vec<Command>, ctx: &Context<Self>) {
        self.is_proposing = true;
        let (cluster, actor, alarm) = (self.tools.cluster.clone(), ctx.address(), self.tools.alarm.clone());
        actix::spawn(async move {
            let _alarm = alarm;
            proposals::commit(&cluster, commands, "a placement").await;
            // A stopped actor needs no answer.
            let _ = actor.send(AuctioneerMessage::Proposed).await;
        });
    }

    fn wake_after(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        if let Some(earlier) = self.wakes.take() {
            ctx.cancel_future(earlier);
        }
        self.wakes = Some(ctx.run_later(wait, |auctioneer, ctx| {
            auctioneer.wakes = None;
            auctioneer.look(ctx);
        }));
    }
}

impl Actor for Auctioneer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        hints::follow(&self.tools.cluster, ctx.address(), || AuctioneerMessage::StateChanged);
        self.look(ctx);
    }
}

impl Handler<AuctioneerMessage> for Auctioneer {
    type Result = ();

    fn handle(&mut self, message: AuctioneerMessage, ctx: &mut Self::Context) {
        match message {
            AuctioneerMessage::StateChanged => self.look(ctx),
            AuctioneerMessage::Proposed => {
                self.is_proposing = false;
                self.look(ctx);
            }
            AuctioneerMessage::TermEnded => ctx.stop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use capstan_model::{
        apply::apply,
        command::{Entry, NodeJoined, Sealed},
        ids::{CommandId, DiskId, NodeId},
        lrp::{
            cell::Announcement,
            command::{Desire, LrpCommand, Place, PlacementFailure},
            definition::Changeable,
        },
    };

    use super::*;

    fn life(node: u64) -> Incarnation {
        Incarnation { node: NodeId(node), boot: 1, nonce: 7 }
    }

    fn commit(state: &mut State, time: Timestamp, command: Command) {
        let index = state.index() + 1;
        let id = CommandId { incarnation: life(1), seq: index };
        let commands = vec![Sealed::new(id, None, command).expect("small")];
        apply(state, index, &Entry::V1 { time, settled: vec![], commands });
    }

    /// A node with a cell.
    fn add_cell(state: &mut State, time: Timestamp, node: u64) {
        let joined = NodeJoined {
            incarnation: life(node),
            disk: DiskId(u128::from(node)),
            peer_address: "p".into(),
            http_address: "h".into(),
            slots: 1,
            job_types: vec![],
        };
        commit(state, time, Command::NodeJoined(joined));
        let announcement = Announcement {
            incarnation: life(node),
            zone: "z".into(),
            capacity: Default::default(),
            rootfs: Default::default(),
            isolation: Default::default(),
        };
        commit(state, time, Command::Lrp(LrpCommand::AnnounceCell(Box::new(announcement))));
    }

    #[test]
    fn what_found_no_cell_is_tried_again_after_a_while_and_when_a_cell_comes() {
        let secs = |secs| Timestamp::ZERO.after(Duration::from_secs(secs));
        let mut state = State::default();
        add_cell(&mut state, secs(100), 1);
        let desire = Desire {
            guid: "lrp".parse().unwrap(),
            definition: Default::default(),
            changeable: Changeable { instances: 1, ..Changeable::default() },
            draw: 1,
        };
        commit(&mut state, secs(200), Command::Lrp(LrpCommand::Desire(Arc::new(desire))));
        let mut round = Round::default();
        assert_eq!(work(&state, round.failed_before(&state, secs(200)), 9).len(), 1, "it was never tried");

        let (key, group) =
            state.lrps.groups().next().map(|(key, group)| (key.clone(), group.clone())).unwrap();
        let tag = group.instance.unwrap().tag;
        let failures = vec![PlacementFailure { key, tag, error: "no room".into() }];
        let failed = Place { placements: vec![], failures };
        commit(&mut state, secs(300), Command::Lrp(LrpCommand::Place(Box::new(failed))));
        let waits = |round: &mut Round, state: &State, at| {
            work(state, round.failed_before(state, secs(at)), 9).is_empty()
        };
        assert!(waits(&mut round, &state, 300));
        assert!(waits(&mut round, &state, 330), "for half a minute");
        assert!(!waits(&mut round, &state, 331));
        assert_eq!(next_again(&state).map(|at| at.since(secs(330))), Some(Duration::from_nanos(1)));

        add_cell(&mut state, secs(310), 2);
        assert!(!waits(&mut round, &state, 310), "the new cell has not been tried");
        assert!(!waits(&mut round, &state, 311), "as long as it was not");
        assert!(!waits(&mut Round::default(), &state, 301), "nor is any by a new leader");
    }
}
