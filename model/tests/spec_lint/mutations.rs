//! The examples, with one thing changed in each copy. Who changes it knows which rule that is against, and on which line it is
//! told.

use std::{collections::BTreeMap, fs, path::Path};

use capstan_model::spec::{
    JobSignature, JobTypes, OtherTypes,
    Rule::{self, *},
};

use super::findings;

/// A line of a file in block style, taken apart.
struct Line {
    text: String,
    indent: usize,
    /// The key and the value, or the value of a list's item alone.
    key: String,
    value: String,
    is_item: bool,
    /// The keys above it and their lines, outermost first.
    above: Vec<(String, usize)>,
}

/// Where in the grammar a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    Sequence,
    SequenceField,
    /// In the args a sequence declares, of this kind.
    Arg(&'a str),
    Acl,
    Node,
    NodeField,
    /// In this field of a node.
    Item(&'a str),
    Elsewhere,
}

/// A changed file, and what must be told of it.
struct Mutant {
    what: String,
    text: String,
    rule: Rule,
    /// From 1.
    line: usize,
}

/// The files that nothing is wrong with.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![("base.yaml".to_owned(), include_str!("base.yaml").to_owned())];
    for entry in fs::read_dir(root.join("../examples/specs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        files.push((name, fs::read_to_string(path).unwrap()));
    }
    files.sort();
    files
}

fn jobs() -> JobTypes {
    let described = |args: &[&str], sets: &[&str]| JobSignature::Described {
        args: args.iter().map(|arg| (*arg).into()).collect(),
        sets: sets.iter().map(|arg| (*arg).into()).collect(),
        sets_more: false,
    };
    let known = BTreeMap::from([
        ("planner", described(&["hosts"], &["plan", "spare"])),
        ("grower", described(&["plan"], &["grown"])),
        ("teller", described(&["text"], &[])),
        ("sleep", described(&["duration"], &[])),
        ("shell-command", described(&["cmd"], &[])),
        ("http-request", described(&["url"], &[])),
        ("noop", described(&[], &[])),
        ("lrp/desire", described(&["lrp"], &[])),
        ("lrp/update", described(&["processGuid"], &[])),
        ("lrp/wait-running", described(&["processGuid"], &[])),
        ("lrp/delete", described(&["processGuid"], &[])),
        ("find-log-dirs", described(&["root"], &["dirs"])),
        ("fetch-file", described(&["url", "to", "sha256"], &[])),
    ]);
    let known = known.into_iter().map(|(name, signature)| (name.into(), signature)).collect();
    JobTypes { known, others: OtherTypes::None }
}

fn lines(text: &str) -> Vec<Line> {
    let mut above: Vec<(usize, String, usize)> = Vec::new();
    let mut lines = Vec::new();
    for (at, text) in text.lines().enumerate() {
        let bare = text.trim_start();
        let content = bare.strip_prefix("- ").unwrap_or(bare);
        let indent = text.len() - content.len();
        let pair = content.split_once(": ").or_else(|| Some((content.strip_suffix(':')?, "")));
        let (key, value) = pair.unwrap_or(("", content));
        if content.is_empty() || bare.starts_with('#') {
            continue;
        }
        above.retain(|(outer, ..)| *outer < indent);
        let line = Line {
            text: text.to_owned(),
            indent,
            key: key.to_owned(),
            value: value.to_owned(),
            is_item: bare.starts_with("- "),
            above: above.iter().map(|(_, key, line)| (key.clone(), *line)).collect(),
        };
        if !line.is_item && !key.is_empty() {
            above.push((indent, key.to_owned(), at));
        }
        lines.push((at, line));
    }
    // Lines keep their numbers: comments and empty ones stand elsewhere.
    let mut all: Vec<Line> = text.lines().map(Line::elsewhere).collect();
    for (at, line) in lines {
        all[at] = line;
    }
    all
}

impl Line {
    fn elsewhere(text: &str) -> Self {
        let (key, value, above) = (String::new(), String::new(), Vec::new());
        Self { text: text.to_owned(), indent: 0, key, value, is_item: false, above }
    }

    fn place(&self) -> Place<'_> {
        let above: Vec<&str> = self.above.iter().map(|(key, _)| key.as_str()).collect();
        match above[..] {
            ["sequences"] => Place::Sequence,
            ["sequences", _] => Place::SequenceField,
            ["sequences", _, "args", kind] => Place::Arg(kind),
            ["sequences", _, "acl"] => Place::Acl,
            ["sequences", _, "nodes"] => Place::Node,
            ["sequences", _, "nodes", _] => Place::NodeField,
            ["sequences", _, "nodes", _, field] => Place::Item(field),
            _ => Place::Elsewhere,
        }
    }

    /// The line with another value.
    fn with(&self, value: &str) -> String {
        let keep = self.text.len() - self.value.len();
        format!("{}{value}", &self.text[..keep])
    }
}

