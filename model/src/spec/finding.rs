//! What is found wrong with specs, and how it is collected.

use std::{fmt, sync::Arc};

use super::{Position, Rule, parse::ParsedSequence};

/// Something wrong with a spec file: an error keeps every spec from loading, a warning does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Which rule it is against.
    pub rule: Rule,
    /// The file, as it was named by who gave it.
    pub file: Arc<str>,
    /// Where in the file; `None` when the file could not be read that far.
    pub at: Option<Position>,
    /// The sequence it concerns, if one.
    pub sequence: Option<Arc<str>>,
    /// The node of the sequence it concerns, if one.
    pub node: Option<Arc<str>>,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Against the conventions, or probably not what was meant.
    Warning,
    /// Nothing can be built from it.
    Error,
}

impl Finding {
    /// Whether it keeps the specs from being used.
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(at) = self.at {
            write!(f, ":{}:{}", at.line, at.column)?;
        }
        if let Some(sequence) = &self.sequence {
            write!(f, ": {sequence}")?;
        }
        if let Some(node) = &self.node {
            write!(f, ": node {node}")?;
        }
        write!(f, ": {} [{}]", self.message, self.rule)
    }
}

/// Collects findings of all files and sequences.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// Findings about one sequence.
    pub(super) fn of<'a>(&'a mut self, parsed: &'a ParsedSequence) -> SequenceFindings<'a> {
        SequenceFindings { findings: self, parsed, node: None, errors: 0 }
    }

    /// All of them by file, place and rule.
    pub(super) fn in_order(mut self) -> Vec<Finding> {
        fn order(finding: &Finding) -> impl Ord + '_ {
            (&*finding.file, finding.at, finding.rule, &*finding.message)
        }
        self.0.sort_by(|a, b| order(a).cmp(&order(b)));
        self.0
    }
}

/// Collects findings about one sequence, or one node of it.
pub(super) struct SequenceFindings<'a> {
    findings: &'a mut Findings,
    parsed: &'a ParsedSequence,
    node: Option<&'a str>,
    errors: usize,
}

impl<'a> SequenceFindings<'a> {
    /// What is found from now on is about this node.
    pub(super) fn at_node(&mut self, node: &'a str) {
        self.node = Some(node);
    }

    /// What is found from now on is about the sequence itself.
    pub(super) fn at_sequence(&mut self) {
        self.node = None;
    }

    /// Whether no error was found.
    pub(super) fn is_clean(&self) -> bool {
        self.errors == 0
    }

    pub(super) fn error(&mut self, rule: Rule, at: Position, message: impl fmt::Display) {
        self.errors += 1;
        self.add(Level::Error, rule, at, message);
    }

    pub(super) fn warning(&mut self, rule: Rule, at: Position, message: impl fmt::Display) {
        self.add(Level::Warning, rule, at, message);
    }

    pub(super) fn add(&mut self, level: Level, rule: Rule, at: Position, message: impl fmt::Display) {
        self.findings.push(Finding {
            level,
            rule,
            file: self.parsed.file.clone(),
            at: Some(at),
            sequence: Some(self.parsed.name.clone()),
            node: self.node.map(Arc::from),
            message: message.to_string(),
        });
    }
}
