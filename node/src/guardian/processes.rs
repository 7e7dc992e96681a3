//! Looks at other processes through /proc.
//!
//! All of it may be stale when it returns: whoever kills by it looks again until nothing is left.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// One line of /proc/PID/stat, as far as it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// The process.
    pub(crate) pid: Pid,
    /// Its parent.
    pub(crate) parent: Pid,
    /// Its session, which is the process id of the session's leader.
    pub(crate) session: Pid,
    /// Whether it is dead and only waits for its parent.
    pub(crate) zombie: bool,
}

/// Every process, zombies included.
pub(crate) fn all() -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw);
        found.extend(pid.and_then(look));
    }
    Ok(found)
}

/// One process, or `None` when there is none.
pub(crate) fn look(pid: Pid) -> Option<Process> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The children of the calling thread, which for a single-threaded process are all its children.
///
/// # Errors
/// The kernel does not tell and /proc cannot be listed.
pub(crate) fn own_children() -> io::Result<Vec<Pid>> {
    match fs::read_to_string("/proc/thread-self/children") {
        Ok(list) => {
            Ok(list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect())
        }
        // A kernel without CONFIG_PROC_CHILDREN.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let me = Pid::this();
            Ok(all()?.into_iter().filter(|process| process.parent == me).map(|process| process.pid).collect())
        }
        Err(error) => Err(error),
    }
}

/// The living descendants of `ancestor`, itself not included.
pub(crate) fn descendants(ancestor: Pid, processes: &[Process]) -> Vec<Pid> {
    let mut children: BTreeMap<Pid, Vec<&Process>> = BTreeMap::new();
    for process in processes {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut ancestors = vec![ancestor];
    while let Some(parent) = ancestors.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            ancestors.push(child.pid);
            if !child.zombie {
                found.push(child.pid);
            }
        }
    }
    found
}

/// Sends SIGKILL to each; those that ended meanwhile are passed over.
pub(crate) fn kill_all(pids: &[Pid]) {
    for pid in pids {
        let _ = kill(*pid, Signal::SIGKILL);
    }
}

/// The value of a variable in the environment `pid` was executed with; `None` too when it may not be read.
pub(crate) fn variable(pid: Pid, name: &str) -> Option<OsString> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment.split(|byte| *byte == 0).find_map(|assignment| {
        let value = assignment.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(OsString::from_vec(value.to_vec()))
    })
}

/// The name of a process, for messages.
pub(crate) fn name(pid: Pid) -> String {
    let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    OsStr::from_bytes(comm.trim_ascii_end()).to_string_lossy().into_owned()
}

fn parse_stat(line: &[u8]) -> Option<Process> {
    // The second field is the name in parentheses, which may hold anything, parentheses and blanks included.
    let name_end = line.iter().rposition(|byte| *byte == b')')?;
    let pid = std::str::from_utf8(&line[..line.iter().position(|byte| *byte == b' ')?]).ok()?;
    let mut fields = std::str::from_utf8(&line[name_end + 1..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?;
    let session = fields.nth(1)?;
    let as_pid = |field: &str| field.parse().ok().map(Pid::from_raw);
    Some(Process {
        pid: as_pid(pid)?,
        parent: as_pid(parent)?,
        session: as_pid(session)?,
        zombie: matches!(state, "Z" | "X"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_fields_behind_it() {
        let line = b"42 (evil) R 1 (x) Z 7 8 9 0 -1 4194304";
        let process = parse_stat(line).unwrap();
        let pid = Pid::from_raw;
        assert_eq!(process, Process { pid: pid(42), parent: pid(7), session: pid(9), zombie: true });
        assert_eq!(parse_stat(b""), None);
        assert_eq!(parse_stat(b"42 (short) R 1"), None);
    }

    #[test]
    fn descendants_are_followed_through_zombies() {
        let process = |pid, parent, zombie| Process {
            pid: Pid::from_raw(pid),
            parent: Pid::from_raw(parent),
            session: Pid::from_raw(1),
            zombie,
        };
        let processes =
            [process(1, 0, false), process(2, 1, true), process(3, 2, false), process(4, 0, false)];
        assert_eq!(descendants(Pid::from_raw(1), &processes), [Pid::from_raw(3)]);
        assert_eq!(descendants(Pid::from_raw(0), &processes).len(), 3);
    }

    #[test]
    fn this_process_is_seen() {
        let me = Pid::this();
        assert_eq!(look(me).unwrap().parent, Pid::parent());
        assert!(all().unwrap().iter().any(|process| process.pid == me));
    }
}
