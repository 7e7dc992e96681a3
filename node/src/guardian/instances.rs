//! All instances of a node, beside its jobs: not bound to their lease, and ended one by one.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::BorrowedFd,
    time::Duration,
};

use capstan_model::{ids::Incarnation, lrp::isolation::Unlimited};
use nix::unistd::Pid;

use super::{
    cgroup::{self, Cgroups},
    child,
    clock::BootTime,
    complain,
    household::Household,
    instance::{Instance, Slot},
    instance_spec::{InstanceEnd, InstanceId, InstanceProcess, InstanceSignal, InstanceSpec, Said},
    kinship::{Families, Kinship},
    output::Captured,
    processes::{self, Process},
    protocol::{End, QuestionId, Stage, StartAnswer, StartFailure, StartStep, ToNode},
    recorder::Recorder,
};

/// How often what is to end is looked for again while some is left.
const SWEEP_EVERY: Duration = Duration::from_millis(20);

/// The instances, and what they share.
#[derive(Debug)]
pub(crate) struct Instances {
    all: BTreeMap<InstanceId, Instance>,
    recorder: Recorder,
    cgroups: Cgroups,
    next_sweep: BootTime,
}

impl Instances {
    /// None yet.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub(crate) fn new(household: &Household) -> io::Result<Self> {
        Ok(Self {
            all: BTreeMap::new(),
            recorder: Recorder::start()?,
            cgroups: Cgroups::new(cgroup::name_of(&household.directory_mark)),
            next_sweep: BootTime(0),
        })
    }

    /// Starts a process, or says why not. One that cannot be made has ended: the end is to be reported before the answer.
    pub(crate) fn start(
        &mut self,
        household: &Household,
        incarnation: &Incarnation,
        spec: InstanceSpec,
    ) -> (StartAnswer, Option<ToNode>) {
        let process = spec.process;
        if let Some(instance) = self.all.get(&process.instance)
            && !instance.is_vacant(process.number)
        {
            let runs = instance.is_running(process.number);
            let answer = if runs { StartAnswer::Registered(Stage::Running) } else { StartAnswer::Settled };
            return (answer, None);
        }
        match self.try_start(household, incarnation, spec) {
            Ok(()) => (StartAnswer::Started, None),
            Err((step, error)) => (StartAnswer::Started, Some(unmade(process, step, &error))),
        }
    }

    fn try_start(
        &mut self,
        household: &Household,
        incarnation: &Incarnation,
        spec: InstanceSpec,
    ) -> Result<(), (StartStep, io::Error)> {
        let id = spec.process.instance;
        if !self.all.contains_key(&id) {
            let cgroup = self.cgroups.make(&id.to_string(), &spec.resources);
            self.all.insert(id, Instance::new(cgroup.map_err(|error| (StartStep::Limits, error))?));
        }
        let instance = self.all.get_mut(&id).expect("it was just put there");
        let made = instance.make(household, incarnation, spec, &mut self.recorder);
        let main = made.map_err(|error| (StartStep::Spawn, error))?;
        self.note_session(main.pid);
        self.all.get_mut(&id).expect("it was just there").enter(main);
        Ok(())
    }

    /// The limits that are not set on this machine.
    pub(crate) fn unlimited(&self) -> Vec<Unlimited> {
        self.cgroups.unlimited()
    }

    /// Signals a process.
    pub(crate) fn signal(&self, process: InstanceProcess, signal: InstanceSignal) {
        if let Some(instance) = self.all.get(&process.instance) {
            instance.signal(process.number, signal);
        }
    }

    /// Adds lines to an output.
    pub(crate) fn say(&self, said: Said) {
        self.recorder.say(said);
    }

    /// Begins to end an instance. Returns the answer where there is none.
    pub(crate) fn end(&mut self, id: InstanceId, question: QuestionId) -> Option<ToNode> {
        match self.all.get_mut(&id) {
            Some(instance) => {
                instance.end(question);
                self.next_sweep = BootTime(0);
                None
            }
            None => Some(ToNode::InstanceGone { id: question }),
        }
    }

    /// The open pipes.
    pub(crate) fn pipes(&self) -> impl Iterator<Item = (InstanceId, Slot, BorrowedFd<'_>)> {
        self.all.iter().flat_map(|(id, instance)| instance.pipes().map(|(slot, pipe)| (*id, slot, pipe)))
    }

    /// Reads what is in a pipe without waiting.
    pub(crate) fn attend(&mut self, id: InstanceId, slot: Slot, buffer: &mut [u8]) {
        if let Some(instance) = self.all.get_mut(&id) {
            instance.attend(slot, buffer);
        }
    }

    /// The ends of processes that have ended since the last call.
    ///
    /// # Errors
    /// A status cannot be taken.
    pub(crate) fn reap(&mut self, buffer: &mut [u8]) -> io::Result<Vec<ToNode>> {
        let mut ends = Vec::new();
        for (id, instance) in &mut self.all {
            for (number, end) in instance.reap(buffer)? {
                ends.push(ToNode::EndedInInstance {
                    process: InstanceProcess { instance: *id, number },
                    end,
                });
            }
        }
        Ok(ends)
    }

    /// Kills what is left of the instances that are to end, and tells of those of which nothing is.
    ///
    /// # Errors
    /// The processes of this machine cannot be listed.
    pub(crate) fn sweep(&mut self, now: BootTime) -> io::Result<Vec<ToNode>> {
        if self.due_at().is_none_or(|due| now < due) {
            return Ok(Vec::new());
        }
        self.next_sweep = now.after(SWEEP_EVERY);
        let families = self.families(&processes::all()?);
        let (mut gone, nobody) = (Vec::new(), BTreeSet::new());
        for (id, instance) in self.all.iter_mut().filter(|(_, instance)| instance.is_ending()) {
            if instance.sweep(families.get(id).unwrap_or(&nobody)) {
                gone.push(*id);
            }
        }
        let mut answers = Vec::new();
        for id in gone {
            let instance = self.all.remove(&id).expect("it was just found");
            answers.extend(instance.close(&self.recorder).into_iter().map(|id| ToNode::InstanceGone { id }));
        }
        Ok(answers)
    }

    /// When [`Instances::sweep`] has something to do.
    pub(crate) fn due_at(&self) -> Option<BootTime> {
        self.all.values().any(Instance::is_ending).then_some(self.next_sweep)
    }

    /// The processes that the guardian started for instances; only [`Instances::reap`] may take their ends.
    pub(crate) fn mains(&self) -> BTreeSet<Pid> {
        self.all.values().flat_map(Instance::mains).collect()
    }

    /// The living processes of every instance, among all of the machine.
    pub(crate) fn families(&self, all: &[Process]) -> Families {
        let mut kinship = Kinship::default();
        for (id, instance) in &self.all {
            kinship.add(*id, instance.known(), instance.sessions());
        }
        kinship.families(Pid::this(), all)
    }

    /// A process has begun a session of its own. Whatever had one of this number before has ended: numbers are not given
    /// out again while a session has them.
    pub(crate) fn note_session(&mut self, session: Pid) {
        self.all.values_mut().for_each(|instance| instance.forget_session(session));
    }

    /// Forgets all instances, of which nothing runs any more; returns what is to be answered.
    pub(crate) fn clear(&mut self) -> Vec<ToNode> {
        let all = std::mem::take(&mut self.all).into_values();
        let asked_by: Vec<QuestionId> = all.flat_map(|instance| instance.close(&self.recorder)).collect();
        asked_by.into_iter().map(|id| ToNode::InstanceGone { id }).collect()
    }
}

/// The report for a process that could not even be made.
fn unmade(process: InstanceProcess, step: StartStep, error: &io::Error) -> ToNode {
    complain(format_args!("a process of instance {} cannot be made: {error}", process.instance));
    let failure = StartFailure { step, errno: child::errno_of(error) };
    let end = InstanceEnd { end: End::NotStarted(failure), out_of_memory: false, held: Captured::default() };
    ToNode::EndedInInstance { process, end }
}
