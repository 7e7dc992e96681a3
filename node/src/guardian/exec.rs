//! `capstan __exec`: what stands between the guardian and a program.
//!
//! The guardian starts it with posix_spawn, which is quick whatever the size of the parent; here, in a process of
//! its own and with safe calls only, the session, signals, limits and folders are set, and then the program is
//! executed in its place. What goes wrong is written to a pipe that closes by itself once the program runs, so that
//! a program that is missing is never confused with one that exits with 127.

use std::{
    ffi::{CString, OsStr, OsString},
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::{
        fs::{DirBuilderExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, ExitCode},
};

use nix::{
    errno::Errno,
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::{SigSet, Signal},
    },
    unistd::{Pid, Uid, User, close, initgroups, setgid, setsid, setuid},
};

use super::protocol::{StartFailure, StartStep};
use crate::instance::network::namespace;

/// The exit code of a process that could not execute its program; the failure itself is told through the pipe.
const NOT_STARTED: u8 = 127;
/// The exit code for a call by anyone but a guardian.
const USAGE: u8 = 64;

/// Everything `__exec` is told, in the order of its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The guardian; without it the program must not run.
    pub(crate) guardian: i32,
    /// The descriptor of the pipe for failures.
    pub(crate) failures: i32,
    /// Soft and hard limit of open files.
    pub(crate) open_files: (u64, u64),
    /// The scratch folder to make.
    pub(crate) scratch: OsString,
    /// The working directory, relative ones below the scratch folder; the scratch folder itself when empty.
    pub(crate) directory: OsString,
    /// As whom the program runs; as the guardian itself when empty.
    pub(crate) user: OsString,
    /// The network to be in; that of the guardian when empty.
    pub(crate) network: OsString,
    /// The files of control groups to join.
    pub(crate) doors: Vec<OsString>,
    /// The program and its arguments.
    pub(crate) program: Vec<OsString>,
}

impl Plan {
    /// The arguments behind `__exec` that say this.
    pub(crate) fn to_args(&self) -> Vec<OsString> {
        let numbers = [
            self.guardian.to_string(),
            self.failures.to_string(),
            self.open_files.0.to_string(),
            self.open_files.1.to_string(),
        ];
        let names = [&self.scratch, &self.directory, &self.user, &self.network].map(Clone::clone);
        let doors = [self.doors.len().to_string().into()].into_iter().chain(self.doors.iter().cloned());
        let numbers = numbers.into_iter().map(OsString::from);
        numbers.chain(names).chain(doors).chain(self.program.iter().cloned()).collect()
    }

    fn from_args(mut args: impl Iterator<Item = OsString>) -> Option<Self> {
        fn number<N: std::str::FromStr>(arg: Option<OsString>) -> Option<N> {
            arg?.to_str()?.parse().ok()
        }
        let plan = Self {
            guardian: number(args.next())?,
            failures: number(args.next())?,
            open_files: (number(args.next())?, number(args.next())?),
            scratch: args.next()?,
            directory: args.next()?,
            user: args.next()?,
            network: args.next()?,
            doors: {
                let count: usize = number(args.next())?;
                args.by_ref().take(count).collect()
            },
            program: args.collect(),
        };
        (!plan.program.is_empty()).then_some(plan)
    }
}

/// Runs `capstan __exec` with the arguments behind that word. Returns only when the program was not executed.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(plan) = Plan::from_args(args) else {
        let _ = writeln!(io::stderr(), "capstan __exec is for capstan's own use");
        return ExitCode::from(USAGE);
    };
    // Opening the inherited descriptor anew gives one that the program will not inherit.
    let failures = OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", plan.failures));
    let failure = match (&failures, close(plan.failures)) {
        (Ok(_), Ok(())) => run(&plan),
        (Err(error), _) => failed(StartStep::Setup)(errno_of(error)),
        (Ok(_), Err(errno)) => failed(StartStep::Setup)(errno),
    };
    if let Ok(mut pipe) = failures {
        let told = postcard::to_stdvec(&failure).expect("failures are serialisable");
        // Nobody is left to tell when the guardian is gone.
        let _ = pipe.write_all(&told);
    }
    ExitCode::from(NOT_STARTED)
}

