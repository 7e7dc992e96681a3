//! The true table of processes: what runs where, whatever nodes and guardians believe.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use capstan_model::ids::Incarnation;
use capstan_node::{executor::TryKey, guardian::protocol::End};

use crate::{
    net::Place,
    oracle::{Observation, Oracle},
    trace::Trace,
};

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Which try it is.
    pub key: TryKey,
    /// The machine it runs on.
    pub node: Place,
    /// Which of the machine's lives started it, counted over all nodes.
    pub life: u64,
    /// The incarnation of the node in that life.
    pub incarnation: Incarnation,
    /// When it was started, in microseconds of virtual time.
    pub started_us: u64,
    /// When it will end if nobody interferes, in microseconds of virtual time.
    pub foreseen_us: u64,
    /// Whether it heeds SIGTERM.
    pub heeds: bool,
}

/// Every process of a world.
pub struct Processes {
    trace: Arc<Trace>,
    oracle: Arc<Oracle>,
    running: Mutex<BTreeMap<u64, Process>>,
    next: Mutex<u64>,
}

impl Processes {
    /// Nothing runs.
    pub(crate) fn new(trace: Arc<Trace>, oracle: Arc<Oracle>) -> Self {
        Self { trace, oracle, running: Mutex::default(), next: Mutex::new(1) }
    }

    /// Enters a process that was just made, and numbers it.
    pub(crate) fn started(&self, process: Process) -> u64 {
        let number = {
            let mut next = self.next.lock().expect("nothing panics while holding it");
            *next += 1;
            *next - 1
        };
        let Process { node, life, key, .. } = process;
        self.trace.event(node, "process started", &[life, number], key.to_string().as_bytes());
        self.oracle.observe(&Observation::ProcessStarted { process: &process });
        self.lock().insert(number, process);
        number
    }

    /// Takes a process that has ended out of the table; one that went with its machine is not there any more.
    pub(crate) fn ended(&self, number: u64, end: End) {
        let Some(process) = self.lock().remove(&number) else { return };
        self.trace.event(process.node, "process ended", &[number], format!("{end:?}").as_bytes());
        let at_us = self.trace.now_us();
        self.oracle.observe(&Observation::ProcessEnded { process: &process, end: Some(end), at_us });
    }

    /// A machine has lost its power.
    pub(crate) fn power_lost(&self, node: Place) {
        let gone: Vec<Process> =
            self.lock().extract_if(.., |_, process| process.node == node).map(|(_, gone)| gone).collect();
        for process in &gone {
            let at_us = self.trace.now_us();
            self.oracle.observe(&Observation::ProcessEnded { process, end: None, at_us });
        }
    }

    /// What runs now.
    pub fn running(&self) -> Vec<Process> {
        self.lock().values().cloned().collect()
    }

    /// The process that will run for longest on one of these nodes if nobody interferes, and how long that is.
    pub(crate) fn longest(&self, is_wanted: impl Fn(Place) -> bool) -> Option<(Process, Duration)> {
        let inner = self.lock();
        let wanted = inner.values().filter(|process| is_wanted(process.node));
        let longest = wanted.max_by_key(|process| process.foreseen_us).cloned()?;
        let left_us = longest.foreseen_us.saturating_sub(self.trace.now_us());
        Some((longest, Duration::from_micros(left_us)))
    }

    /// Whether something that another life of this machine started still runs there.
    pub(crate) fn has_leftovers(&self, node: Place, life: u64) -> bool {
        self.lock().values().any(|process| process.node == node && process.life != life)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Process>> {
        self.running.lock().expect("nothing panics while holding it")
    }
}
