//! The programs there are on simulated machines.

use std::time::Duration;

use capstan_model::workflow::json::{JsonMap, JsonText};
use capstan_node::{
    executor::{ProcessKey, StartSpec},
    guardian::{
        output::STREAM_BYTES_MAX,
        protocol::{End, StartFailure, StartStep},
    },
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
