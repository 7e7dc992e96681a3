//! The processes of instances and tasks, as the guardian of their cell cares for them: not bound to the lease, and ended one by one.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use capstan_model::{ids::Incarnation, sometimes};
use capstan_node::instance::driver::{Process, ProcessEnd, ProcessNo, Signal};
use rand::{RngExt, rngs::SmallRng};
use tokio::{sync::oneshot, time::Instant};

use super::{
    HEED_MAX, KILLED_MAX, Post, SIGKILL, SIGTERM, START_MAX,
    program::{UnitCourse, unit_course},
};
use crate::instances::{EndedBy, Unit, UnitProcess};

/// What the node's end of the line asks for: a process of an instance or a task.
pub(crate) struct UnitStart {
    /// What it is for.
    pub(crate) unit: Unit,
    /// Names what is driven, for as long as the machine does not lose its power.
    pub(crate) driven: u128,
    /// Names the process in it.
    pub(crate) number: ProcessNo,
    /// What to execute.
    pub(crate) process: Process,
    /// The ports of the machine that are the instance's.
    pub(crate) ports: Vec<u16>,
    /// Told how it ended.
    pub(crate) end: oneshot::Sender<ProcessEnd>,
}

/// What runs for instances and tasks on one machine.
#[derive(Default)]
pub(super) struct Units {
    children: BTreeMap<(u128, ProcessNo), Child>,
    /// Who waits until nothing of an instance is left.
    ending: BTreeMap<u128, Vec<oneshot::Sender<()>>>,
    /// How often each was checked.
    checks: BTreeMap<u128, u32>,
}

/// A process, until it has ended.
struct Child {
    /// In the true table.
    number: u64,
    is_deaf: bool,
    ends_at: Instant,
    end: ProcessEnd,
    by: EndedBy,
    told: oneshot::Sender<ProcessEnd>,
}

impl Units {
    /// Whether nothing runs.
    pub(super) fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// When the next one ends.
    pub(super) fn due(&self) -> Option<Instant> {
        self.children.values().map(|child| child.ends_at).min()
    }

    /// Starts a process. The error is for the owner of the instance.
    pub(super) fn start(
        &mut self,
        post: &Post,
        rng: &mut SmallRng,
        incarnation: Incarnation,
        start: UnitStart,
    ) -> Result<(), String> {
        let UnitStart { unit, driven, number, process, ports, end: told } = start;
        if rng.random_ratio(post.scarcity.load(Ordering::Relaxed), 1_000) {
            sometimes!("an instance cannot start a process");
            return Err("no room for another process".to_owned());
        }
        let checked = self.checks.entry(driven).or_default();
        let UnitCourse { runs, end, is_deaf, is_check } = unit_course(&process, driven, *checked);
        *checked += u32::from(is_check);
        let now = Instant::now();
        let entry = UnitProcess {
            unit,
            node: post.node,
            life: post.life,
            incarnation,
            program: process.path,
            is_check,
            ports,
            started_us: u64::try_from((now - post.start).as_micros()).expect("a run is shorter than an age"),
        };
        let child = Child {
            number: post.instances.started(entry),
            is_deaf,
            ends_at: now + rng.random_range(Duration::ZERO..START_MAX) + runs,
            end,
            by: EndedBy::Itself,
            told,
        };
        self.children.insert((driven, number), child);
        Ok(())
    }

    /// Signals a process; nothing happens to one that has ended.
    pub(super) fn signal(&mut self, rng: &mut SmallRng, driven: u128, number: ProcessNo, signal: Signal) {
        let dies = Instant::now() + rng.random_range(Duration::ZERO..HEED_MAX);
        let Some(child) = self.children.get_mut(&(driven, number)) else { return };
        match signal {
            Signal::Terminate if child.is_deaf => sometimes!("an instance ignores that it is told to end"),
            Signal::Terminate => child.die(dies, SIGTERM, EndedBy::Cell),
            Signal::Kill => child.die(dies, SIGKILL, EndedBy::Cell),
        }
    }

    /// Ends whatever is left of an instance, and says so when nothing is.
    pub(super) fn end(&mut self, rng: &mut SmallRng, driven: u128, gone: oneshot::Sender<()>) {
        for (_, child) in self.children.range_mut((driven, ProcessNo(0))..=(driven, ProcessNo(u32::MAX))) {
            child.die(Instant::now() + rng.random_range(Duration::ZERO..HEED_MAX), SIGKILL, EndedBy::Cell);
        }
        self.checks.remove(&driven);
        self.ending.entry(driven).or_default().push(gone);
    }

    /// Kills everything.
    pub(super) fn kill_all(&mut self, rng: &mut SmallRng) {
        sometimes!("a node is gone while instances run on it", !self.children.is_empty());
        for child in self.children.values_mut() {
            let dies = Instant::now() + rng.random_range(Duration::ZERO..KILLED_MAX);
            child.die(dies, SIGKILL, EndedBy::Machine);
        }
    }

    /// Puts off what they do, because the machine stood still.
    pub(super) fn put_off(&mut self, by: Duration) {
        self.children.values_mut().for_each(|child| child.ends_at += by);
    }

    /// Reports those that have ended.
    pub(super) fn tick(&mut self, post: &Post) {
        let now = Instant::now();
        for (_, child) in self.children.extract_if(.., |_, child| child.ends_at <= now) {
            post.instances.ended(child.number, &child.end, child.by);
            // Whoever asked may be gone.
            let _ = child.told.send(child.end);
        }
        let children = &self.children;
        let is_over = |driven: &u128| {
            children.range((*driven, ProcessNo(0))..=(*driven, ProcessNo(u32::MAX))).next().is_none()
        };
        for (_, waiting) in self.ending.extract_if(.., |driven, _| is_over(driven)) {
            for gone in waiting {
                // Whoever asked may be gone.
                let _ = gone.send(());
            }
        }
    }
}

impl Child {
    fn die(&mut self, dies: Instant, signal: i32, by: EndedBy) {
        if dies < self.ends_at {
            (self.ends_at, self.by) = (dies, by);
            self.end = ProcessEnd::Exited { status: 128 + signal, out_of_memory: false, held: Vec::new() };
        }
    }
}
