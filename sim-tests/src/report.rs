//! What is told of a run that failed, in the order in which one asks: what did not hold, in which run, after what, and how to see it again.

use std::{collections::BTreeSet, fmt::Write, path::Path, time::Duration};

use owo_colors::{OwoColorize, Stream, Style};

use crate::{
    oracle::Violation,
    plan::Plan,
    run::{Options, run_as},
    trace::Event,
};

/// How many of the last events are shown.
const EVENTS_SHOWN: usize = 50;

/// The text about a failed plan. It runs once more, to its first violation, for its events. `replay` is the command that repeats it.
pub fn failure(plan: &Plan, replay: &str) -> String {
    let options = Options { keeps_events: true, ends_at_violation: true, ..Options::default() };
    let report = run_as(plan, &options);
    let Some(first) = report.violations.first() else {
        return format!("seed {}: nothing was wrong when it was run once more\n{replay}", plan.seed);
    };
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("a text takes lines");
    line(painted(&format!("not so: {}", first.invariant), Style::new().red().bold()));
    line(format!("  {}", first.found.lines().next().unwrap_or_default()));
    line(format!(
        "  seed {}, at {:.6} s; {} nodes, {:?}, {:?}, clients: {} of variables, {} of requests",
        plan.seed,
        Duration::from_micros(first.at_us).as_secs_f64(),
        plan.nodes,
        plan.latency,
        plan.buggify,
        plan.load.clients,
        plan.requests.clients,
    ));
    line(painted(&format!("what went wrong before ({} faults)", plan.schedule.len()), Style::new().bold()));
    line(schedule(plan));
    let events = involved(&report.events, first);
    line(painted(&format!("the last {} events of those involved", events.len()), Style::new().bold()));
    for event in events {
        line(format!("  {event}"));
    }
    line(painted(replay, Style::new().cyan()));
    text
}

/// The command that repeats a plan kept in a file.
pub fn replay_of(file: &Path, mutant: Option<&str>) -> String {
    format!("reproduce: script/sim --schedule {}{}", file.display(), with_mutant(mutant))
}

/// The command that repeats a seed.
pub fn replay_of_seed(seed: u64, mutant: Option<&str>) -> String {
    format!("reproduce: script/sim --seed {seed}{}", with_mutant(mutant))
}

fn with_mutant(mutant: Option<&str>) -> String {
    mutant.map(|mutant| format!(" --mutant {mutant}")).unwrap_or_default()
}

/// A plan's faults, one a line.
pub fn schedule(plan: &Plan) -> String {
    let lines = plan.schedule.iter().map(|planned| {
        let fault = ron::to_string(&planned.fault).expect("faults are serialisable");
        format!("  {:>9.3} s for {:>6} ms: {fault}", planned.at.as_secs_f64(), planned.lasts.as_millis())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The last events before a violation that have to do with the nodes and ids that it names.
fn involved<'a>(events: &'a [Event], violation: &Violation) -> Vec<&'a Event> {
    let (nodes, names) = named(&violation.found);
    let is_involved = |event: &Event| {
        let is_message = matches!(event.kind.as_str(), "call" | "reply");
        let is_named = names.iter().any(|name| event.payload.contains(name));
        event.node == 0 || is_named || (!is_message && nodes.contains(&event.node))
    };
    let mut before: Vec<&Event> = events
        .iter()
        .filter(|event| event.us <= violation.at_us && is_involved(event))
        .rev()
        .take(EVENTS_SHOWN)
        .collect();
    before.reverse();
    before
}

/// The nodes and the ids that a text names: `node 3`, and words that are long and hold a digit.
fn named(text: &str) -> (BTreeSet<u64>, BTreeSet<&str>) {
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| !word.is_empty())
        .collect();
    let nodes =
        words.windows(2).filter(|pair| pair[0] == "node").filter_map(|pair| pair[1].parse().ok()).collect();
    let is_id = |word: &&str| word.len() >= 5 && word.chars().any(|c| c.is_ascii_digit());
    (nodes, words.iter().copied().filter(is_id).collect())
}

fn painted(text: &str, style: Style) -> String {
    text.if_supports_color(Stream::Stdout, |text| text.style(style)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(node: u64, kind: &str, payload: &str) -> Event {
        Event { us: 1, node, kind: kind.into(), ids: Vec::new(), payload: payload.into() }
    }

    #[test]
    fn events_of_what_a_violation_names_are_shown() {
        let found = "request 5MhNc0 was taken over by node 2 twice".to_owned();
        let violation = Violation { at_us: 1, invariant: "epochs fence".into(), found };
        let events = [
            event(1, "leads", ""),
            event(2, "leads", ""),
            event(2, "call", "ffff"),
            event(1, "process started", "request 5MhNc0 job 1"),
            event(0, "fault", "Kill"),
        ];
        let shown: Vec<usize> = involved(&events, &violation)
            .into_iter()
            .filter_map(|it| events.iter().position(|e| e == it))
            .collect();
        assert_eq!(shown, [1, 3, 4]);
    }
}
