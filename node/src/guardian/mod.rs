//! The guardian: the process that starts all others, drains them, and ends them when their node may no longer run
//! them.
//!
//! A node starts one, of the same program, before its runtime ([`Guardian::launch`]); they talk over a socket pair
//! ([`protocol`]). One thread does all of it, without runtime or database, so that it keeps its word when the node is slow,
//! stopped or dead; a second one only writes what instances say (`recorder.rs`), so that the first never waits for a disk:
//!
//! * a key is started at most once in an incarnation (`register.rs`);
//! * when the node's lease ends (`lease.rs`) or its socket closes, every process gets SIGKILL, with its group and
//!   all its descendants: the guardian is their subreaper, so each of them is below it in the process tree;
//! * a process that ends is reported when nothing it left is alive and all it wrote is read (`child.rs`), of which
//!   the last 64 KiB per stream are kept (`output.rs`);
//! * instances of long-running processes (`instances.rs`) are not bound to the lease, and what their processes leave lives
//!   on until the instance is ended; their limits are control groups, where the machine allows that (`cgroup.rs`), and their networks
//!   those that the node has made for them.
//!
//! When the guardian itself dies its direct children die with it (PDEATHSIG, set by `capstan __exec`, [`exec`]), the
//! node ends what is left ([`clear_leftovers`]) and exits, and its next life looks again before it says anything.
//!
//! What is not covered: a process that leaves its parents and empties its environment while the guardian is killed.

mod cgroup;
mod child;
mod clock;
mod environment;
mod event_loop;
pub mod exec;
pub mod frame;
mod household;
mod instance;
pub mod instance_spec;
mod instances;
mod key;
mod kinship;
mod launch;
pub mod lease;
mod leftovers;
mod link;
mod lock;
pub mod output;
mod processes;
pub mod protocol;
mod recorder;
pub mod register;
pub mod scratch;
mod signals;
mod stream;

use std::{
    ffi::OsString,
    fmt, fs,
    io::{self, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    path::PathBuf,
    process::ExitCode,
};

use nix::{
    sys::{
        prctl,
        resource::{Resource, setrlimit},
    },
    unistd::close,
};

pub(crate) use self::leftovers::kill_marked;
pub use self::{
    clock::BootTime,
    key::{ProcessKey, TryKey},
    launch::Guardian,
    leftovers::{Cleared, clear_leftovers},
};
use self::{household::Household, link::Link, lock::Lock};

/// The exit code of a guardian that could not do its work.
const FAILED: u8 = 70;
/// The exit code for a call by anyone but a node.
const USAGE: u8 = 64;

/// Runs `capstan __guardian DATA`, with the arguments behind `__guardian` and the node's socket as standard input.
/// Returns when the node is gone and nothing it started is left.
pub fn main_guardian(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(data), None) = (args.next(), args.next()) else {
        complain(format_args!("capstan __guardian is for capstan's own use"));
        return ExitCode::from(USAGE);
    };
    match guard(data.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("{error}"));
            ExitCode::from(FAILED)
        }
    }
}

fn guard(data: PathBuf) -> io::Result<()> {
    close_inherited()?;
    signals::deaf().thread_block()?;
    signals::child_ended().thread_block()?;
    // Executed by way of /proc/self/exe it would be listed as "exe".
    prctl::set_name(c"capstan-guard")?;
    prctl::set_child_subreaper(true)?;
    let household = Household::of(&data)?;
    // Four descriptors a process; the programs themselves get the limits this process had.
    setrlimit(Resource::RLIMIT_NOFILE, household.open_files.1, household.open_files.1)?;
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let lock = Lock::open(&data)?;
    event_loop::Guardian::new(household, Link::new(socket)?, lock)?.run()
}

/// Closes what whoever started the node left open, beside the standard three: it is none of the jobs' business.
fn close_inherited() -> io::Result<()> {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // The one the folder was read through is closed already.
        let _ = close(descriptor);
    }
    Ok(())
}

/// Writes a line where the node's own log goes, if anybody still reads it.
fn complain(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "capstan guardian: {what}");
}
