//! Request specs: what a request or sequence is made of, read from YAML and checked before anything is built
//! from it.
//!
//! [`Specs::load`] goes through the phases of Spin Cycle's boot (`reference/spin-cycle.md` 2.3): parse every
//! file, check every sequence by itself, check the graphs. The first phase with an error ends it. What comes
//! out is valid: nodes stand in an order their dependencies allow, every name resolves, and every arg a node
//! asks for is set by a real ancestor.

use std::{collections::BTreeMap, fmt, sync::Arc};

mod backoff;
mod checks;
mod duration;
mod each_checks;
mod grammar;
mod graph_checks;
mod node_checks;
mod parse;
mod request_list;
mod sequence;
mod timing_checks;
mod yaml;

pub use self::{
    backoff::{Backoff, Factor, InvalidFactor},
    duration::{InvalidWait, Wait},
    request_list::{ListedArg, ListedRequest},
    sequence::{AclRule, Arg, ArgKind, Condition, Node, Rename, Sequence, Work},
    yaml::Position,
};

/// The valid specs of one load, by sequence name.
#[derive(Debug, Clone)]
pub struct Specs {
    sequences: BTreeMap<Arc<str>, Sequence>,
    /// What a branch named [`NOOP`] runs when no file defines it.
    noop: Sequence,
    warnings: Vec<SpecError>,
}

/// The sequence that does nothing. A branch of a conditional may name it without it being defined.
pub const NOOP: &str = "noop";

impl Default for Specs {
    fn default() -> Self {
        Self::new(BTreeMap::new(), Vec::new())
    }
}

/// Something wrong with a spec file: an error keeps every spec from loading, a warning does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SpecError {
    /// How bad it is.
    pub level: Level,
    /// The file, as it was named to [`Specs::load`].
    pub file: Arc<str>,
    /// Where in the file; `None` when the file could not be read that far.
    pub at: Option<Position>,
    /// The sequence it concerns, if one.
    pub sequence: Option<Arc<str>>,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// How bad a [`SpecError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Against the conventions, or probably not what was meant.
    Warning,
    /// Nothing can be built from it.
    Error,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(at) = self.at {
            write!(f, ":{}:{}", at.line, at.column)?;
        }
        if let Some(sequence) = &self.sequence {
            write!(f, ": {sequence}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Specs {
    /// Reads spec files, given as path and text, in the order of their paths.
    ///
    /// # Errors
    /// All errors of the first phase that has one, with the warnings up to there.
    pub fn load<P, T>(files: impl IntoIterator<Item = (P, T)>) -> Result<Self, Vec<SpecError>>
    where
        P: AsRef<str>,
        T: AsRef<str>,
    {
        let mut findings = Findings::default();
        let parsed = parse::parse(files, &mut findings);
        findings.end_phase()?;
        checks::check(&parsed, &mut findings);
        findings.end_phase()?;
        let sequences = graph_checks::check(&parsed, &mut findings);
        findings.end_phase()?;
        Ok(Self::new(sequences, findings.0))
    }

    fn new(sequences: BTreeMap<Arc<str>, Sequence>, warnings: Vec<SpecError>) -> Self {
        let (args, acl, nodes) = (Vec::new(), Vec::new(), Vec::new());
        let noop = Sequence { name: NOOP.into(), is_request: false, args, acl, timeout: None, nodes };
        Self { sequences, noop, warnings }
    }

    /// What was found that does not keep the specs from being used.
    pub fn warnings(&self) -> &[SpecError] {
        &self.warnings
    }

    /// The sequence of this name, a request or not.
    pub fn sequence(&self, name: &str) -> Option<&Sequence> {
        self.sequences.get(name)
    }

    /// The sequence that a node calls by this name: a defined one, or the built-in [`NOOP`].
    pub fn callee(&self, name: &str) -> Option<&Sequence> {
        self.sequence(name).or_else(|| (name == NOOP).then_some(&self.noop))
    }

    /// All sequences, by name.
    pub fn sequences(&self) -> impl Iterator<Item = &Sequence> {
        self.sequences.values()
    }
}

/// Collects what the phases find.
#[derive(Debug, Default)]
struct Findings(Vec<SpecError>);

impl Findings {
    /// Ends the load if a phase found an error.
    fn end_phase(&mut self) -> Result<(), Vec<SpecError>> {
        if self.0.iter().any(|finding| finding.level == Level::Error) {
            return Err(std::mem::take(&mut self.0));
        }
        Ok(())
    }

    /// Findings about one sequence.
    fn of<'a>(&'a mut self, parsed: &'a parse::ParsedSequence) -> SequenceFindings<'a> {
        SequenceFindings { findings: self, parsed, node: None }
    }
}

/// Collects findings about one sequence, or one node of it.
struct SequenceFindings<'a> {
    findings: &'a mut Findings,
    parsed: &'a parse::ParsedSequence,
    node: Option<&'a str>,
}

impl SequenceFindings<'_> {
    fn error(&mut self, at: Position, message: impl fmt::Display) {
        self.add(Level::Error, at, message);
    }

    fn warning(&mut self, at: Position, message: impl fmt::Display) {
        self.add(Level::Warning, at, message);
    }

    fn add(&mut self, level: Level, at: Position, message: impl fmt::Display) {
        let message = match self.node {
            Some(node) => format!("node {node}: {message}"),
            None => message.to_string(),
        };
        self.findings.0.push(SpecError {
            level,
            file: self.parsed.file.clone(),
            at: Some(at),
            sequence: Some(self.parsed.name.clone()),
            message,
        });
    }
}
