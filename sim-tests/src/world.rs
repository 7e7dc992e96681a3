//! Real nodes on one thread in virtual time, each in a task set of its own that a crash drops.
//!
//! [`Machines`] is the part that may be struck from inside a node (its storage fails, or a fault waits for an acknowledgement): it
//! freezes disk and network at once. The task set is dropped afterwards by [`World`]: destructors run then, and change
//! nothing any more, as after a real kill.

mod clock;
mod host;
mod node;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use capstan_model::sometimes;
use capstan_raft_store::{handle::ClusterHandle, timing::Timing};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::{LocalSet, spawn_local},
    time::Instant,
};

use self::host::Host;
pub(crate) use self::{
    clock::{EPOCH_NS, MachineClock, RIGHT},
    node::Life,
};
use crate::{
    disk::{Loss, SimDisk},
    guardian::{self, Guardian, Post},
    instances::Instances,
    lrps::CellLoad,
    net::{Latency, Net, Place},
    oracle::{Observation, Oracle},
    processes::Processes,
    specs_load::Directories,
    trace::Trace,
};

/// How soon a supervisor starts again what has stopped by itself.
const STARTED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What belongs to machines and not to the processes on them.
pub struct Machines {
    /// What connects them.
    pub net: Arc<Net>,
    /// Who watches.
    pub oracle: Arc<Oracle>,
    trace: Arc<Trace>,
    /// When the world began.
    start: Instant,
    disks: BTreeMap<Place, Arc<SimDisk>>,
    clocks: BTreeMap<Place, Arc<MachineClock>>,
    /// How many of a thousand processes each cannot make.
    scarcities: BTreeMap<Place, Arc<AtomicU32>>,
    /// The present life of each node that is up.
    lives: Mutex<BTreeMap<Place, u64>>,
    /// Nodes that may stop by themselves and start again: their disk has failed, or they were declared lost.
    to_start_again: Mutex<BTreeSet<Place>>,
    /// Nodes that nobody starts.
    kept_down: Mutex<BTreeSet<Place>>,
    /// Nodes whose data is damaged for good: they refuse to start, and there is nothing to heal.
    retired: Mutex<BTreeSet<Place>>,
    /// Those of them that have begun their last life.
    last_lives: Mutex<BTreeSet<Place>>,
    handles: Mutex<BTreeMap<Place, ClusterHandle>>,
    /// What runs on them, in truth.
    pub processes: Arc<Processes>,
    /// The same of instances and tasks.
    pub instances: Arc<Instances>,
    guardians: Mutex<BTreeMap<Place, guardian::Watch>>,
    struck: Notify,
    next_life: AtomicU64,
}

impl Machines {
    /// Stops a node dead: from this moment on nothing it does has an effect.
    pub fn strike(&self, node: Place, loss: Loss) {
        if self.lives.lock().expect("nothing panics while holding it").remove(&node).is_none() {
            return;
        }
        self.trace.event(node, if loss == Loss::Power { "power lost" } else { "killed" }, &[], &[]);
        self.net.disconnect(node);
        self.disks[&node].crash(loss);
        self.handles.lock().expect("nothing panics while holding it").remove(&node);
        let guardian = self.guardians.lock().expect("nothing panics while holding it").remove(&node);
        if let Some(guardian) = guardian {
            match loss {
                Loss::Process => guardian.node_gone(),
                Loss::Power => guardian.power_lost(),
            }
        }
        if loss == Loss::Power {
            self.processes.power_lost(node);
            self.instances.power_lost(node);
        }
        self.oracle.crashed(node, loss);
        self.struck.notify_one();
    }

    /// Cuts the power of all.
    pub fn strike_all(&self) {
        for node in self.net.nodes() {
            self.strike(node, Loss::Power);
        }
    }

    /// Whether this life of the node goes on.
    pub fn lives(&self, node: Place, life: u64) -> bool {
        self.life_of(node) == Some(life)
    }

    /// The present life of a node that is up.
    pub fn life_of(&self, node: Place) -> Option<u64> {
        self.lives.lock().expect("nothing panics while holding it").get(&node).copied()
    }

