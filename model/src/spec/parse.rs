//! The first phase: files become sequences in the grammar, whatever they mean.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Finding, Level, NOOP, Position, Rule,
    decode::{Problem, Reader},
    finding::Findings,
    grammar::Sequence,
    yaml::{self, Tree, Value},
};

/// What all files say.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Every sequence, by name.
    pub(super) sequences: BTreeMap<Arc<str>, ParsedSequence>,
    /// What is left of the files that could not be taken apart; `None` for one that could not be read at all.
    lost: Vec<Option<String>>,
}

/// A sequence as written, and where.
#[derive(Debug)]
pub(super) struct ParsedSequence {
    pub(super) name: Arc<str>,
    pub(super) file: Arc<str>,
    pub(super) at: Position,
    /// What was understood of it.
    pub(super) body: Sequence,
    /// Whether all of it fits the grammar, so that it is of use to look further.
    pub(super) is_whole: bool,
}

/// What a name stands for in a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Callee<'a> {
    Defined(&'a ParsedSequence),
    /// The built-in sequence, which no file defines.
    Noop,
    /// Probably of a file that could not be taken apart: nothing can be said of it.
    Lost,
    Unknown,
}

impl Parsed {
    /// What a call names. Only a branch of a conditional may name the built-in sequence.
    pub(super) fn callee(&self, name: &str) -> Callee<'_> {
        match self.sequences.get(name) {
            Some(defined) => Callee::Defined(defined),
            None if name == NOOP => Callee::Noop,
            None if self.lost.iter().any(|file| may_define(file.as_deref(), name)) => Callee::Lost,
            None => Callee::Unknown,
        }
    }
}

/// Whether the rest of a file may define a sequence: it has a line that begins with this key.
fn may_define(lost: Option<&str>, name: &str) -> bool {
    let Some(text) = lost else { return true };
    let key = |line: &str| {
        let rest = line.trim_start().trim_start_matches(['"', '\'']).strip_prefix(name)?;
        Some(rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
    };
    text.lines().any(|line| key(line) == Some(true))
}

/// Reads all files in the order Spin Cycle walks them, folder by folder; of two sequences of one name the first is kept.
/// A file that could not be read comes with the reason.
pub(super) fn parse<P, T>(
    files: impl IntoIterator<Item = (P, Result<T, String>)>,
    findings: &mut Findings,
) -> Parsed
where
    P: AsRef<str>,
    T: AsRef<str>,
{
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by(|(a, _), (b, _)| a.as_ref().split('/').cmp(b.as_ref().split('/')));
    let mut parsed = Parsed::default();
    for (path, text) in files {
        let mut file = FileFindings { findings, file: Arc::from(path.as_ref()) };
        match text {
            Ok(text) => parse_file(text.as_ref(), &mut parsed, &mut file),
            Err(reason) => {
                file.error(None, reason);
                parsed.lost.push(None);
            }
        }
    }
    parsed
}

/// Collects findings about one file.
struct FileFindings<'a> {
    findings: &'a mut Findings,
    file: Arc<str>,
}

impl FileFindings<'_> {
    fn error(&mut self, at: Option<Position>, message: String) {
        let finding = self.finding(Level::Error, at, message);
        self.findings.push(finding);
    }

    fn problem(&mut self, problem: Problem) {
        let finding = self.finding(problem.level, Some(problem.at), problem.message);
        self.findings.push(Finding { sequence: problem.sequence, node: problem.node, ..finding });
    }

    fn finding(&self, level: Level, at: Option<Position>, message: String) -> Finding {
        let file = self.file.clone();
        Finding { level, rule: Rule::Parse, file, at, sequence: None, node: None, message }
    }
}

fn parse_file(text: &str, parsed: &mut Parsed, findings: &mut FileFindings<'_>) {
    let (tree, repeated) = match yaml::read(text) {
        Ok(read) => read,
        Err(malformed) => {
            findings.error(malformed.at, malformed.reason);
            parsed.lost.push(Some(text.to_owned()));
            return;
        }
    };
    let mut reader = Reader::new(text);
    for (name, tree) in sequences(&tree, &mut reader) {
        let (at, name) = (name.at, Arc::<str>::from(name.value.as_str()));
        if let Some(first) = parsed.sequences.get(&name) {
            let message = format!("sequence '{name}' is already defined in {}", first.file);
            reader.note(Level::Error, at, message);
            continue;
        }
        reader.sequence = Some(name.clone());
        let before = reader.errors;
        let body = reader.optional(tree, "sequences");
        if matches!(tree.value, Value::Null) {
            reader.note(Level::Error, at, format!("sequence '{name}' is empty"));
        }
        reader.sequence = None;
        let is_whole = reader.errors == before;
        let (file, body) = (findings.file.clone(), body.unwrap_or_default());
        parsed.sequences.insert(name.clone(), ParsedSequence { name, file, at, body, is_whole });
    }
    // The parser tells of a repeated key only what the tree may show as well.
    let told = |at| reader.problems.iter().any(|problem| Some(problem.at) == at);
    if let Some(repeated) = repeated.filter(|repeated| !told(repeated.at)) {
        reader.repeated(repeated.at.unwrap_or_default(), &repeated.key);
    }
    for problem in reader.problems {
        findings.problem(problem);
    }
}

/// The sequences of a file, by name.
fn sequences<'t>(file: &'t Tree, reader: &mut Reader<'_>) -> Vec<(&'t yaml::Text, &'t Tree)> {
    const FIELD: &str = "sequences";
    let mut found = Vec::new();
    if matches!(file.value, Value::Null) {
        return found;
    }
    for (key, value) in reader.mapping(file, "file").unwrap_or_default() {
        if key.value != FIELD {
            reader.unknown(key, &[FIELD]);
        } else if !matches!(value.value, Value::Null) {
            found = reader.mapping(value, FIELD).unwrap_or_default();
        }
    }
    found
}
