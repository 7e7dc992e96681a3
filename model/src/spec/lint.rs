//! All phases, one after the other.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Finding, Sequence, Specs, checks,
    finding::Findings,
    graph_checks,
    job_checks::{self, JobTypes},
    parse,
};

/// What was found in spec files.
#[derive(Debug)]
pub struct Linted {
    /// Everything that is wrong with them, by file, place and rule.
    pub findings: Vec<Finding>,
    /// Every sequence whose name could be read, by name.
    pub sequences: Vec<LintedSequence>,
    /// Those that passed every check.
    built: BTreeMap<Arc<str>, Sequence>,
}

/// A sequence that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LintedSequence {
    /// Its name.
    pub name: Arc<str>,
    /// The file it is defined in.
    pub file: Arc<str>,
}

/// Checks spec files, given as path and text, or as path and the reason why there is no text. Says all that can be said of them
/// at once.
pub fn lint<P, T>(files: impl IntoIterator<Item = (P, Result<T, String>)>, jobs: &JobTypes) -> Linted
where
    P: AsRef<str>,
    T: AsRef<str>,
{
    let mut findings = Findings::default();
    let parsed = parse::parse(files, &mut findings);
    let passed = checks::check(&parsed, &mut findings);
    let checked = graph_checks::check(&parsed, &passed, &mut findings);
    job_checks::check(&parsed, jobs, &mut findings);
    let sequences = parsed.sequences.values();
    let named = |sequence: &parse::ParsedSequence| LintedSequence {
        name: sequence.name.clone(),
        file: sequence.file.clone(),
    };
    Linted {
        findings: findings.in_order(),
        sequences: sequences.map(named).collect(),
        built: checked.into_iter().filter_map(|(name, built)| Some((name, built?))).collect(),
    }
}

impl Linted {
    /// Whether nothing keeps the specs from being used.
    pub fn is_ok(&self) -> bool {
        !self.findings.iter().any(Finding::is_error)
    }

    /// The specs, if they can be used.
    ///
    /// # Errors
    /// What was found, otherwise.
    pub fn into_specs(self) -> Result<Specs, Vec<Finding>> {
        if self.is_ok() { Ok(Specs::new(self.built, self.findings)) } else { Err(self.findings) }
    }
}
