//! What the nodes are seen to do, and what must hold of it.
//!
//! Everything observed goes to every [`Invariant`]; what does not hold is kept, the first one fails the run. The state published at
//! each index is kept too, so that answers can be compared with it afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::Duration,
};

use capstan_model::{state::State, time::Timestamp};
use capstan_node::guardian::protocol::End;
use capstan_raft_store::{handle::View, witness::Step};
use tokio::sync::{Notify, mpsc};

use crate::{
    disk::{Loss, SimDisk},
    events::{EventLog, Seen, TailPlace},
    history::registers::Registers,
    instances::{EndedBy, UnitProcess},
    invariants::{self, Invariant},
    ledger::{Committed, Ledger},
    lrps::Called,
    net::Place,
    processes::Process,
    requests::listing::Lifetimes,
    tally::{LogCounter, Tally},
    trace::Trace,
};

/// All disks, by their nodes; a node that is down has one too.
pub type Disks = BTreeMap<Place, Arc<SimDisk>>;

/// Something that was seen.
pub enum Observation<'a> {
    /// It leads and has applied its own first entry.
    Leads {
        /// Who.
        node: u64,
        /// In which term.
        term: u64,
    },
    /// It has published a state.
    Published {
        /// Who.
        node: u64,
        /// Which of its lives, counted over all nodes.
        life: u64,
        /// What.
        state: &'a State,
    },
    /// Commands have panicked in apply.
    Bugs {
        /// Who.
        node: u64,
        /// How many.
        bugs: u64,
    },
    /// An entry is applied for the first time anywhere.
    Committed(&'a Committed),
    /// A node has answered a write.
    Acknowledged {
        /// The index of the state that the answer shows.
        index: u64,
    },
    /// A node applies an entry.
    Applied {
        /// Who.
        node: u64,
        /// Its index.
        index: u64,
        /// When, in microseconds of virtual time.
        at_us: u64,
    },
    /// A node's processor stands still.
    Paused {
        /// Whose.
        node: u64,
    },
    /// A node's processor goes on after it stood still.
    Resumed {
        /// Who.
        node: u64,
        /// When, in microseconds of virtual time.
        at_us: u64,
    },
    /// A node's wall clock is wrong from now on.
    ClockOff {
        /// Whose.
        node: u64,
    },
    /// A machine's monotonic clock runs at another rate from now on.
    RateOff,
    /// A machine stands still with all that runs on it, or its clock runs at a rate that leases do not allow for: from now on what one
    /// believes to be over may still run.
    LeasesOff {
        /// Whose.
        node: u64,
    },
    /// The data of a node is damaged on purpose, for good.
    Damaged {
        /// Whose.
        node: u64,
    },
    /// A node has done something to its vote, its log or its state.
    Stepped {
        /// Who.
        node: u64,
        /// What.
        step: &'a Step<'a>,
        /// What the disks hold just then.
        disks: &'a Disks,
    },
    /// A life of a node is over.
    Crashed {
        /// Who.
        node: u64,
        /// What of its disk is lost.
        loss: Loss,
    },
    /// A process was made.
    ProcessStarted {
        /// Which.
        process: &'a Process,
    },
    /// A process is gone.
    ProcessEnded {
        /// Which.
        process: &'a Process,
        /// How it ended; `None` when its machine lost its power.
        end: Option<End>,
        /// When, in microseconds of virtual time.
        at_us: u64,
    },
    /// A process of an instance or a task was made.
    UnitStarted {
        /// Which.
        process: &'a UnitProcess,
    },
    /// A process of an instance or a task is gone.
    UnitEnded {
        /// Which.
        process: &'a UnitProcess,
        /// Who ended it.
        by: EndedBy,
    },
    /// A call about LRPs, domains or tasks is over.
    LrpCalled(&'a Called),
    /// Everything was healed long ago, and clients ask for nothing any more.
    Settled {
        /// The newest state.
        state: &'a State,
        /// What still runs.
        processes: &'a [Process],
        /// What still runs for instances and tasks.
        units: &'a [UnitProcess],
        /// Nodes whose data is not damaged for good.
        serving: &'a [Place],
    },
    /// Fewer finished requests are kept from now on than the settings say.
    KeepsFew {
        /// How many at the most.
        kept: Option<u64>,
        /// For how long at the most.
        age: Option<Duration>,
    },
    /// A client was told that its request is stored.
    StartTold {
        /// Which.
        request: &'a str,
        /// The version of the specs that it is of, as the answer says; `None` of a node's own.
        specs: Option<&'a str>,
    },
    /// A tailer has seen something of a stream of events.
    Tailed {
        /// What.
        seen: &'a Seen<'a>,
        /// What there is to be told.
        log: &'a EventLog,
    },
    /// Everything was healed long ago, and tailers had time to be told of everything.
    TailersSettled {
        /// How far each is.
        places: &'a [TailPlace],
        /// How many events there were when they were given that time.
        upto: usize,
        /// What there is to be told.
        log: &'a EventLog,
    },
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When, in microseconds of virtual time.
    pub at_us: u64,
    /// What should hold.
    pub invariant: String,
    /// What was seen.
    pub found: String,
}

/// The judge of one run.
pub struct Oracle {
    trace: Arc<Trace>,
    disks: OnceLock<Disks>,
    inner: Mutex<Inner>,
    /// What happens at the next acknowledged write, once.
    at_acknowledgement: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// Who is told of the next step of a snapshot, once.
    at_snapshot_step: Mutex<Option<mpsc::UnboundedSender<u64>>>,
    violated: Notify,
}

struct Inner {
    invariants: Vec<Box<dyn Invariant>>,
    /// Nodes that are up.
    alive: BTreeSet<Place>,
    violations: Vec<Violation>,
    states: BTreeMap<u64, State>,
    ledger: Ledger,
    registers: Registers,
    lifetimes: Lifetimes,
    tally: Tally,
    counter: LogCounter,
    events: EventLog,
}

impl Oracle {
    /// Knows all invariants and has seen nothing.
    pub fn new(trace: Arc<Trace>) -> Arc<Self> {
        let inner = Inner {
            invariants: invariants::all(),
            alive: BTreeSet::new(),
            violations: Vec::new(),
            states: BTreeMap::new(),
            ledger: Ledger::default(),
            registers: Registers::default(),
            lifetimes: Lifetimes::default(),
            tally: Tally::default(),
            counter: LogCounter::default(),
            events: EventLog::default(),
        };
        Arc::new(Self {
            trace,
            disks: OnceLock::new(),
            inner: Mutex::new(inner),
            at_acknowledgement: Mutex::default(),
            at_snapshot_step: Mutex::default(),
            violated: Notify::new(),
        })
    }

    /// Looks at these disks from now on; done once, before anything is written.
    pub(crate) fn watch_disks(&self, disks: Disks) {
        assert!(self.disks.set(disks).is_ok(), "a world has one set of disks");
    }

    /// Looks at something that was seen.
    pub fn observe(&self, observation: &Observation<'_>) {
        let inner = &mut *self.lock();
        match observation {
            Observation::Leads { node, term } => {
                self.trace.event(*node, "leads", &[*term], &[]);
                inner.tally.leaders += 1;
            }
            Observation::Published { node, state, .. } => {
                self.trace.event(*node, "published", &[state.index()], &state.checksum().to_le_bytes());
                inner.tally.commits = inner.tally.commits.max(state.index());
                inner.states.entry(state.index()).or_insert_with(|| (*state).clone());
            }
            Observation::Stepped { step: Step::VoteWritten(vote), .. } => {
                inner.tally.terms = inner.tally.terms.max(vote.term);
            }
            Observation::Stepped { node, step: Step::Installed { at, .. }, .. } => {
                inner.events.install(*node, at.index);
            }
            Observation::Acknowledged { index } => inner.events.acknowledge(*index),
            Observation::ProcessStarted { .. } => inner.tally.processes += 1,
            Observation::Committed(committed) => {
                inner.states.insert(committed.index, committed.after.clone());
                inner.counter.count(&mut inner.tally, committed);
                inner.lifetimes.heed(committed);
                inner.events.heed(committed);
                if let Err((invariant, found)) = inner.registers.heed(committed) {
                    note(&mut inner.violations, &self.trace, invariant, found);
                    self.violated.notify_one();
                }
            }
            _ => {}
        }
        for invariant in &mut inner.invariants {
            if let Err(found) = invariant.observe(observation) {
                note(&mut inner.violations, &self.trace, invariant.name(), found);
                self.violated.notify_one();
            }
        }
    }

    /// A node has taken a step with its storage. What it does in the moments after its crash changes nothing, and is not looked at.
    pub fn stepped(&self, node: u64, step: &Step<'_>) {
        if !self.lock().alive.contains(&node) {
            return;
        }
        if let Some(disks) = self.disks.get() {
            self.observe(&Observation::Stepped { node, step, disks });
        }
        let heeded = self.lock().ledger.heed(step);
        match heeded {
            Ok(Some(committed)) => self.observe(&Observation::Committed(&committed)),
            Ok(None) => {}
            Err((invariant, found)) => self.violated(invariant, format!("node {node}: {found}")),
        }
        if let Step::Applying { at, .. } = step {
            self.observe(&Observation::Applied { node, index: at.index, at_us: self.trace.now_us() });
        }
    }

    /// A node's processor goes on.
    pub fn resumed(&self, node: u64) {
        self.observe(&Observation::Resumed { node, at_us: self.trace.now_us() });
    }

    /// The state after all that any node has applied.
    pub fn committed_state(&self) -> State {
        self.lock().ledger.state().clone()
    }

    /// Notes that something did not hold.
    pub fn violated(&self, invariant: &str, found: String) {
        note(&mut self.lock().violations, &self.trace, invariant, found);
        self.violated.notify_one();
    }

    /// Waits until something does not hold.
    pub(crate) async fn first_violation(&self) {
        self.violated.notified().await;
    }

    /// What did not hold so far, in the order it was noticed.
    pub fn violations(&self) -> Vec<Violation> {
        self.lock().violations.clone()
    }

    /// The state that some node published at this index, if it was seen.
    pub fn state_at(&self, index: u64) -> Option<State> {
        self.lock().states.get(&index).cloned()
    }

    /// The first stamp in the log.
    pub(crate) fn first_log_time(&self) -> Option<Timestamp> {
        self.lock().states.values().map(State::log_time).find(|stamp| *stamp > Timestamp::default())
    }

    /// Looks at what the log has answered.
    pub(crate) fn with_registers<T>(&self, look: impl FnOnce(&Registers) -> T) -> T {
        look(&self.lock().registers)
    }

    /// Looks at when requests were stored and ended.
    pub(crate) fn with_lifetimes<T>(&self, look: impl FnOnce(&Lifetimes) -> T) -> T {
        look(&self.lock().lifetimes)
    }

    /// Looks at what there is to be told.
    pub(crate) fn with_event_log<T>(&self, look: impl FnOnce(&EventLog) -> T) -> T {
        look(&self.lock().events)
    }

    /// A tailer has seen something.
    pub(crate) fn tailed(&self, seen: &Seen<'_>) {
        let log = std::mem::take(&mut self.lock().events);
        self.observe(&Observation::Tailed { seen, log: &log });
        self.lock().events = log;
    }

    /// Tailers had time to be told of so many events.
    pub(crate) fn tailers_settled(&self, places: &[TailPlace], upto: usize) {
        let log = std::mem::take(&mut self.lock().events);
        self.observe(&Observation::TailersSettled { places, upto, log: &log });
        self.lock().events = log;
    }

    /// What happened so far.
    pub fn tally(&self) -> Tally {
        self.lock().tally
    }

    /// A life of a node begins.
    pub fn booted(&self, node: u64) {
        self.lock().alive.insert(node);
    }

    /// A node has crashed.
    pub fn crashed(&self, node: u64, loss: Loss) {
        {
            let inner = &mut *self.lock();
            inner.alive.remove(&node);
            inner.tally.crashes += 1;
        }
        self.observe(&Observation::Crashed { node, loss });
    }

    /// Counts a step of a snapshot on its way to a node.
    pub fn snapshot_step(&self, to: u64) {
        self.lock().tally.snapshot_steps += 1;
        let watcher = self.at_snapshot_step.lock().expect("nothing panics while holding it").take();
        if let Some(watcher) = watcher {
            // Who waits may have lost patience.
            let _ = watcher.send(to);
        }
    }

    /// Tells whom the next step of a snapshot goes to, as it arrives.
    pub fn at_next_snapshot_step(&self, watcher: Option<mpsc::UnboundedSender<u64>>) {
        *self.at_snapshot_step.lock().expect("nothing panics while holding it") = watcher;
    }

    /// Lets something happen at the very moment the next write is acknowledged.
    pub fn at_next_acknowledgement(&self, strike: Box<dyn FnOnce() + Send>) {
        *self.at_acknowledgement.lock().expect("nothing panics while holding it") = Some(strike);
    }

    /// A node has just answered a write, from the state at this index.
    pub fn write_acknowledged(&self, index: Option<u64>) {
        if let Some(index) = index {
            self.observe(&Observation::Acknowledged { index });
        }
        let strike = self.at_acknowledgement.lock().expect("nothing panics while holding it").take();
        if let Some(strike) = strike {
            strike();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while holding it")
    }
}

fn note(violations: &mut Vec<Violation>, trace: &Trace, invariant: &str, found: String) {
    trace.event(0, "violated", &[], invariant.as_bytes());
    violations.push(Violation { at_us: trace.now_us(), invariant: invariant.to_owned(), found });
}

/// Sees a node's view.
pub fn published(oracle: &Oracle, node: u64, life: u64, view: &View) {
    oracle.observe(&Observation::Published { node, life, state: view.state() });
}