/// The fields of the node or list item that a line is the first of.
fn fields(lines: &[Line], first: usize) -> impl Iterator<Item = &Line> {
    let indent = lines[first].indent;
    let rest = lines[first + 1..].iter();
    let belongs = move |line: &&Line| {
        line.above.is_empty() || line.indent > indent || (line.indent == indent && !line.is_item)
    };
    lines[first..=first].iter().chain(rest.take_while(belongs)).filter(move |line| line.indent == indent)
}

/// Everything that is changed in one file, one thing in each copy.
fn mutants(text: &str) -> Vec<Mutant> {
    let lines = lines(text);
    let mut mutants = Vec::new();
    for at in 0..lines.len() {
        let mut change = |what: &str, rule: Rule, line: usize, edits: &[(usize, &[String])]| {
            let texts = lines.iter().enumerate().flat_map(|(number, line)| {
                let edit = edits.iter().find(|(edited, _)| *edited == number);
                edit.map_or_else(|| vec![line.text.clone()], |(_, texts)| texts.to_vec())
            });
            let text = texts.collect::<Vec<_>>().join("\n") + "\n";
            mutants.push(Mutant { what: format!("{what} at line {}", at + 1), text, rule, line: line + 1 });
        };
        match lines[at].place() {
            Place::NodeField => node_field(&lines, at, &mut change),
            Place::Node => node(&lines, at, &mut change),
            Place::Item(field) => item(&lines, at, field, &mut change),
            Place::Arg(kind) => arg(&lines, at, kind, &mut change),
            Place::Acl => acl(&lines, at, &mut change),
            Place::Sequence => {
                let empty = "  nothing: ~".to_owned();
                change("an empty sequence", Parse, at, &[(at, &[empty, lines[at].text.clone()])]);
            }
            Place::SequenceField | Place::Elsewhere => {}
        }
        let line = &lines[at];
        let is_field =
            !matches!(line.place(), Place::Node | Place::Sequence | Place::Elsewhere | Place::Item("eq"));
        if is_field && !line.key.is_empty() {
            let renamed = line.text.replacen(&line.key, &format!("{}x", line.key), 1);
            change("a key that is no field", Parse, at, &[(at, &[renamed])]);
        }
    }
    mutants
}

/// Takes a change: its name, the rule it is against, the line where that is told, and the lines that take the place of others.
type Change<'a> = dyn FnMut(&str, Rule, usize, &[(usize, &[String])]) + 'a;