    /// The door into a node that is up and has started.
    pub fn handle(&self, node: Place) -> Option<ClusterHandle> {
        self.handles.lock().expect("nothing panics while holding it").get(&node).cloned()
    }

    /// Its disk.
    pub fn disk(&self, node: Place) -> &SimDisk {
        &self.disks[&node]
    }

    /// Ends a node's life, and lets it begin another.
    pub(crate) fn begin_again(&self, node: Place, loss: Loss) {
        self.let_stop(node);
        self.strike(node, loss);
    }

    /// Says that a node may stop by itself; then it begins another life.
    pub(crate) fn let_stop(&self, node: Place) {
        self.to_start_again.lock().expect("nothing panics while holding it").insert(node);
    }

    /// Sets a node's wall clock off.
    pub fn set_clock(&self, node: Place, off_ms: i64) {
        self.clocks[&node].set_wall(off_ms);
        if off_ms != 0 {
            self.oracle.observe(&Observation::ClockOff { node });
        }
    }

    /// Lets a node's monotonic clock run at so many thousandths of its rate. Its own tasks wait as before: only what is read from the clock
    /// changes, on which leases and silences are judged.
    pub(crate) fn set_clock_rate(&self, node: Place, rate: u32) {
        self.clocks[&node].set_rate(rate);
        if rate != RIGHT {
            self.oracle.observe(&Observation::RateOff);
        }
        if let Some(guardian) = self.guardians.lock().expect("nothing panics while holding it").get(&node) {
            guardian.clock_changed();
        }
    }

    /// Lets a machine fail to make so many of a thousand processes, guardians included.
    pub(crate) fn set_scarcity(&self, node: Place, per_mille: u32) {
        self.scarcities[&node].store(per_mille, Ordering::Relaxed);
    }

    /// Stops or continues all processes of a machine but the node's own, see [`World::set_still`].
    fn set_guardian_still(&self, node: Place, is_still: bool) {
        if let Some(guardian) = self.guardians.lock().expect("nothing panics while holding it").get(&node) {
            guardian.set_still(is_still);
        }
    }

    /// The node that leads, as far as the nodes know: of several the one of the highest term.
    pub fn leader(&self) -> Option<Place> {
        let handles = self.handles.lock().expect("nothing panics while holding it");
        let led = |handle: &ClusterHandle| *handle.leadership().borrow();
        let leaders = || handles.iter().filter_map(|(node, handle)| Some((led(handle)?, *node)));
        sometimes!("two nodes take themselves for the leader", leaders().count() > 1);
        leaders().max().map(|(_, node)| node)
    }

    /// Says that a node's data is damaged for good: it may stop because of it, and refuse to start.
    pub fn retire(&self, node: Place) {
        self.retired.lock().expect("nothing panics while holding it").insert(node);
        self.net.distrust(node);
        self.oracle.observe(&Observation::Damaged { node });
    }

    /// Lets nobody start a node any more once its present life has ended.
    pub fn end_with_this_life(&self, node: Place) {
        self.last_lives.lock().expect("nothing panics while holding it").insert(node);
    }

    /// Whether a node's data is damaged for good.
    pub fn is_retired(&self, node: Place) -> bool {
        self.retired.lock().expect("nothing panics while holding it").contains(&node)
    }

    fn is_to_start_again(&self, node: Place) -> bool {
        self.to_start_again.lock().expect("nothing panics while holding it").contains(&node)
    }
}

/// The world of one run.
#[derive(Clone)]
pub struct World {
    /// What can be struck from inside.
    pub machines: Arc<Machines>,
    hosts: Rc<RefCell<BTreeMap<Place, Rc<Host>>>>,
    rng: Rc<RefCell<SmallRng>>,
    ground: Ground,
    peace: Rc<watch::Sender<bool>>,
}

/// What all nodes of a world are configured with.
#[derive(Clone)]
pub struct Ground {
    /// How many nodes there are.
    pub nodes: u64,
    /// How long their messages take.
    pub latency: Latency,
    /// Their periods.
    pub timing: Timing,
    /// Their directories of request specs.
    pub specs: Directories,
    /// How many jobs each runs at a time.
    pub slots: u32,
    /// What each has as a cell.
    pub cells: CellLoad,
}

