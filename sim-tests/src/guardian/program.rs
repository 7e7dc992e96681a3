//! The programs there are on simulated machines.

use std::time::Duration;

use capstan_model::workflow::json::{JsonMap, JsonText};
use capstan_node::{
    executor::{ProcessKey, StartSpec},
    guardian::protocol::{End, StartFailure, StartStep},
};
use xxhash_rust::xxh3::xxh3_64;

/// The error number of a program that does not exist.
const ENOENT: i32 = 2;

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
    /// What it hands on to the jobs after it.
    pub(super) job_data: JsonMap,
}

/// Foresees a process. `work MS FAILS …` runs so many milliseconds and exits with 1 in its first so many tries, with 0 in later ones;
/// `deaf MS FAILS …` also ignores SIGTERM; `moody MS FAILS …` exits with 1 in about one of six tries, and in so many more. Other
/// programs do not exist. Each hands on a value of its job's own, and one that all jobs of a request have in common.
pub(super) fn course(spec: &StartSpec) -> Result<Course, StartFailure> {
    let number = |at: usize| spec.args.get(at).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let is_deaf = match &*spec.program {
        "work" | "moody" => false,
        "deaf" => true,
        _ => return Err(StartFailure { step: StartStep::Exec, errno: ENOENT }),
    };
    let try_no = match spec.key {
        ProcessKey::Try(key) => u64::from(key.try_no.0),
        ProcessKey::Call(_) => 1,
    };
    Ok(Course {
        runs: Duration::from_millis(number(0)),
        end: End::Exited(i32::from(if spec.program == "moody" {
            xxh3_64(format!("{:?}", spec.key).as_bytes()) % 6 <= number(1)
        } else {
            try_no <= number(1)
        })),
        is_deaf,
        stdout: format!("{} {}, try {try_no}\n", spec.program, spec.args.join(" ")),
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
