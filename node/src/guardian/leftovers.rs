//! Ends what an earlier life of this node left running.
//!
//! A guardian kills everything when its node is gone. What remains is the case that the guardian itself was killed
//! or is stopped: then its processes are known by their environment. A process that left its parents *and* emptied
//! its environment is not found this way; only the control group of an instance holds it.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::unistd::Pid;

use super::{
    cgroup, environment,
    lock::Lock,
    processes::{self, Process},
    scratch,
};

/// How long an earlier guardian is given to end its processes itself: it needs a second.
const GUARDIAN_WAIT: Duration = Duration::from_secs(3);
/// How long killed processes may take to be gone; one that waits for a dead disk takes longer.
const DEATH_WAIT: Duration = Duration::from_secs(5);
/// How often is looked again.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What was found and ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleared {
    /// How many processes were killed here, an earlier guardian included.
    pub killed: usize,
    /// Whether an earlier guardian was still at work.
    pub waited: bool,
}

/// Ends everything that earlier lives of the node with this data directory left, and removes its scratch folders.
/// Blocks for up to eight seconds, usually not at all.
///
/// The caller holds the data directory for itself (its database's lock): otherwise this would end a living node's
/// processes. The caller's own guardian, which has started nothing yet, is spared.
///
/// # Errors
/// The directory cannot be used, or a process did not end: then nothing may be started yet.
pub fn clear_leftovers(data: &Path) -> io::Result<Cleared> {
    let mut lock = Lock::open(data)?;
    let waited = !lock.try_take()?;
    if waited {
        until(GUARDIAN_WAIT, || lock.try_take())?;
    }
    let killed = kill_marked(data)?;
    if !until(DEATH_WAIT, || lock.try_take())? {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "an earlier guardian still holds its lock"));
    }
    lock.release()?;
    match fs::remove_dir_all(scratch::root(data)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(Cleared { killed, waited }),
    }
}

/// Kills every process that carries the mark of this data directory or is in a control group of its instances, the
/// caller's own guardian excepted, and waits until they are gone. Returns how many there were.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] names those that did not end.
pub(crate) fn kill_marked(data: &Path) -> io::Result<usize> {
    let mark = environment::directory_mark(data)?;
    let group = cgroup::name_of(&mark);
    let mut killed = BTreeSet::new();
    let mut left = Vec::new();
    let gone = until(DEATH_WAIT, || {
        left = marked(&mark)?;
        left.extend(cgroup::left_members(&group));
        processes::kill_all(&left);
        killed.extend(left.iter().copied());
        Ok(left.is_empty())
    })?;
    if gone {
        cgroup::remove_left(&group);
        return Ok(killed.len());
    }
    let names: Vec<String> = left.iter().map(|pid| format!("{pid} ({})", processes::name(*pid))).collect();
    let message = format!("processes of an earlier life did not end: {}", names.join(", "));
    Err(io::Error::new(io::ErrorKind::TimedOut, message))
}

fn marked(mark: &OsStr) -> io::Result<Vec<Pid>> {
    let me = Pid::this();
    let is_own_guardian = |process: &Process| {
        process.parent == me
            && processes::variable(process.pid, environment::GUARDIAN_OF)
                .is_some_and(|node| node == *me.to_string())
    };
    let belongs = |process: &Process| {
        process.pid != me
            && !process.zombie
            && processes::variable(process.pid, environment::DIRECTORY).is_some_and(|value| value == mark)
            && !is_own_guardian(process)
    };
    Ok(processes::all()?.into_iter().filter(belongs).map(|process| process.pid).collect())
}

/// Looks until `done` or `wait` is over; whether it was done.
fn until(wait: Duration, mut done: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
    let started = Instant::now();
    loop {
        if done()? {
            return Ok(true);
        }
        if started.elapsed() >= wait {
            return Ok(false);
        }
        thread::sleep(LOOK_EVERY);
    }
}
