//! Control groups that limit instances, where the machine lets the guardian make them.
//!
//! Version 2 needs a group of its own with nobody else in it (`Delegate=yes` of a systemd unit), or to be in the root group;
//! version 1 needs folders it may write below its own `memory` and `cpu` groups. Anywhere else there are no limits,
//! which the node asks for and says.

use std::{
    cell::OnceCell,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use capstan_model::lrp::isolation::{Limit, Unlimited};
use nix::unistd::Pid;

use super::instance_spec::Resources;

/// Where the kernel shows control groups.
const MOUNT: &str = "/sys/fs/cgroup";
/// What version 1 gives a group that asks for nothing; a weight of 100 is as much.
const SHARES_USUAL: u64 = 1024;

/// Makes groups. What it makes them in is looked for when the first is wanted, and removed with this.
#[derive(Debug)]
pub(crate) struct Cgroups {
    name: String,
    place: OnceCell<Place>,
}

/// Where groups can be made.
#[derive(Debug)]
enum Place {
    /// Below this folder.
    V2(PathBuf),
    /// Below each of these.
    V1 {
        /// Of the memory controller.
        memory: PathBuf,
        /// Of the processor's, or why there is none.
        cpu: Result<PathBuf, String>,
    },
    /// None can be made, and why.
    None(String),
}

/// The group of one instance.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folders: Vec<PathBuf>,
    /// The file that counts the processes ended for want of memory.
    events: PathBuf,
}

impl Cgroups {
    /// `name` tells the nodes of one machine apart.
    pub(crate) fn new(name: String) -> Self {
        Self { name, place: OnceCell::new() }
    }

    /// Makes the group of an instance; `None` where none can be made.
    ///
    /// # Errors
    /// A limit cannot be set: the instance must not run without it.
    pub(crate) fn make(&self, instance: &str, resources: &Resources) -> io::Result<Option<Cgroup>> {
        let place = self.place();
        let folders: Vec<PathBuf> = place.bases().iter().map(|base| base.join(instance)).collect();
        for folder in &folders {
            fs::create_dir_all(folder)?;
        }
        let events = match place {
            Place::None(_) => return Ok(None),
            Place::V2(base) => limit_v2(&base.join(instance), resources)?,
            Place::V1 { memory, cpu } => {
                let cpu = cpu.as_ref().ok().map(|base| base.join(instance));
                limit_v1(&memory.join(instance), cpu.as_deref(), resources)?
            }
        };
        Ok(Some(Cgroup { folders, events }))
    }

    /// The limits that are set for no group, because they cannot be.
    pub(crate) fn unlimited(&self) -> Vec<Unlimited> {
        let of = |limit, reason: &String| Unlimited { limit, reason: reason.as_str().into() };
        match self.place() {
            Place::V2(_) | Place::V1 { cpu: Ok(_), .. } => Vec::new(),
            Place::V1 { cpu: Err(reason), .. } => vec![of(Limit::Cpu, reason)],
            Place::None(reason) => [Limit::Memory, Limit::Cpu].map(|limit| of(limit, reason)).to_vec(),
        }
    }

    fn place(&self) -> &Place {
        self.place.get_or_init(|| Place::find(&self.name))
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for base in self.place.get().map(Place::bases).unwrap_or_default() {
            // One that is not yet empty is found again by the next life.
            let _ = fs::remove_dir(base);
        }
    }
}

impl Place {
    /// Looks at what this machine allows. Groups that an earlier life left, by now empty, are removed.
    fn find(name: &str) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let found = if Path::new(MOUNT).join("cgroup.controllers").exists() {
            own_group(&own, "").and_then(|own| v2_base(&own, name)).map(Self::V2)
        } else {
            let memory = v1_base(&own, "memory", name);
            let cpu = || v1_base(&own, "cpu", name).map_err(|error| error.to_string());
            memory.map(|memory| Self::V1 { memory, cpu: cpu() })
        };
        let found = found.unwrap_or_else(|error| Self::None(error.to_string()));
        found.bases().into_iter().for_each(remove_empty);
        found
    }

    fn bases(&self) -> Vec<&Path> {
        match self {
            Self::V2(base) => vec![base],
            Self::V1 { memory, cpu } => {
                [Some(memory), cpu.as_ref().ok()].into_iter().flatten().map(|base| &**base).collect()
            }
            Self::None(_) => Vec::new(),
        }
    }
}

