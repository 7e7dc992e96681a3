//! The guardian's one thread: waits for the node, for processes and for the clock, and never for anything else.

use std::{io, os::fd::AsFd, time::Duration};

use capstan_model::ids::Incarnation;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signalfd::{SfdFlags, SignalFd},
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
        wait::{Id, WaitPidFlag, waitid, waitpid},
    },
    unistd::Pid,
};

use super::{
    child::{self, Child, Pipe},
    clock::BootTime,
    household::Household,
    instance::Slot,
    instance_spec::{InstanceId, InstanceSpec},
    instances::Instances,
    key::ProcessKey,
    lease::Lease,
    link::Link,
    lock::Lock,
    processes,
    protocol::{Cut, QuestionId, StartAnswer, StartSpec, ToGuardian, ToNode},
    register::Register,
    signals,
};

/// How often processes that are to end are looked for again while some are left.
const SWEEP_EVERY: Duration = Duration::from_millis(20);
/// One read from a pipe or the socket.
const READ_BYTES: usize = 64 * 1024;

/// The guardian of one node.
#[derive(Debug)]
pub(crate) struct Guardian {
    household: Household,
    link: Link,
    lock: Lock,
    signals: SignalFd,
    timer: TimerFd,
    register: Register<Child>,
    instances: Instances,
    lease: Lease,
    incarnation: Option<Incarnation>,
    purge: Option<Purge>,
}

/// Everything is being killed, and nothing is started.
#[derive(Debug, Clone, Copy)]
struct Purge {
    reason: Reason,
    next_sweep: BootTime,
}

/// Why everything is being killed, and so what follows; the weightiest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// The lease ended. Processes may be started again once it is extended.
    LeaseOver,
    /// Another incarnation begins, and is told when nothing is left.
    Begin { id: QuestionId, incarnation: Incarnation },
    /// The node is gone, and so is the guardian when nothing is left.
    NodeGone,
}

/// What is ready.
#[derive(Debug, Clone, Copy)]
enum Source {
    Node,
    ChildEnded,
    Clock,
    Pipe(ProcessKey, Pipe),
    InstancePipe(InstanceId, Slot),
}

impl Guardian {
    /// Takes charge of the processes of one node.
    ///
    /// # Errors
    /// The operating system refuses a signal or timer descriptor, or a thread.
    pub(crate) fn new(household: Household, link: Link, lock: Lock) -> io::Result<Self> {
        Ok(Self {
            instances: Instances::new(&household)?,
            household,
            link,
            lock,
            signals: SignalFd::with_flags(
                &signals::child_ended(),
                SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC,
            )?,
            timer: TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?,
            register: Register::default(),
            lease: Lease::default(),
            incarnation: None,
            purge: None,
        })
    }