fn node_field(lines: &[Line], at: usize, change: &mut Change<'_>) {
    let line = &lines[at];
    let node = line.above[3].1;
    let name = &line.above[3].0;
    let fields: BTreeMap<&str, &str> =
        fields(lines, node + 1).map(|line| (line.key.as_str(), line.value.as_str())).collect();
    let is_job = fields.get("category") == Some(&"job");
    let pad = " ".repeat(line.indent);
    match line.key.as_str() {
        "category" => {
            change("no category", N1, node, &[(at, &[])]);
            change("a category there is not", N2, at, &[(at, &[line.with("jobs")])]);
            change("a category that is a list", Parse, at, &[(at, &[line.with("[job]")])]);
            if !fields.contains_key("each") {
                change(
                    "parallel alone",
                    N18,
                    at + 1,
                    &[(at, &[line.text.clone(), format!("{pad}parallel: 2")])],
                );
            }
            if fields.get("category") != Some(&"conditional") {
                change("an if", N21, at + 1, &[(at, &[line.text.clone(), format!("{pad}if: x")])]);
                change("an eq", N22, at + 1, &[(at, &[line.text.clone(), format!("{pad}eq: {{}}")])]);
            } else {
                change("a type", N20, at + 1, &[(at, &[line.text.clone(), format!("{pad}type: x")])]);
            }
        }
        "type" => {
            change("no type", N12, node, &[(at, &[])]);
            let rule = if is_job { J1 } else { N3 };
            change("a type there is not", rule, at, &[(at, &[line.with("no/such")])]);
            change("the type twice", Parse, at + 1, &[(at, &[line.text.clone(), line.text.clone()])]);
        }
        "deps" => {
            let others = line.value.trim_matches(['[', ']']);
            let comma = if others.is_empty() { "" } else { ", " };
            change("an unknown dep", G4, at, &[(at, &[line.with(&format!("[{others}{comma}nowhere]"))])]);
            change(
                "a node behind itself",
                G4,
                node,
                &[(at, &[line.with(&format!("[{others}{comma}{name}]"))])],
            );
            change("a dep that is null", G4, at, &[(at, &[line.with(&format!("[{others}{comma}~]"))])]);
            change("deps that are no list", Parse, at, &[(at, &[line.with("text")])]);
            change("a bracket too many", Parse, at, &[(at, &[line.with("]")])]);
        }
        "retry" => {
            change("a negative retry", Parse, at, &[(at, &[line.with("-1")])]);
            change("a retry that is text", Parse, at, &[(at, &[line.with("many")])]);
            if fields.contains_key("retryWait") {
                change("a wait for no retry", N23, at + 1, &[(at, &[line.with("0")])]);
            }
        }
        "retryWait" => change("a wait without a unit", N13, at, &[(at, &[line.with("3")])]),
        "parallel" => change("none at a time", N9, at, &[(at, &[line.with("0")])]),
        "if" => {
            change("no if", N10, node, &[(at, &[])]);
            change("a choice by what is not set", G1, at, &[(at, &[line.with("nothing")])]);
        }
        "args" => change("a null arg", N5, at + 1, &[(at, &[line.text.clone(), format!("{pad}  - ~")])]),
        "sets" => change("a null set", N7, at + 1, &[(at, &[line.text.clone(), format!("{pad}  - ~")])]),
        "each" => change("a null list", N4, at + 1, &[(at, &[line.text.clone(), format!("{pad}  - ~")])]),
        _ => {}
    }
}

fn node(lines: &[Line], at: usize, change: &mut Change<'_>) {
    let (line, sequence) = (&lines[at], &lines[at].above[1]);
    let pad = " ".repeat(line.indent);
    let back = format!("{pad}back: {{category: sequence, type: {}}}", sequence.0);
    change("a call of itself", G5, sequence.1, &[(at, &[back, line.text.clone()])]);
    change("an empty node", N1, at, &[(at, &[format!("{pad}nothing: ~"), line.text.clone()])]);
}

fn item(lines: &[Line], at: usize, field: &str, change: &mut Change<'_>) {
    let line = &lines[at];
    let node = line.above[3].1;
    let category =
        fields(lines, node + 1).find(|line| line.key == "category").map(|line| line.value.as_str());
    let has = |key: &str| line.is_item && fields(lines, at).any(|line| line.key == key);
    let twice = [line.text.clone(), line.text.clone()];
    match (field, line.key.as_str()) {
        ("args", "given") => change("an arg that is not set", G2, at, &[(at, &[line.with("nothing")])]),
        ("args", "expected") => {
            change("no name for an arg", N6, at, &[(at, &[line.with("~")])]);
            change("an arg twice", N16, at + 1, &[(at, &twice)]);
            if category != Some("job") {
                change("an arg that nobody takes", N28, at, &[(at, &[line.with("nothing")])]);
            } else if !has("given") {
                change("an arg that is not set", G2, at, &[(at, &[line.with("nothing")])]);
            }
        }
        ("sets", "arg") => {
            change("no name for a set", N8, at, &[(at, &[line.with("~")])]);
            if !has("as") {
                change("a set twice", N19, at + 1, &[(at, &twice)]);
            }
            let rule = if category == Some("job") { J3 } else { G7 };
            change("a set of what is not set", rule, at, &[(at, &[line.with("nothing")])]);
        }
        ("each", "") => {
            let (list, element) = line.value.split_once(':').unwrap();
            change("no element", N4, at, &[(at, &[line.with(list)])]);
            change("a list that is not set", G2, at, &[(at, &[line.with(&format!("nothing:{element}"))])]);
            change("an element twice", N15, at + 1, &[(at, &twice)]);
            change(
                "two names for elements",
                N24,
                at + 1,
                &[(at, &[line.text.clone(), line.with(&format!("{list}:other"))])],
            );
        }
        ("eq", _) => {
            change("a branch to nowhere", N3, at, &[(at, &[line.with("nowhere")])]);
            change("a branch to nothing", N3, at, &[(at, &[line.with("~")])]);
            change("a branch twice", Parse, at + 1, &[(at, &twice)]);
        }
        _ => {}
    }
}

