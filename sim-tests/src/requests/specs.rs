//! The specs of a run: those of `specs.yaml` and `beyond.yaml`, and two whose graphs are drawn from the seed, one of them with timeouts,
//! approvals and waits that grow.

use std::{fmt::Write, sync::Arc};

use capstan_model::spec::Specs;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// The request that is drawn with what Spin Cycle has.
pub(crate) const DRAWN: &str = "drawn";
/// The one that is drawn with what it has not.
pub(crate) const DRAWN_BEYOND: &str = "drawn-beyond";
/// What the second follows from beside the seed: it changes nothing of the first.
const BEYOND: u64 = 0xbe70;

/// The most nodes of each of its sequences, the request's own last. With the jobs that begin and end a sequence it has at most 38 jobs.
const NODES_MAX: [usize; 3] = [3, 4, 6];

/// What nodes of a simulation can be asked for.
///
/// # Panics
/// The specs are wrong.
pub(crate) fn load(seed: u64) -> Arc<Specs> {
    Arc::new(Specs::load(files(seed)).expect("the simulation's specs are right"))
}

/// Paths and texts of the files.
pub(crate) fn files(seed: u64) -> [(String, String); 4] {
    let drawn = draw(DRAWN, &mut SmallRng::seed_from_u64(seed));
    let drawn_beyond = draw(DRAWN_BEYOND, &mut SmallRng::seed_from_u64(seed ^ BEYOND));
    [
        ("specs.yaml", include_str!("specs.yaml")),
        ("beyond.yaml", include_str!("beyond.yaml")),
        ("drawn.yaml", &drawn),
        ("drawn-beyond.yaml", &drawn_beyond),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
}

/// Draws three sequences: the last is the request, and each may hold the one before it once.
fn draw(request: &str, rng: &mut SmallRng) -> String {
    let mut text = "sequences:\n".to_owned();
    let (inmost, inner) = (format!("{request}-inmost"), format!("{request}-inner"));
    let names = [inmost.as_str(), inner.as_str(), request];
    let is_beyond = request == DRAWN_BEYOND;
    for (level, (name, nodes_max)) in names.into_iter().zip(NODES_MAX).enumerate() {
        let is_request = name == request;
        let args = "args: {required: [{name: cmd, desc: Program}, {name: args, desc: Its words}]}";
        let timeout = match is_beyond && is_request && rng.random_bool(0.4) {
            true => format!("\n    timeout: {}s", rng.random_range(2..=30)),
            false => String::new(),
        };
        writeln!(text, "  {name}:\n    request: {is_request}{timeout}\n    {args}\n    nodes:")
            .expect("a String takes all");
        let count = rng.random_range(1..=nodes_max);
        let holds = (level > 0 && rng.random_bool(0.8)).then(|| rng.random_range(0..count));
        for node in 0..count {
            let is_sequence = holds == Some(node);
            let kind = match is_sequence {
                true => format!("category: sequence, type: {}", names[level - 1]),
                false if is_beyond && rng.random_bool(0.2) => "category: job, type: approval".to_owned(),
                false => "category: job, type: shell-command".to_owned(),
            };
            let timeout = match is_beyond && !is_sequence && rng.random_bool(0.4) {
                true => format!(", timeout: {}ms", rng.random_range(100..5_000)),
                false => String::new(),
            };
            let deps: Vec<String> =
                (0..node).filter(|_| rng.random_bool(0.4)).map(|dep| format!("node-{dep}")).collect();
            let (deps, retry) = (deps.join(", "), retry(is_beyond, rng));
            let args = match kind.ends_with("approval") {
                true => "args: []",
                false => "args: [{expected: cmd}, {expected: args}]",
            };
            writeln!(text, "      node-{node}: {{{kind}, {args}, deps: [{deps}]{timeout}{retry}}}")
                .expect("a String takes all");
        }
    }
    text
}

fn retry(may_grow: bool, rng: &mut SmallRng) -> String {
    let wait = match rng.random_range(0..4) {
        0 | 1 => return String::new(),
        2 => return format!(", retry: {}", rng.random_range(1..=2)),
        _ => format!(", retry: 1, retryWait: {}ms", rng.random_range(1..=600)),
    };
    if !may_grow || rng.random_bool(0.3) {
        return wait;
    }
    let wait = wait.replace("retry: 1", "retry: 3");
    let most = match rng.random_bool(0.5) {
        true => format!(", retryWaitMax: {}ms", rng.random_range(600..=1_500)),
        false => String::new(),
    };
    format!("{wait}, retryBackoff: {}.{}{most}", rng.random_range(1..=2), rng.random_range(0..10))
}