    /// Serves the node until it is gone and nothing it started is left.
    ///
    /// # Errors
    /// The operating system refuses something it never should; the processes then end with this one.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            self.set_timer()?;
            let mut child_ended = false;
            for source in self.wait()? {
                match source {
                    Source::Node => self.attend_node(&mut buffer),
                    Source::Pipe(key, pipe) => {
                        if let Some(child) = self.register.running_mut(&key) {
                            child.attend(pipe, &mut buffer);
                        }
                    }
                    Source::InstancePipe(instance, slot) => {
                        self.instances.attend(instance, slot, &mut buffer);
                    }
                    Source::ChildEnded => {
                        while self.signals.read_signal()?.is_some() {}
                        child_ended = true;
                    }
                    Source::Clock => {}
                }
            }
            let now = BootTime::now();
            for (_, child) in self.register.all_running_mut() {
                child.tick(now);
            }
            self.decide_purge(now)?;
            self.sweep(now)?;
            if child_ended || self.purge.is_some() || self.instances.due_at().is_some() {
                self.reap(now, &mut buffer)?;
            }
            self.settle_ended(now)?;
            self.settle_purge()?;
            if self.link.is_closed() && self.purge.is_none() {
                return Ok(());
            }
        }
    }

    /// Waits until something is ready, the timer included.
    fn wait(&self) -> io::Result<Vec<Source>> {
        let mut sources = vec![Source::ChildEnded, Source::Clock];
        let mut descriptors = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.timer.as_fd(), PollFlags::POLLIN),
        ];
        if let Some((descriptor, flags)) = self.link.interest() {
            sources.push(Source::Node);
            descriptors.push(PollFd::new(descriptor, flags));
        }
        for (key, child) in self.register.running() {
            for (pipe, descriptor, flags) in child.pipes() {
                sources.push(Source::Pipe(key, pipe));
                descriptors.push(PollFd::new(descriptor, flags));
            }
        }
        for (instance, slot, pipe) in self.instances.pipes() {
            sources.push(Source::InstancePipe(instance, slot));
            descriptors.push(PollFd::new(pipe, PollFlags::POLLIN));
        }
        match poll(&mut descriptors, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
        }
        let ready = |descriptor: &PollFd<'_>| descriptor.any().unwrap_or(true);
        Ok(sources
            .into_iter()
            .zip(&descriptors)
            .filter(|(_, d)| ready(d))
            .map(|(source, _)| source)
            .collect())
    }

    /// Sets the timer to the next moment at which there is something to do. It counts on CLOCK_BOOTTIME, so that a
    /// machine that wakes from sleep finds what became due.
    fn set_timer(&self) -> io::Result<()> {
        // Once it is over it is looked at every turn; instances may go on for long.
        let is_due = |at: &BootTime| self.purge.is_none() && self.lock.is_held() && *at > BootTime::now();
        let lease_end = self.lease.ends_at().filter(is_due);
        let sweep = self.purge.map(|purge| purge.next_sweep);
        let due = self
            .register
            .running()
            .filter_map(|(_, child)| child.due_at())
            .chain(lease_end)
            .chain(sweep)
            .chain(self.instances.due_at())
            .min();
        let at = due.map_or(Duration::ZERO, |at| at.since_boot().max(Duration::from_nanos(1)));
        self.timer.set(Expiration::OneShot(TimeSpec::from(at)), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        Ok(())
    }

    fn attend_node(&mut self, buffer: &mut [u8]) {
        self.link.flush();
        match self.link.receive(buffer) {
            Ok(messages) => messages.into_iter().for_each(|message| self.obey(message)),
            Err(error) => super::complain(format_args!("the node is not understood: {error}")),
        }
    }

    fn obey(&mut self, message: ToGuardian) {
        match message {
            ToGuardian::Begin { id, incarnation } => self.start_purge(Reason::Begin { id, incarnation }),
            ToGuardian::Start { id, spec } => {
                let answer = self.start(spec);
                self.link.send(&ToNode::Start { id, answer });
            }
            ToGuardian::Stop { key, grace } => {
                if let Some(child) = self.register.running_mut(&key) {
                    child.stop(BootTime::now(), grace);
                }
            }
            ToGuardian::Forget { key } => self.register.forget(&key),
            ToGuardian::List { id } => {
                let entries = self.register.list();
                self.link.send(&ToNode::Register { id, entries });
            }
            ToGuardian::ValidUntil(until) => self.lease.extend(until),
            ToGuardian::StartInInstance { id, spec } => {
                let answer = self.start_in_instance(spec);
                self.link.send(&ToNode::Start { id, answer });
            }
            ToGuardian::SignalInInstance { process, signal } => self.instances.signal(process, signal),
            ToGuardian::EndInstance { id, instance } => {
                if let Some(answer) = self.instances.end(instance, id) {
                    self.link.send(&answer);
                }
            }
            ToGuardian::Say(said) => self.instances.say(said),
            ToGuardian::Limits { id } => {
                self.link.send(&ToNode::Unlimited { id, unlimited: self.instances.unlimited() });
            }
        }
    }

    /// Starts a process, or says why not. An end that comes at once is reported before the answer.
    fn start(&mut self, spec: StartSpec) -> StartAnswer {
        let key = spec.key;
        if let Err(answer) = self.register.vacant(&key) {
            return answer;
        }
        let Some(incarnation) = self.incarnation else {
            return StartAnswer::NotBegun;
        };
        if self.purge.is_some() || !self.lease.permits(BootTime::now()) {
            return StartAnswer::LeaseOver;
        }
        if !self.has_lock() {
            return StartAnswer::LeftoversAlive;
        }
        match Child::start(&self.household, &incarnation, spec) {
            Ok(child) => {
                self.instances.note_session(child.pid());
                self.register.enter(key, child);
            }
            Err(error) => {
                self.register.enter_ended(key);
                self.link.send(&ToNode::Ended { key, report: child::unmade(&error) });
            }
        }
        StartAnswer::Started
    }

    /// Starts a process of an instance, or says why not. An end that comes at once is reported before the answer.
    fn start_in_instance(&mut self, spec: InstanceSpec) -> StartAnswer {
        let Some(incarnation) = self.incarnation else {
            return StartAnswer::NotBegun;
        };
        if !self.has_lock() {
            return StartAnswer::LeftoversAlive;
        }
        let (answer, end) = self.instances.start(&self.household, &incarnation, spec);
        if let Some(end) = end {
            self.link.send(&end);
        }
        answer
    }

    /// Takes the lock, if nobody else has it.
    fn has_lock(&mut self) -> bool {
        self.lock.try_take().unwrap_or_else(|error| {
            super::complain(format_args!("guardian.lock cannot be taken: {error}"));
            false
        })
    }

    /// Begins to kill everything when the node is gone, and the jobs when its lease is.
    fn decide_purge(&mut self, now: BootTime) -> io::Result<()> {
        if self.link.is_closed() {
            self.start_purge(Reason::NodeGone);
        } else if self.lock.is_held() && !self.lease.permits(now) && !self.jobs_are_gone()? {
            self.start_purge(Reason::LeaseOver);
        }
        Ok(())
    }

    /// Whether no job is left, and nothing that may be of one.
    fn jobs_are_gone(&self) -> io::Result<bool> {
        if self.register.running().next().is_some() {
            return Ok(false);
        }
        let orphans = self.orphans()?;
        if orphans.is_empty() {
            return Ok(true);
        }
        let families = self.instances.families(&processes::all()?);
        let is_dead = |pid: &Pid| processes::look(*pid).is_none_or(|process| process.zombie);
        Ok(orphans
            .iter()
            .all(|orphan| is_dead(orphan) || families.values().any(|family| family.contains(orphan))))
    }

    /// Kills every process now; [`Guardian::sweep`] looks for what is left until nothing is. A weightier reason
    /// takes the place of a lesser one.
    fn start_purge(&mut self, reason: Reason) {
        if self.purge.is_some_and(|purge| purge.reason >= reason) {
            return;
        }
        if reason > Reason::LeaseOver {
            self.incarnation = None;
        }
        for (_, child) in self.register.all_running_mut() {
            child.kill(Cut::LeaseOver);
        }
        self.purge = Some(Purge { reason, next_sweep: BootTime(0) });
    }

    /// Takes the ends of processes, and of orphans this process adopted.
    fn reap(&mut self, now: BootTime, buffer: &mut [u8]) -> io::Result<()> {
        for (_, child) in self.register.all_running_mut() {
            if child.reap(now)? {
                // What it wrote last is in the pipes already.
                for pipe in [Pipe::Stdout, Pipe::Stderr, Pipe::Failures] {
                    child.attend(pipe, buffer);
                }
            }
        }
        for end in self.instances.reap(buffer)? {
            self.link.send(&end);
        }
        for orphan in self.orphans()? {
            // Reaped if it has ended; a status nix has no name for is as good as any.
            let _ = waitpid(orphan, Some(WaitPidFlag::WNOHANG));
        }
        Ok(())
    }

    /// Reports the processes that have ended, once nothing they left is alive.
    fn settle_ended(&mut self, now: BootTime) -> io::Result<()> {
        if !self.register.running().any(|(_, child)| child.has_exited()) {
            return Ok(());
        }
        let orphans = self.orphans()?;
        let mut settled = Vec::new();
        for (key, child) in self.register.all_running_mut().filter(|(_, child)| child.has_exited()) {
            // Their ends are reaped, and their own children adopted, at the next turn.
            let alone = !child.kill_left(&key.to_string(), &orphans);
            if (alone && child.is_drained()) || child.is_overdue(now) {
                settled.push(key);
            }
        }
        for key in settled {
            if let Some(report) = self.register.end(&key).and_then(Child::into_report) {
                self.link.send(&ToNode::Ended { key, report });
            }
        }
        Ok(())
    }

    /// Kills, while everything is to be killed, what is left of it. Every descendant is found: whoever loses its
    /// parent becomes a child of this process. Instances are spared when only the lease is over.
    fn sweep(&mut self, now: BootTime) -> io::Result<()> {
        for answer in self.instances.sweep(now)? {
            self.link.send(&answer);
        }
        let Some(purge) = &mut self.purge else { return Ok(()) };
        if purge.next_sweep > now {
            return Ok(());
        }
        purge.next_sweep = now.after(SWEEP_EVERY);
        let spares_instances = purge.reason == Reason::LeaseOver;
        let all = processes::all()?;
        let mut condemned = processes::descendants(Pid::this(), &all);
        if spares_instances {
            let families = self.instances.families(&all);
            condemned.retain(|pid| !families.values().any(|family| family.contains(pid)));
        }
        processes::kill_all(&condemned);
        Ok(())
    }

    /// Gives the lock back when nothing is left, and ends a purge when nothing of what was to be killed is.
    fn settle_purge(&mut self) -> io::Result<()> {
        if self.lock.is_held() || self.purge.is_some() {
            let is_alone = has_no_children();
            if is_alone {
                self.lock.release()?;
            }
            let spares_instances = self.purge.is_some_and(|purge| purge.reason == Reason::LeaseOver);
            if is_alone || (spares_instances && self.jobs_are_gone()?) {
                self.finish_purge();
            }
        }
        Ok(())
    }

    fn finish_purge(&mut self) {
        match self.purge.take().map(|purge| purge.reason) {
            Some(Reason::Begin { id, incarnation }) => {
                self.register = Register::default();
                self.clear_instances();
                self.incarnation = Some(incarnation);
                self.link.send(&ToNode::Begun { id });
            }
            Some(Reason::NodeGone) => self.clear_instances(),
            Some(Reason::LeaseOver) | None => {}
        }
    }

    fn clear_instances(&mut self) {
        for answer in self.instances.clear() {
            self.link.send(&answer);
        }
    }

    /// The children this process did not start itself.
    fn orphans(&self) -> io::Result<Vec<Pid>> {
        let mut children = processes::own_children()?;
        let mains = self.instances.mains();
        children.retain(|pid| {
            !mains.contains(pid) && self.register.running().all(|(_, child)| child.pid() != *pid)
        });
        Ok(children)
    }
}

/// Whether nothing is left to wait for, orphans included.
fn has_no_children() -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::All, flags) == Err(Errno::ECHILD)
}