/// What the groups of the node with this directory mark are called: no other node of the machine uses it.
pub(crate) fn name_of(directory_mark: &OsStr) -> String {
    format!("capstan-{:016x}", xxhash_rust::xxh3::xxh3_64(directory_mark.as_encoded_bytes()))
}

/// The processes in groups that an earlier life left under `name`.
pub(crate) fn left_members(name: &str) -> Vec<Pid> {
    bases_there(name)
        .iter()
        .flat_map(|base| folders_in(base))
        .flat_map(|folder| members_of(&folder))
        .collect()
}

/// Removes the groups that an earlier life left under `name`, and in which nobody is.
pub(crate) fn remove_left(name: &str) {
    for base in bases_there(name) {
        remove_empty(&base);
        // One that is not yet empty is found again.
        let _ = fs::remove_dir(base);
    }
}

impl Cgroup {
    /// The files to which a process writes `0` to be in the group, before it becomes another user.
    pub(crate) fn doors(&self) -> Vec<PathBuf> {
        self.folders.iter().map(|folder| folder.join("cgroup.procs")).collect()
    }

    /// The processes in it.
    pub(crate) fn members(&self) -> Vec<Pid> {
        self.folders.first().map(|folder| members_of(folder)).unwrap_or_default()
    }

    /// Whether the machine has ended processes in it for want of memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        fs::read_to_string(&self.events).is_ok_and(|events| oom_kills(&events) > 0)
    }

    /// Removes the group, which must be empty.
    pub(crate) fn remove(&self) {
        for folder in &self.folders {
            // One that is not yet empty is removed by the next life.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Sets the limits of a group of version 2; returns the file that counts ends for want of memory.
fn limit_v2(folder: &Path, resources: &Resources) -> io::Result<PathBuf> {
    if resources.memory_bytes > 0 {
        fs::write(folder.join("memory.max"), resources.memory_bytes.to_string())?;
        // Not every machine has swap, or counts it.
        let _ = fs::write(folder.join("memory.swap.max"), "0");
    }
    if resources.cpu_weight > 0 {
        fs::write(folder.join("cpu.weight"), resources.cpu_weight.to_string())?;
    }
    Ok(folder.join("memory.events"))
}

/// The same for the groups of version 1.
fn limit_v1(memory: &Path, cpu: Option<&Path>, resources: &Resources) -> io::Result<PathBuf> {
    if resources.memory_bytes > 0 {
        fs::write(memory.join("memory.limit_in_bytes"), resources.memory_bytes.to_string())?;
        // Not every machine has swap, or counts it.
        let _ = fs::write(memory.join("memory.memsw.limit_in_bytes"), resources.memory_bytes.to_string());
    }
    if let Some(cpu) = cpu.filter(|_| resources.cpu_weight > 0) {
        let shares = SHARES_USUAL * u64::from(resources.cpu_weight) / 100;
        fs::write(cpu.join("cpu.shares"), shares.to_string())?;
    }
    Ok(memory.join("memory.oom_control"))
}

/// The value of `oom_kill` in the events of either version.
fn oom_kills(events: &str) -> u64 {
    events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
}

/// The path of this process's group for a controller of version 1, or of version 2 where `controller` is empty.
fn own_group(own: &str, controller: &str) -> io::Result<PathBuf> {
    own.lines()
        .find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|name| name == controller).then(|| path.trim_start_matches('/').into())
        })
        .ok_or_else(|| match controller {
            "" => io::Error::other("this node is in no control group of version 2"),
            controller => io::Error::other(format!("this node is in no control group for {controller}")),
        })
}

fn v1_base(own: &str, controller: &str, name: &str) -> io::Result<PathBuf> {
    let base = Path::new(MOUNT).join(controller).join(own_group(own, controller)?).join(name);
    fs::create_dir_all(&base).map_err(about("making", &base))?;
    Ok(base)
}

/// Says what was attempted.
fn about(attempt: &str, path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{attempt} {}: {error}", path.display()))
}