fn arg(lines: &[Line], at: usize, kind: &str, change: &mut Change<'_>) {
    let line = &lines[at];
    let pad = " ".repeat(line.indent);
    let (unnamed, undefaulted) = match kind {
        "required" => (S1, S10),
        "optional" => (S2, S4),
        _ => (S3, S5),
    };
    match line.key.as_str() {
        "name" => {
            change("no name", unnamed, at, &[(at, &[line.with("~")])]);
            if kind == "required" {
                let default = format!("{pad}default: 1");
                change("a default", undefaulted, at + 1, &[(at, &[line.text.clone(), default])]);
            }
            let mut twice = vec![line.text.clone()];
            twice.extend((kind != "required").then(|| format!("{pad}default: 1")));
            let second = at + twice.len();
            twice.push(line.text.clone());
            change("an arg twice", S9, second, &[(at, &twice)]);
        }
        "default" => {
            let name = (0..at).rev().find(|at| lines[*at].key == "name").unwrap();
            change("no default", undefaulted, name, &[(at, &[])]);
        }
        _ => {}
    }
}

fn acl(lines: &[Line], at: usize, change: &mut Change<'_>) {
    let line = &lines[at];
    let pad = " ".repeat(line.indent);
    match line.key.as_str() {
        "role" => {
            change("no role", S7, at, &[(at, &[line.with("~")])]);
            change("a role twice", S8, at + 1, &[(at, &[line.text.clone(), line.text.clone()])]);
        }
        "admin" => {
            let ops = format!("{pad}ops: [start]");
            change("an admin with operations", S6, at - 1, &[(at, &[line.text.clone(), ops])]);
        }
        "ops" => change("operations that are no list", Parse, at, &[(at, &[line.with("start")])]),
        _ => {}
    }
}

#[test]
fn what_is_changed_in_a_spec_is_told_where_it_was_changed() {
    let files = files();
    let jobs = jobs();
    let texts: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let clean = findings(&texts, &jobs);
    assert_eq!(clean, [], "unchanged");
    let mut tried: BTreeMap<Rule, usize> = BTreeMap::new();
    for (path, text) in &texts {
        // The only file whose sequences others call.
        let called = texts.iter().find(|(other, _)| *other == "pack-logs.yaml" && other != path);
        for mutant in mutants(text) {
            let changed = [(*path, mutant.text.as_str())].into_iter().chain(called.copied());
            let found = findings(&changed.collect::<Vec<_>>(), &jobs);
            let is_it = |finding: &capstan_model::spec::Finding| {
                let line = finding.at.map(|at| at.line);
                finding.rule == mutant.rule && *finding.file == **path && line == Some(mutant.line as u64)
            };
            let Mutant { what, rule, line, .. } = &mutant;
            assert!(
                found.iter().any(is_it),
                "{path}: {what}: no {rule} at line {line}\n{found:#?}\n{}",
                mutant.text
            );
            *tried.entry(mutant.rule).or_default() += 1;
        }
    }
    let total: usize = tried.values().sum();
    assert!(total >= 200 && tried.len() >= 30, "{total} of {tried:?}");
    println!("{total} changes, by rule {tried:?}");
}

#[test]
fn a_sequence_that_another_file_defines_too_is_told_in_the_later_file() {
    for (path, text) in files() {
        let copy = format!("z-{path}");
        let found = findings(&[(&path, &text), (&copy, &text)], &JobTypes::default());
        let doubles = found.iter().filter(|finding| *finding.file == *copy && finding.rule == Parse).count();
        assert_eq!(
            doubles,
            lines(&text).iter().filter(|line| line.place() == Place::Sequence).count(),
            "{path}"
        );
    }
}
