//! The first phase: files become sequences in the grammar, whatever they mean.

use std::{collections::BTreeMap, sync::Arc};

use serde_saphyr::{DuplicateKeyPolicy, Error};

use super::{
    Findings, Level, Position, SpecError,
    grammar::{File, Node, Sequence},
    yaml::{Entries, Text, items},
};

/// Every sequence of every file, by name.
pub(super) type Parsed = BTreeMap<Arc<str>, ParsedSequence>;

/// A sequence as written, and where.
#[derive(Debug)]
pub(super) struct ParsedSequence {
    pub(super) name: Arc<str>,
    pub(super) file: Arc<str>,
    pub(super) at: Position,
    pub(super) body: Sequence,
}

/// Reads all files in the order of their paths; of two sequences of one name the first is kept.
pub(super) fn parse<P, T>(files: impl IntoIterator<Item = (P, T)>, findings: &mut Findings) -> Parsed
where
    P: AsRef<str>,
    T: AsRef<str>,
{
    let mut files: Vec<(P, T)> = files.into_iter().collect();
    files.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
    let mut parsed = Parsed::new();
    for (path, text) in files {
        let path = Arc::<str>::from(path.as_ref());
        let mut findings = FileFindings { findings, file: &path };
        if let Some(file) = read(text.as_ref(), &mut findings) {
            warn_of_unknown(&file, &mut findings);
            take_sequences(file, &mut parsed, &mut findings);
        }
    }
    parsed
}

/// Collects findings about one file.
struct FileFindings<'a> {
    findings: &'a mut Findings,
    file: &'a Arc<str>,
}

impl FileFindings<'_> {
    fn add(&mut self, level: Level, at: Option<Position>, message: String) {
        self.findings.0.push(SpecError { level, file: self.file.clone(), at, sequence: None, message });
    }
}

/// Reads one file. A key given twice is a warning, and its last value is used.
fn read(text: &str, findings: &mut FileFindings<'_>) -> Option<File> {
    // Numbers as yaml.v2 reads them: 010 is eight.
    let strict = serde_saphyr::options! { with_snippet: false, legacy_octal_numbers: true };
    let error = match serde_saphyr::from_str_with_options(text, strict) {
        Ok(file) => return Some(file),
        Err(error) => error,
    };
    let error = if let Error::DuplicateMappingKey { key, .. } = &error {
        let key = key.as_deref().unwrap_or("?");
        findings.add(
            Level::Warning,
            place(&error),
            format!("key '{key}' is given twice; its last value is used"),
        );
        let lenient = serde_saphyr::options! {
            with_snippet: false,
            legacy_octal_numbers: true,
            duplicate_keys: DuplicateKeyPolicy::LastWins,
        };
        match serde_saphyr::from_str_with_options(text, lenient) {
            Ok(file) => return Some(file),
            Err(error) => error,
        }
    } else {
        error
    };
    findings.add(Level::Error, place(&error), reason(&error));
    None
}

fn place(error: &Error) -> Option<Position> {
    error.location().map(Position::from)
}

/// The error's text without the place the parser puts at its end.
fn reason(error: &Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

fn take_sequences(file: File, parsed: &mut Parsed, findings: &mut FileFindings<'_>) {
    for (name, body) in file.sequences.unwrap_or_default().0 {
        let at = name.at;
        let name = Arc::<str>::from(name.value);
        if let Some(first) = parsed.get(&name) {
            let message = format!("sequence '{name}' is already defined in {}", first.file);
            findings.add(Level::Error, Some(at), message);
        } else if let Some(body) = body {
            let file = findings.file.clone();
            parsed.insert(name.clone(), ParsedSequence { name, file, at, body });
        } else {
            findings.add(Level::Error, Some(at), format!("sequence '{name}' is empty"));
        }
    }
}

/// Warns of every key that is no field, wherever it stands.
fn warn_of_unknown(file: &File, findings: &mut FileFindings<'_>) {
    let mut unknown: Vec<&Text> = file.unknown.iter().collect();
    for sequence in non_null(file.sequences.as_ref()) {
        unknown.extend(&sequence.unknown);
        if let Some(args) = &sequence.args {
            unknown.extend(&args.unknown);
            for list in [&args.required, &args.optional, &args.fixed] {
                unknown.extend(items(list.as_ref()).flat_map(|arg| &arg.unknown));
            }
        }
        unknown.extend(items(sequence.acl.as_ref()).flat_map(|entry| &entry.unknown));
        unknown.extend(non_null(sequence.nodes.as_ref()).flat_map(unknown_of_node));
    }
    for key in unknown {
        findings.add(Level::Warning, Some(key.at), format!("unknown field '{}' is ignored", key.value));
    }
}

fn unknown_of_node(node: &Node) -> impl Iterator<Item = &Text> {
    let of_args = items(node.args.as_ref()).flat_map(|arg| &arg.unknown);
    let of_sets = items(node.sets.as_ref()).flat_map(|set| &set.unknown);
    node.unknown.iter().chain(of_args).chain(of_sets)
}

fn non_null<T>(entries: Option<&Entries<Option<T>>>) -> impl Iterator<Item = &T> {
    entries.into_iter().flat_map(|entries| &entries.0).filter_map(|(_, body)| body.as_ref())
}
