//! The specs of a run: those of `specs.yaml`, and one whose graph is drawn from the seed.

use std::{fmt::Write, sync::Arc};

use capstan_model::spec::Specs;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// The request that is drawn.
pub(crate) const DRAWN: &str = "drawn";

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
pub(crate) fn files(seed: u64) -> [(String, String); 2] {
    let drawn = draw(&mut SmallRng::seed_from_u64(seed));
    [("specs.yaml", include_str!("specs.yaml").to_owned()), ("drawn.yaml", drawn)]
        .map(|(path, text)| (path.to_owned(), text))
}

/// Draws three sequences: the last is the request, and each may hold the one before it once.
fn draw(rng: &mut SmallRng) -> String {
    let mut text = "sequences:\n".to_owned();
    let names = ["drawn-inmost", "drawn-inner", DRAWN];
    for (level, (name, nodes_max)) in names.into_iter().zip(NODES_MAX).enumerate() {
        let is_request = name == DRAWN;
        let args = "args: {required: [{name: cmd, desc: Program}, {name: args, desc: Its words}]}";
        writeln!(text, "  {name}:\n    request: {is_request}\n    {args}\n    nodes:")
            .expect("a String takes all");
        let count = rng.random_range(1..=nodes_max);
        let holds = (level > 0 && rng.random_bool(0.8)).then(|| rng.random_range(0..count));
        for node in 0..count {
            let kind = match holds {
                Some(place) if place == node => format!("category: sequence, type: {}", names[level - 1]),
                _ => "category: job, type: shell-command".to_owned(),
            };
            let deps: Vec<String> =
                (0..node).filter(|_| rng.random_bool(0.4)).map(|dep| format!("node-{dep}")).collect();
            let (deps, retry) = (deps.join(", "), retry(rng));
            let args = "args: [{expected: cmd}, {expected: args}]";
            writeln!(text, "      node-{node}: {{{kind}, {args}, deps: [{deps}]{retry}}}")
                .expect("a String takes all");
        }
    }
    text
}

fn retry(rng: &mut SmallRng) -> String {
    match rng.random_range(0..4) {
        0 | 1 => String::new(),
        2 => format!(", retry: {}", rng.random_range(1..=2)),
        _ => format!(", retry: 1, retryWait: {}ms", rng.random_range(1..=600)),
    }
}
