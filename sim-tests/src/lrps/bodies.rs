//! What clients ask to be run.

use rand::{RngExt, rngs::SmallRng};
use serde_json::{Value, json};

use super::{DOMAINS, LrpLoad};

/// Marks what does not serve for good.
pub(super) const ILL: &str = "ill";
/// How likely an LRP is ill.
const ILL_ODDS: f64 = 0.3;
/// How long an ill instance serves before it exits, in milliseconds.
const CRASHES_WITHIN_MS: u64 = 8_000;
/// How long a task runs, in milliseconds.
const TASK_MS: u64 = 6_000;

/// The body that desires an LRP.
pub(super) fn lrp(rng: &mut SmallRng, guid: &str, mark: &str, instances: u32, load: &LrpLoad) -> String {
    let is_ill = rng.random_bool(ILL_ODDS);
    let (program, monitor) = if is_ill { ill(rng) } else { well(rng) };
    let (memory_mb, disk_mb) = needs(rng, load);
    let body = json!({
        "process_guid": guid,
        "domain": DOMAINS[rng.random_range(0..DOMAINS.len())],
        "rootfs": rootfs(rng),
        "instances": instances,
        "action": program,
        "monitor": monitor,
        "start_timeout": 5,
        "memory_mb": memory_mb,
        "disk_mb": disk_mb,
        "ports": (8_080..8_080 + rng.random_range(0..=2)).collect::<Vec<u16>>(),
        "log_guid": if is_ill { ILL } else { "" },
        "annotation": mark,
    });
    body.to_string()
}

/// The body that changes one.
pub(super) fn update(mark: &str, instances: u32) -> String {
    json!({ "instances": instances, "annotation": mark }).to_string()
}

/// The body that desires a task.
pub(super) fn task(rng: &mut SmallRng, guid: &str, mark: &str, load: &LrpLoad) -> String {
    let (path, status) = match rng.random_range(0..6) {
        0 => ("deaf", 0),
        1 => ("missing", 0),
        2 => ("work", 1),
        _ => ("work", 0),
    };
    let runs_ms = rng.random_range(0..TASK_MS);
    let (memory_mb, disk_mb) = needs(rng, load);
    let mut body = json!({
        "task_guid": guid,
        "domain": DOMAINS[rng.random_range(0..DOMAINS.len())],
        "rootfs": rootfs(rng),
        "action": run(path, &[runs_ms, status]),
        "result_file": if rng.random_bool(0.5) { "/tmp/result" } else { "" },
        "memory_mb": memory_mb,
        "disk_mb": disk_mb,
        "annotation": mark,
    });
    if rng.random_bool(0.4) {
        body["completion_callback_url"] = "http://owner/done".into();
    }
    body.to_string()
}

/// Serves for good, watched or not; some take a while to be healthy.
fn well(rng: &mut SmallRng) -> (Value, Value) {
    let program = run(if rng.random_bool(0.2) { "stubborn" } else { "serve" }, &[]);
    let monitor = match rng.random_range(0..4) {
        0 => run("check", &[0, 0]),
        1 => run("check", &[rng.random_range(1..=3), 0]),
        _ => Value::Null,
    };
    (program, monitor)
}

/// Crashes, never becomes healthy, or does not stay so.
fn ill(rng: &mut SmallRng) -> (Value, Value) {
    match rng.random_range(0..6) {
        0 => (run("quits", &[]), Value::Null),
        1 => (run("missing", &[]), Value::Null),
        2 => (run("serve", &[]), run("check", &[u64::from(u32::MAX), 0])),
        3 => (run("serve", &[]), run("check", &[0, rng.random_range(1..=2)])),
        _ => (run("crashy", &[rng.random_range(1..CRASHES_WITHIN_MS)]), Value::Null),
    }
}

fn run(path: &str, args: &[u64]) -> Value {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    json!({ "run": { "path": path, "args": args, "user": "vcap" } })
}

/// Up to a third of a cell.
fn needs(rng: &mut SmallRng, load: &LrpLoad) -> (u32, u32) {
    let cells = &load.cells;
    (rng.random_range(0..=cells.memory_mb / 3), rng.random_range(0..=cells.disk_mb / 6))
}

fn rootfs(rng: &mut SmallRng) -> &'static str {
    match rng.random_range(0..12) {
        0 => "preloaded:rare",
        1 => "preloaded:unknown",
        2 => "docker:///some/image",
        _ => "preloaded:sim",
    }
}