/// Groups with processes of their own cannot hand on controllers, except the root: the node and its guardian move to a
/// group beside those of the instances, if they are alone in theirs.
fn v2_base(own: &Path, name: &str) -> io::Result<PathBuf> {
    let own = v2_group(own, name);
    let group = Path::new(MOUNT).join(own);
    if !own.as_os_str().is_empty() {
        let members = group.join("cgroup.procs");
        let members = fs::read_to_string(&members).map_err(about("reading", &members))?;
        let household = [Pid::this(), Pid::parent()].map(|pid| pid.to_string());
        if !members.lines().all(|pid| household.iter().any(|own| own == pid)) {
            return Err(io::Error::other("others are in the group of this node"));
        }
        let beside = group.join(beside(name));
        fs::create_dir_all(&beside).map_err(about("making", &beside))?;
        for pid in members.lines() {
            fs::write(beside.join("cgroup.procs"), pid).map_err(about("moving to", &beside))?;
        }
    }
    let base = group.join(name);
    fs::create_dir_all(&base).map_err(about("making", &base))?;
    for folder in [&group, &base] {
        let handed_on = folder.join("cgroup.subtree_control");
        fs::write(&handed_on, "+memory +cpu").map_err(about("writing", &handed_on))?;
    }
    Ok(base)
}

/// The group that holds those of a node, whose own group in version 2 may be the one beside them.
fn v2_group<'a>(own: &'a Path, name: &str) -> &'a Path {
    if own.ends_with(beside(name)) { own.parent().unwrap_or(own) } else { own }
}

/// The group of version 2 of a node itself.
fn beside(name: &str) -> String {
    format!("{name}-node")
}

/// The folders that hold the groups of a node, as far as there are any.
fn bases_there(name: &str) -> Vec<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let v1 = ["memory", "cpu"].map(|controller| {
        Some(Path::new(MOUNT).join(controller).join(own_group(&own, controller).ok()?).join(name))
    });
    let v2 = own_group(&own, "").ok().map(|own| Path::new(MOUNT).join(v2_group(&own, name)).join(name));
    v1.into_iter().chain([v2]).flatten().filter(|base| base.is_dir()).collect()
}

fn folders_in(base: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn members_of(folder: &Path) -> Vec<Pid> {
    let list = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    list.lines().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

/// Removes the groups below `base` in which nobody is.
fn remove_empty(base: &Path) {
    for folder in folders_in(base) {
        // Those with members are not removed.
        let _ = fs::remove_dir(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_limited_is_said_and_why() {
        let cgroups = |place| Cgroups { name: String::new(), place: OnceCell::from(place) };
        let unlimited = |place| {
            let told = cgroups(place).unlimited();
            told.into_iter().map(|it| format!("{}: {}", it.limit, it.reason)).collect::<Vec<_>>()
        };
        let (memory, missing) = (PathBuf::from("/nowhere/memory"), || "no group".to_owned());
        assert_eq!(unlimited(Place::V2("/nowhere".into())), [""; 0]);
        assert_eq!(unlimited(Place::V1 { memory: memory.clone(), cpu: Ok("/nowhere".into()) }), [""; 0]);
        assert_eq!(unlimited(Place::V1 { memory, cpu: Err(missing()) }), ["cpu: no group"]);
        assert_eq!(unlimited(Place::None(missing())), ["memory: no group", "cpu: no group"]);
    }

    #[test]
    fn the_own_group_is_found_in_both_versions() {
        let v1 = "9:name=systemd:/\n4:memory:/a/b\n2:cpu,cpuacct:/\n0::/\n";
        assert_eq!(own_group(v1, "memory").unwrap(), Path::new("a/b"));
        assert_eq!(own_group(v1, "cpu").unwrap(), Path::new(""));
        assert!(own_group(v1, "pids").is_err());
        assert_eq!(
            own_group("0::/system.slice/capstan.service\n", "").unwrap(),
            Path::new("system.slice/capstan.service")
        );
    }

    #[test]
    fn a_node_that_has_moved_finds_its_group_again() {
        let group = Path::new("system.slice/capstan.service");
        assert_eq!(v2_group(group, "capstan-7"), group);
        assert_eq!(v2_group(&group.join("capstan-7-node"), "capstan-7"), group);
        assert_eq!(v2_group(Path::new("capstan-8-node"), "capstan-7"), Path::new("capstan-8-node"));
    }

    #[test]
    fn ends_for_want_of_memory_are_counted_in_both_versions() {
        assert_eq!(oom_kills("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"), 2);
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"), 1);
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\n"), 0);
    }
}
