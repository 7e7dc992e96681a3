//! Whose a process is: which of them belong to which instance.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
};

use nix::unistd::Pid;

use super::{
    environment,
    instance_spec::InstanceId,
    processes::{self, Process},
};

/// What is known of the processes of all instances before any is looked at.
#[derive(Debug, Default)]
pub(crate) struct Kinship {
    names: BTreeMap<OsString, InstanceId>,
    pids: BTreeMap<Pid, InstanceId>,
    sessions: BTreeMap<Pid, InstanceId>,
}

/// The living processes of each instance.
pub(crate) type Families = BTreeMap<InstanceId, BTreeSet<Pid>>;

impl Kinship {
    /// Adds an instance: processes that are certainly its own, and its sessions.
    pub(crate) fn add(
        &mut self,
        id: InstanceId,
        pids: impl IntoIterator<Item = Pid>,
        sessions: impl IntoIterator<Item = Pid>,
    ) {
        self.names.insert(id.to_string().into(), id);
        self.pids.extend(pids.into_iter().map(|pid| (pid, id)));
        self.sessions.extend(sessions.into_iter().map(|session| (session, id)));
    }

    /// Tells whose each process below `guardian` is, among all of the machine.
    pub(crate) fn families(&self, guardian: Pid, all: &[Process]) -> Families {
        self.sort(guardian, all, |pid| {
            // A job's processes bear another name, and that is an answer too.
            processes::variable(pid, environment::INSTANCE)
                .or_else(|| processes::variable(pid, environment::KEY))
        })
    }

    /// `name_of` looks at the environment a process was executed with. It counts before the session, whose number may have
    /// been another's; whoever has neither is as its parent.
    fn sort(&self, guardian: Pid, all: &[Process], name_of: impl Fn(Pid) -> Option<OsString>) -> Families {
        let mut children: BTreeMap<Pid, Vec<&Process>> = BTreeMap::new();
        for process in all {
            children.entry(process.parent).or_default().push(process);
        }
        let mut families = Families::new();
        let mut parents: Vec<(Pid, Option<InstanceId>)> = vec![(guardian, None)];
        while let Some((parent, of_parent)) = parents.pop() {
            for child in children.remove(&parent).unwrap_or_default() {
                let owner = match (self.pids.get(&child.pid), name_of(child.pid)) {
                    (Some(owner), _) => Some(*owner),
                    (None, Some(name)) => self.names.get(&name).copied(),
                    (None, None) => self.sessions.get(&child.session).copied().or(of_parent),
                };
                parents.push((child.pid, owner));
                if let Some(owner) = owner.filter(|_| !child.zombie) {
                    families.entry(owner).or_default().insert(child.pid);
                }
            }
        }
        families
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARDIAN: i32 = 10;
    const A: InstanceId = InstanceId(0xa);
    const B: InstanceId = InstanceId(0xb);

    fn process(pid: i32, parent: i32, session: i32) -> Process {
        let pid_of = Pid::from_raw;
        Process { pid: pid_of(pid), parent: pid_of(parent), session: pid_of(session), zombie: false }
    }

    /// A's main process is 20, B's 30, with sessions of their own; A had a session 40 before.
    fn sorted(all: &[Process], names: &[(i32, &str)]) -> Vec<(InstanceId, Vec<i32>)> {
        let mut kinship = Kinship::default();
        kinship.add(A, [Pid::from_raw(20)], [20, 40].map(Pid::from_raw));
        kinship.add(B, [Pid::from_raw(30)], [Pid::from_raw(30)]);
        let name_of = |pid: Pid| {
            let name = names.iter().find(|(named, _)| *named == pid.as_raw())?.1;
            Some(match name {
                "A" => A.to_string().into(),
                "B" => B.to_string().into(),
                other => other.into(),
            })
        };
        let families = kinship.sort(Pid::from_raw(GUARDIAN), all, name_of);
        families.into_iter().map(|(id, pids)| (id, pids.into_iter().map(Pid::as_raw).collect())).collect()
    }

    #[test]
    fn processes_belong_by_birth_name_or_session() {
        let all = [
            process(GUARDIAN, 1, 10),
            process(20, GUARDIAN, 20),
            process(21, 20, 20),
            process(22, 21, 22),
            process(23, GUARDIAN, 23),
            process(24, GUARDIAN, 40),
            process(30, GUARDIAN, 30),
            process(50, GUARDIAN, 50),
            process(51, 50, 51),
        ];
        let names = [(23, "A"), (50, "job"), (51, "job")];
        assert_eq!(sorted(&all, &names), [(A, vec![20, 21, 22, 23, 24]), (B, vec![30])]);
    }

    #[test]
    fn a_name_counts_before_a_session_that_was_anothers() {
        let all = [process(30, GUARDIAN, 30), process(40, GUARDIAN, 40), process(41, GUARDIAN, 40)];
        assert_eq!(sorted(&all, &[(40, "B"), (41, "job")]), [(B, vec![30, 40])]);
    }

    #[test]
    fn others_on_the_machine_belong_to_nobody() {
        let all = [process(40, 1, 40), process(41, 40, 40), process(42, 1, 42)];
        assert_eq!(sorted(&all, &[(42, "A")]), []);
    }

    #[test]
    fn the_dead_are_followed_and_not_counted() {
        let dead = Process { zombie: true, ..process(20, GUARDIAN, 20) };
        assert_eq!(sorted(&[dead, process(21, 20, 21)], &[]), [(A, vec![21])]);
    }
}