/// Reads what `__exec` wrote to its pipe; `None` when it wrote nothing, as a started program does.
pub fn read_failure(told: &[u8]) -> Option<StartFailure> {
    postcard::from_bytes(told).ok()
}

fn run(plan: &Plan) -> StartFailure {
    match prepare(plan) {
        Err(failure) => failure,
        Ok(()) => {
            let error = Command::new(&plan.program[0]).args(&plan.program[1..]).exec();
            failed(StartStep::Exec)(errno_of(&error))
        }
    }
}

fn prepare(plan: &Plan) -> Result<(), StartFailure> {
    let setup = failed(StartStep::Setup);
    setsid().map_err(&setup)?;
    for door in &plan.doors {
        fs::write(door, "0").map_err(|error| failed(StartStep::Limits)(errno_of(&error)))?;
    }
    let user = find_user(&plan.user)?;
    if !plan.network.is_empty() {
        // Before the change of user, who may not.
        namespace::enter(Path::new(&plan.network))
            .map_err(|error| failed(StartStep::Network)(errno_of(&error)))?;
    }
    let (soft, hard) = plan.open_files;
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).map_err(&setup)?;
    make_scratch(plan, user.as_ref()).map_err(|error| failed(StartStep::Scratch)(errno_of(&error)))?;
    // Before the change of user, who may not go through the folders above.
    std::env::set_current_dir(Path::new(&plan.scratch).join(&plan.directory))
        .map_err(|error| failed(StartStep::Directory)(errno_of(&error)))?;
    if let Some(user) = &user {
        become_user(user).map_err(failed(StartStep::User))?;
    }
    // After the change of user, which undoes it.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(&setup)?;
    if Pid::parent().as_raw() != plan.guardian {
        // It died before the line above took effect.
        return Err(setup(Errno::ESRCH));
    }
    // The guardian blocks signals and the program would inherit that. Last, so that a SIGTERM sent meanwhile ends
    // this process here.
    SigSet::empty().thread_set_mask().map_err(&setup)
}

/// Makes the scratch folder, which is its user's; root needs no folder of its own.
fn make_scratch(plan: &Plan, user: Option<&User>) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(&plan.scratch)?;
    if let Some(user) = user.filter(|user| !user.uid.is_root()) {
        chown(&plan.scratch, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    Ok(())
}

/// Looks a user up, by name or number; `None` when none is wanted.
fn find_user(name: &OsStr) -> Result<Option<User>, StartFailure> {
    if name.is_empty() {
        return Ok(None);
    }
    let unknown = failed(StartStep::User);
    let name = name.to_str().ok_or_else(|| unknown(Errno::ENOENT))?;
    let found = match name.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(name),
    };
    found.map_err(&unknown)?.map(Some).ok_or_else(|| unknown(Errno::ENOENT))
}

fn become_user(user: &User) -> Result<(), Errno> {
    let name = CString::new(user.name.as_str()).map_err(|_| Errno::EINVAL)?;
    initgroups(&name, user.gid)?;
    setgid(user.gid)?;
    setuid(user.uid)
}

fn failed(step: StartStep) -> impl Fn(Errno) -> StartFailure {
    move |errno| StartFailure { step, errno: errno as i32 }
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EINVAL as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_survive_as_arguments() {
        let plan = Plan {
            guardian: 7,
            failures: 9,
            open_files: (1_024, 4_096),
            scratch: "/data/jobs/call-1".into(),
            directory: OsString::new(),
            user: "vcap".into(),
            network: "/proc/7/fd/11".into(),
            doors: vec![
                "/sys/fs/cgroup/memory/x/cgroup.procs".into(),
                "/sys/fs/cgroup/cpu/x/cgroup.procs".into(),
            ],
            program: vec!["/bin/echo".into(), "--".into(), String::new().into()],
        };
        assert_eq!(Plan::from_args(plan.to_args().into_iter()), Some(plan));
    }

    #[test]
    fn calls_by_others_are_refused() {
        for args in [
            &[][..],
            &["1", "2", "3", "4", "/scratch", "", "", "", "0"],
            &["x", "2", "3", "4", "/s", "", "", "", "0", "/bin/true"],
        ] {
            assert_eq!(Plan::from_args(args.iter().map(OsString::from)), None, "{args:?}");
        }
    }
}
