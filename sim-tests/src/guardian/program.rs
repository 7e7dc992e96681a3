//! The programs there are on simulated machines.

use std::time::Duration;

use capstan_model::workflow::json::{JsonMap, JsonText};
use capstan_node::{
    executor::{ProcessKey, StartSpec},
    guardian::{
        output::STREAM_BYTES_MAX,
        protocol::{End, StartFailure, StartStep},
    },
    instance::driver::{Keep, Process, ProcessEnd},
};
use rand::{RngExt, rngs::SmallRng};
use xxhash_rust::xxh3::xxh3_64;

/// The error number of a program that does not exist.
const ENOENT: i32 = 2;
/// The error number of a program that must not be executed.
const EACCES: i32 = 13;
/// The error numbers of a machine on which there is no room for another process.
const NO_ROOM: [i32; 2] = [11, 12];
/// The exit status of a shell whose command was killed.
const EXIT_KILLED: i32 = 137;
/// How much a program writes that floods, in bytes.
const FLOOD: u64 = 1 << 30;
/// How long what a daemon leaves behind takes to be found and killed.
const LINGERS: Duration = Duration::from_millis(250);

/// What a process will do when nobody interferes.
pub(super) struct Course {
    /// How long it runs.
    pub(super) runs: Duration,
    /// How it ends then.
    pub(super) end: End,
    /// Whether it ignores SIGTERM.
    pub(super) is_deaf: bool,
    /// What it writes to its standard output.
    pub(super) stdout: String,
    /// How many bytes it writes before those.
    pub(super) flooded: u64,
    /// How long something that it has started outlives it.
    pub(super) lingers: Duration,
    /// What it hands on to the jobs after it.
    pub(super) job_data: JsonMap,
}

/// Why a process cannot be made that is one too many.
pub(super) fn not_made(rng: &mut SmallRng) -> StartFailure {
    StartFailure { step: StartStep::Spawn, errno: NO_ROOM[rng.random_range(0..NO_ROOM.len())] }
}

/// Foresees a process. `work MS FAILS …` runs so many milliseconds and exits with 1 in its first so many tries, with 0 in later ones;
/// `deaf MS FAILS …` also ignores SIGTERM; `moody MS FAILS …` exits with 1 in about one of six tries, and in so many more; `killed` exits with
/// 137 where others do with 1; `flood` writes a gigabyte; `daemon` leaves a process behind, which the guardian kills before it reports.
/// `forbidden` must not be executed, and other programs do not exist. Each hands on a value of its job's own, and one that all jobs of a request
/// have in common.
pub(super) fn course(spec: &StartSpec) -> Result<Course, StartFailure> {
    let number = |at: usize| spec.args.get(at).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let is_deaf = match &*spec.program {
        "work" | "moody" | "killed" | "flood" | "daemon" => false,
        "deaf" => true,
        "forbidden" => return Err(StartFailure { step: StartStep::Exec, errno: EACCES }),
        _ => return Err(StartFailure { step: StartStep::Exec, errno: ENOENT }),
    };
    let try_no = match spec.key {
        ProcessKey::Try(key) => u64::from(key.try_no.0),
        ProcessKey::Call(_) => 1,
    };
    let fails = match &*spec.program {
        "moody" => xxh3_64(format!("{:?}", spec.key).as_bytes()) % 6 <= number(1),
        _ => try_no <= number(1),
    };
    let floods = spec.program == "flood";
    let line = format!("{} {}, try {try_no}\n", spec.program, spec.args.join(" "));
    Ok(Course {
        runs: Duration::from_millis(number(0)),
        end: End::Exited(match fails {
            true if spec.program == "killed" => EXIT_KILLED,
            fails => i32::from(fails),
        }),
        is_deaf,
        stdout: if floods { line.repeat(STREAM_BYTES_MAX / line.len()) } else { line },
        flooded: if floods { FLOOD } else { 0 },
        lingers: if spec.program == "daemon" { LINGERS } else { Duration::ZERO },
        job_data: match spec.key {
            ProcessKey::Try(key) => {
                let names = [format!("of-{}", key.job), "newest".to_owned()];
                let value = JsonText::string(&format!("{} {try_no}", key.job));
                names.into_iter().map(|name| (name.into(), value.clone())).collect()
            }
            ProcessKey::Call(_) => JsonMap::new(),
        },
    })
}

/// What a process of an instance or a task will do when nobody interferes.
pub(super) struct UnitCourse {
    /// How long it runs.
    pub(super) runs: Duration,
    /// How it ends then.
    pub(super) end: ProcessEnd,
    /// Whether it ignores SIGTERM.
    pub(super) is_deaf: bool,
    /// Whether it only looks at another one of its instance.
    pub(super) is_check: bool,
}

/// Longer than any run.
const FOR_EVER: Duration = Duration::from_secs(100_000_000);
/// How long a check takes, and whatever ends at once.
const AT_ONCE: Duration = Duration::from_millis(5);

/// Foresees a process of an instance or a task, which has been `checked` so often. `serve` runs until it is told to end, and `stubborn` until it
/// is killed; `crashy MS` does in about one of two instances, and exits with 1 after at most so long in the others; `quits` exits with 0 at once; `work MS
/// STATUS` runs so long and exits so, `deaf` likewise, but ignores SIGTERM. `check LATE SICK` fails so often before it succeeds, and fails again
/// from its so many-th success on, unless that is zero. `head` writes what a result file holds. Other programs do not exist.
pub(super) fn unit_course(process: &Process, driven: u128, checked: u32) -> UnitCourse {
    let number = |at: usize| process.args.get(at).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let draw = xxh3_64(&driven.to_le_bytes());
    let exited = |status| {
        let is_held = process.keep == Keep::Held && &*process.path == "head";
        let held = if is_held { b"the result".to_vec() } else { Vec::new() };
        ProcessEnd::Exited { status, out_of_memory: false, held }
    };
    let is_sick = {
        let (late, sick, checked) = (number(0), number(1), u64::from(checked));
        checked < late || (sick > 0 && checked - late >= sick)
    };
    let millis = Duration::from_millis;
    let (runs, end) = match &*process.path {
        "serve" | "stubborn" => (FOR_EVER, exited(0)),
        "crashy" if draw.is_multiple_of(2) => (FOR_EVER, exited(0)),
        "crashy" => (millis(draw % number(0).max(1)), exited(1)),
        "quits" | "head" => (AT_ONCE, exited(0)),
        "work" | "deaf" => (millis(number(0)), exited(i32::try_from(number(1)).unwrap_or(1))),
        "check" => (AT_ONCE, exited(i32::from(is_sick))),
        _ => (Duration::ZERO, ProcessEnd::Failed("no such program".to_owned())),
    };
    let is_deaf = matches!(&*process.path, "stubborn" | "deaf");
    UnitCourse { runs, end, is_deaf, is_check: &*process.path == "check" }
}
