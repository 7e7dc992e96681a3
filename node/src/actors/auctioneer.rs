//! The leader's auctioneer: gives what waits for a cell to one, in batches, by the model's plan.

use std::{collections::BTreeMap, time::Duration};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, SpawnHandle};
use capstan_model::{
    auction::{
        self, Auction, Outcome,
        work::{AGAIN_AFTER, Work, next_again, work, work_that_fits},
    },
    command::Command,
    failpoint,
    ids::Incarnation,
    lrp::{cell::Used, tag::as_uuid_v4},
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
/// How often something is sought for the room that cells get back.
const SEEK_EVERY: Duration = Duration::from_secs(1);

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

/// Places what waits. Holds nothing that State does not say, but how it has seen the cells.
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
    /// The cells that took work at the last look, and what of each was taken.
    cells: BTreeMap<Incarnation, Used>,
    /// What found no cell before this moment is to be in an auction once more: a cell has come since.
    again_before: Timestamp,
    /// Whether a cell has got room back for which nothing was sought yet.
    has_room_back: bool,
    /// When something was sought for such room.
    sought_at: Timestamp,
}

impl Round {
    /// What is in the next auction.
    fn work(&mut self, state: &State, at: Timestamp) -> Vec<Work> {
        self.see(state, at);
        let failed_before = self.again_before.max(at.before(AGAIN_AFTER));
        let mut work = work(state, failed_before, BATCH_MAX);
        if self.room_due().is_some_and(|due| due <= at) {
            (self.has_room_back, self.sought_at) = (false, at);
            work.extend(work_that_fits(state, BATCH_MAX));
        }
        work
    }

    /// When something is next sought for room that a cell has got back: not at once each time, since much may end together.
    fn room_due(&self) -> Option<Timestamp> {
        self.has_room_back.then(|| self.sought_at.after(SEEK_EVERY))
    }

    /// Looks at the cells, if anything waits for one: otherwise what they have is of interest to nobody, and there may be many.
    fn see(&mut self, state: &State, at: Timestamp) {
        let has_unplaced = state.lrps.first_unplaced().is_some();
        if !has_unplaced && state.lrps.unclaimed(at).next().is_none() {
            self.has_room_back = false;
            return;
        }
        let available = state.lrps.cells().filter(|(_, cell)| cell.is_available());
        let cells: BTreeMap<Incarnation, Used> =
            available.map(|(_, cell)| (cell.incarnation, state.used(cell.incarnation))).collect();
        for (life, used) in &cells {
            match self.cells.get(life) {
                None => self.again_before = at,
                Some(before) => self.has_room_back |= used.leaves_more_than(*before),
            }
        }
        self.cells = cells;
        self.has_room_back &= has_unplaced;
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
        let work = self.round.work(state, at);
        if work.is_empty() {
            let due = next_again(state).into_iter().chain(self.round.room_due()).min();
            return self.wake_after(due.map_or(LOOK_EVERY, |due| due.since(at)).min(LOOK_EVERY), ctx);
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
            actual::ActualKey,
            cell::{Announcement, Capacity, RootfsProviders},
            command::{Desire, LrpCommand},
            definition::{Changeable, Definition},
        },
    };

    use super::*;

    /// What a cell has.
    const MEMORY_MB: u32 = 100;

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
            capacity: Capacity { memory_mb: MEMORY_MB, disk_mb: 0, containers: 9 },
            rootfs: RootfsProviders { preloaded: vec!["host".into()], schemes: vec![] },
            isolation: Default::default(),
        };
        commit(state, time, Command::Lrp(LrpCommand::AnnounceCell(Box::new(announcement))));
    }

    fn secs(secs: u64) -> Timestamp {
        Timestamp::ZERO.after(Duration::from_secs(secs))
    }

    /// Desires one instance of an LRP that takes so much memory.
    fn desire(state: &mut State, time: Timestamp, guid: &str, memory_mb: u32) {
        let desire = Desire {
            guid: guid.parse().unwrap(),
            definition: Arc::new(Definition {
                rootfs: "preloaded:host".into(),
                memory_mb,
                ..Definition::default()
            }),
            changeable: Changeable { instances: 1, ..Changeable::default() },
            draw: 1,
        };
        commit(state, time, Command::Lrp(LrpCommand::Desire(Arc::new(desire))));
    }

    /// Holds an auction and commits its outcome; how much was in it.
    fn hold(round: &mut Round, state: &mut State, at: u64) -> usize {
        let work = round.work(state, secs(at));
        let count = work.len();
        let outcomes = auction::plan(&mut Auction::about(state, &work), work);
        let mut draws = 1..;
        for command in auction::commands(outcomes, || draws.next().expect("there are many")) {
            commit(state, secs(at), command);
        }
        count
    }

    #[test]
    fn what_found_no_cell_is_tried_again_after_a_while_and_when_a_cell_comes() {
        let mut state = State::default();
        add_cell(&mut state, secs(100), 1);
        desire(&mut state, secs(200), "lrp", MEMORY_MB + 1);
        let mut round = Round::default();
        assert_eq!(hold(&mut round, &mut state, 300), 1, "it was never tried");
        assert_eq!(hold(&mut round, &mut state, 300), 0);
        assert_eq!(hold(&mut round, &mut state, 330), 0, "for half a minute");
        assert_eq!(next_again(&state).map(|at| at.since(secs(330))), Some(Duration::from_nanos(1)));
        assert_eq!(hold(&mut round, &mut state, 331), 1);

        add_cell(&mut state, secs(335), 2);
        assert_eq!(round.work(&state, secs(335)).len(), 1, "the new cell has not been tried");
        assert_eq!(round.work(&state, secs(336)).len(), 1, "as long as it was not");
        assert_eq!(Round::default().work(&state, secs(332)).len(), 1, "nor is any by a new leader");
    }

    #[test]
    fn room_that_a_cell_gets_back_is_for_what_waits_and_fits() {
        let mut state = State::default();
        add_cell(&mut state, secs(100), 1);
        let mut round = Round::default();
        desire(&mut state, secs(200), "first", MEMORY_MB / 2);
        desire(&mut state, secs(200), "second", MEMORY_MB / 2);
        assert_eq!(hold(&mut round, &mut state, 300), 2);
        desire(&mut state, secs(300), "waits", MEMORY_MB / 2);
        desire(&mut state, secs(300), "is-too-large", MEMORY_MB);
        assert_eq!(hold(&mut round, &mut state, 300), 2);
        assert_eq!(hold(&mut round, &mut state, 310), 0, "nothing has changed");

        let key = ActualKey { guid: "first".parse().unwrap(), index: 0 };
        let instance = state.lrps.group(&key).unwrap().instance.as_ref().unwrap().instance().unwrap();
        let remove = LrpCommand::Remove { guid: key.guid.clone(), if_tag: None };
        for command in [remove, LrpCommand::Stopped { key, instance, draw: 9 }] {
            commit(&mut state, secs(311), Command::Lrp(command));
        }
        let sought = round.work(&state, secs(312));
        assert_eq!(sought.len(), 1, "{sought:?}");
        assert!(round.work(&state, secs(312)).is_empty(), "it was sought for");
    }
}
