//! `bench lint`: how long request specs take to be checked, by how many sequences they have.

use std::{fmt::Write as _, path::PathBuf, time::Instant};

use capstan_model::spec::{JobTypes, lint};
use serde::Serialize;

use crate::report::{finish, table, write_json};

/// How often each is checked; the median counts.
const ROUNDS: usize = 5;
/// How many sequences a file has.
const PER_FILE: usize = 10;
/// How many jobs a sequence has, beside its calls of two others.
const JOBS: usize = 8;

/// The arguments of `bench lint`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LintArgs {
    /// How many sequences there are, ten in a file
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000")]
    sequences: Vec<usize>,
    /// Where the figures are written as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One size of specs.
#[derive(Debug, Serialize)]
struct Checked {
    sequences: usize,
    bytes: usize,
    clean_ms: f64,
    /// With a name misspelt in every sequence.
    wrong_ms: f64,
    findings: usize,
}

/// Runs the benchmark.
pub(crate) fn run(args: &LintArgs) -> anyhow::Result<()> {
    let all: Vec<_> = args.sequences.iter().map(|sequences| measure(*sequences)).collect();
    let mut rows = table(&["sequences", "KiB", "clean ms", "wrong ms", "findings"]);
    for checked in &all {
        rows.add_row([
            checked.sequences.to_string(),
            (checked.bytes / 1_024).to_string(),
            format!("{:.1}", checked.clean_ms),
            format!("{:.1}", checked.wrong_ms),
            checked.findings.to_string(),
        ]);
    }
    println!("{}", finish(rows));
    write_json(args.json.as_deref(), &all)
}

fn measure(sequences: usize) -> Checked {
    let clean = files(sequences);
    let wrong: Vec<_> =
        clean.iter().map(|(path, text)| (path.clone(), text.replace("given: host", "given: hots"))).collect();
    let (clean_ms, none) = time(&clean);
    assert_eq!(none, 0, "nothing is wrong with them");
    let (wrong_ms, findings) = time(&wrong);
    let bytes = clean.iter().map(|(_, text)| text.len()).sum();
    Checked { sequences, bytes, clean_ms, wrong_ms, findings }
}

/// The median time of a check in milliseconds, and how much it finds.
fn time(files: &[(String, String)]) -> (f64, usize) {
    let mut times = Vec::new();
    let mut findings = 0;
    for _ in 0..ROUNDS {
        let files = files.iter().map(|(path, text)| (path, Ok(text)));
        let begun = Instant::now();
        let linted = lint(files, &JobTypes::default());
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
        findings = linted.findings.len();
    }
    times.sort_by(f64::total_cmp);
    (times[ROUNDS / 2], findings)
}

/// Specs of this many sequences, each of which calls the next two, and the last none.
fn files(sequences: usize) -> Vec<(String, String)> {
    let file = |first: usize| {
        let mut text = "sequences:\n".to_owned();
        for number in first..(first + PER_FILE).min(sequences) {
            write_sequence(&mut text, number, sequences);
        }
        (format!("{first:06}.yaml"), text)
    };
    (0..sequences).step_by(PER_FILE).map(file).collect()
}

fn write_sequence(text: &mut String, number: usize, sequences: usize) {
    let mut add = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a text takes all");
    add(format_args!(
        "  s{number}:\n    args:\n      required:\n        - name: host\n          desc: where"
    ));
    add(format_args!("      optional:\n        - name: speed\n          default: 5\n    nodes:"));
    for job in 0..JOBS {
        let dep = if job == 0 { String::new() } else { format!("j{}", job - 1) };
        add(format_args!("      j{job}:\n        category: job\n        type: host/do-{job}\n        args:"));
        add(format_args!("          - expected: on\n            given: host\n          - expected: speed"));
        add(format_args!(
            "        sets:\n          - arg: done\n            as: done{job}\n        deps: [{dep}]"
        ));
        add(format_args!("        retry: 2\n        retryWait: 5s"));
    }
    for called in (number + 1..sequences).take(2) {
        add(format_args!(
            "      call-{called}:\n        category: sequence\n        type: s{called}\n        args:"
        ));
        add(format_args!("          - expected: host\n        deps: [j{}]", JOBS - 1));
    }
}