impl World {
    /// Makes the machines; nothing runs yet but the network.
    pub fn new(seed: u64, ground: Ground, trace: Arc<Trace>) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let oracle = Oracle::new(Arc::clone(&trace));
        let net =
            Net::new(ground.nodes, ground.latency, rng.random(), Arc::clone(&trace), Arc::clone(&oracle));
        let nodes = || net.nodes();
        let disks: BTreeMap<_, _> = nodes().map(|node| (node, SimDisk::new(rng.random()))).collect();
        oracle.watch_disks(disks.clone());
        let machines = Arc::new(Machines {
            net: Arc::clone(&net),
            oracle: Arc::clone(&oracle),
            trace: Arc::clone(&trace),
            disks,
            start: Instant::now(),
            clocks: nodes().map(|node| (node, Arc::new(MachineClock::new(Instant::now())))).collect(),
            scarcities: nodes().map(|node| (node, Arc::default())).collect(),
            lives: Mutex::default(),
            to_start_again: Mutex::default(),
            kept_down: Mutex::default(),
            retired: Mutex::default(),
            last_lives: Mutex::default(),
            handles: Mutex::default(),
            processes: Arc::new(Processes::new(Arc::clone(&trace), Arc::clone(&oracle))),
            instances: Arc::new(Instances::new(Arc::clone(&trace), Arc::clone(&oracle))),
            guardians: Mutex::default(),
            struck: Notify::new(),
            next_life: AtomicU64::new(1),
        });
        let world = Self {
            machines,
            hosts: Rc::default(),
            rng: Rc::new(RefCell::new(rng)),
            ground,
            peace: Rc::default(),
        };
        spawn_local(net.run());
        spawn_local(world.clone().bury());
        world
    }

    /// Starts a new life of a node that is down.
    pub fn boot(&self, node: Place) {
        let is_kept_down =
            self.machines.kept_down.lock().expect("nothing panics while holding it").contains(&node);
        let had_its_last =
            self.machines.last_lives.lock().expect("nothing panics while holding it").contains(&node);
        if is_kept_down || had_its_last || self.machines.life_of(node).is_some() {
            return;
        }
        self.bury_dead();
        let scarcity = self.machines.scarcities[&node].load(Ordering::Relaxed);
        if scarcity > 0 && self.rng.borrow_mut().random_ratio(scarcity, 1_000) {
            sometimes!("a node does not start, for its guardian cannot be made");
            self.machines.trace.event(node, "guardian not made", &[], &[]);
            return self.boot_later(node, STARTED_AGAIN_AFTER);
        }
        let life = self.machines.next_life.fetch_add(1, Ordering::Relaxed);
        self.machines.trace.event(node, "booted", &[life], &[]);
        self.machines.oracle.booted(node);
        self.machines.lives.lock().expect("nothing panics while holding it").insert(node, life);
        let (jobs, given) = mpsc::unbounded_channel();
        let transport = self.machines.net.connect(node, life, jobs);
        let machines = &self.machines;
        let clock = Arc::clone(&machines.clocks[&node]);
        let (guardian, executor, drivers, watch) = Guardian::new(Post {
            node,
            life,
            seed: self.rng.borrow_mut().random(),
            clock: Arc::clone(&clock),
            start: machines.start,
            scarcity: Arc::clone(&machines.scarcities[&node]),
            processes: Arc::clone(&machines.processes),
            instances: Arc::clone(&machines.instances),
        });
        machines.guardians.lock().expect("nothing panics while holding it").insert(node, watch);
        spawn_local(guardian.run());
        let started = Life {
            node,
            life,
            machines: Arc::clone(&self.machines),
            disk: self.machines.disks[&node].handle(),
            clock,
            executor,
            drivers,
            transport,
            entropy_seed: self.rng.borrow_mut().random(),
            ground: self.ground.clone(),
        };
        let tasks = LocalSet::new();
        tasks.spawn_local(started.run(given));
        let host = Rc::new(Host::new(node, tasks, self.rng.borrow_mut().random()));
        self.hosts.borrow_mut().insert(node, Rc::clone(&host));
        let machines = Arc::clone(&self.machines);
        spawn_local(host.run(move || machines.lives(node, life)));
    }

    /// Says that nothing goes wrong any more.
    pub(crate) fn make_peace(&self) {
        self.peace.send_replace(true);
    }

    /// Waits until nothing goes wrong any more.
    pub(crate) async fn peace(&self) {
        let mut peace = self.peace.subscribe();
        // The sender lives as long as this world.
        let _ = peace.wait_for(|is_peace| *is_peace).await;
    }

    /// Stops a node, and lets nobody start it until all are released.
    pub(crate) fn keep_down(&self, node: Place) {
        self.machines.kept_down.lock().expect("nothing panics while holding it").insert(node);
        self.machines.strike(node, Loss::Process);
    }

    /// Nodes that were kept down may be started again.
    pub(crate) fn release(&self) {
        self.machines.kept_down.lock().expect("nothing panics while holding it").clear();
    }

    /// The nodes that can be healed.
    pub fn serving(&self) -> Vec<Place> {
        self.machines.net.nodes().filter(|node| !self.machines.is_retired(*node)).collect()
    }

    /// The periods of its nodes.
    pub fn timing(&self) -> &Timing {
        &self.ground.timing
    }

    /// Starts all that are down.
    pub fn boot_all(&self) {
        self.machines.net.nodes().for_each(|node| self.boot(node));
    }

    /// Starts a node after a while, if it is down then.
    pub fn boot_later(&self, node: Place, wait: Duration) {
        let world = self.clone();
        spawn_local(async move {
            tokio::time::sleep(wait).await;
            world.boot(node);
        });
    }

    /// Stops or continues a node's processor.
    pub fn set_paused(&self, node: Place, is_paused: bool) {
        if let Some(host) = self.hosts.borrow().get(&node) {
            host.set_paused(is_paused);
            match is_paused {
                true => self.machines.oracle.observe(&Observation::Paused { node }),
                false => self.machines.oracle.resumed(node),
            }
        }
    }

    /// Stops or continues a whole machine, as when its host pauses it: nothing runs, and its monotonic clock stands still.
    pub(crate) fn set_still(&self, node: Place, is_still: bool) {
        if is_still {
            self.machines.oracle.observe(&Observation::LeasesOff { node });
        }
        self.machines.set_clock_rate(node, if is_still { 0 } else { RIGHT });
        self.machines.set_guardian_still(node, is_still);
        self.set_paused(node, is_still);
    }

    /// Lets everything a node does come late, by up to so much at a time.
    pub(crate) fn set_slowness(&self, node: Place, late_max: Duration) {
        if let Some(host) = self.hosts.borrow().get(&node) {
            host.set_slowness(late_max);
        }
    }

    /// Ends every node, as at the end of a run.
    pub fn end(&self) {
        for node in self.machines.net.nodes() {
            self.machines.strike(node, Loss::Process);
        }
        self.bury_dead();
    }

    /// Drops the task sets of nodes that were struck, for as long as the world exists, and starts again those that stopped because
    /// their disk failed.
    async fn bury(self) {
        loop {
            self.machines.struck.notified().await;
            self.bury_dead();
        }
    }

    fn bury_dead(&self) {
        let dead: Vec<(Place, Rc<Host>)> = {
            let mut hosts = self.hosts.borrow_mut();
            let dead: Vec<Place> =
                hosts.keys().copied().filter(|node| self.machines.life_of(*node).is_none()).collect();
            dead.into_iter().filter_map(|node| Some((node, hosts.remove(&node)?))).collect()
        };
        for (node, host) in dead {
            host.bury();
            let starts_again =
                self.machines.to_start_again.lock().expect("nothing panics while holding it").remove(&node);
            if starts_again {
                self.boot_later(node, STARTED_AGAIN_AFTER);
            }
        }
    }
}
