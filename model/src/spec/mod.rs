//! Request specs: what a request or sequence is made of, read from YAML and checked before anything is built
//! from it.
//!
//! [`lint()`] goes through the phases of Spin Cycle's boot (`reference/spin-cycle.md` 2.3): parse every file, check every
//! sequence by itself, check the graphs. Unlike there, a phase with errors does not end it: a sequence with an error is left out of
//! the phases that follow, and of those that call it only is said what can be said without it.
//!
//! What [`Specs::load`] returns is valid: nodes stand in an order their dependencies allow, every name resolves, and every arg a
//! node asks for is set by a real ancestor.

use std::{collections::BTreeMap, sync::Arc};

mod backoff;
mod build;
mod call_checks;
mod call_order;
mod checks;
mod decode;
mod duration;
mod each_checks;
mod finding;
mod grammar;
mod graph_checks;
mod job_checks;
mod lint;
mod nearest;
mod node_checks;
mod node_order;
mod parse;
mod request_list;
mod retry_checks;
mod rule;
mod sequence;
mod timing_checks;
mod words;
mod yaml;

pub use self::{
    backoff::{Backoff, Factor, InvalidFactor},
    duration::{InvalidWait, Wait},
    finding::{Finding, Level},
    job_checks::{JobSignature, JobTypes, OtherTypes},
    lint::{Linted, LintedSequence, lint},
    nearest::did_you_mean,
    request_list::{ListedArg, ListedRequest},
    rule::Rule,
    sequence::{AclRule, Arg, ArgKind, Condition, Node, Rename, Sequence, Work},
    yaml::Position,
};

/// The valid specs of one load, by sequence name.
#[derive(Debug, Clone)]
pub struct Specs {
    sequences: BTreeMap<Arc<str>, Sequence>,
    /// What a branch named [`NOOP`] runs when no file defines it.
    noop: Sequence,
    warnings: Vec<Finding>,
}

/// The sequence that does nothing. A branch of a conditional may name it without it being defined.
pub const NOOP: &str = "noop";

impl Default for Specs {
    fn default() -> Self {
        Self::new(BTreeMap::new(), Vec::new())
    }
}

impl Specs {
    /// Reads spec files, given as path and text.
    ///
    /// # Errors
    /// Everything that is wrong with them, warnings among it, by file and place.
    pub fn load<P, T>(files: impl IntoIterator<Item = (P, T)>) -> Result<Self, Vec<Finding>>
    where
        P: AsRef<str>,
        T: AsRef<str>,
    {
        let files = files.into_iter().map(|(path, text)| (path, Ok(text)));
        lint(files, &JobTypes::default()).into_specs()
    }

    fn new(sequences: BTreeMap<Arc<str>, Sequence>, warnings: Vec<Finding>) -> Self {
        let (args, acl, nodes) = (Vec::new(), Vec::new(), Vec::new());
        let noop = Sequence { name: NOOP.into(), is_request: false, args, acl, timeout: None, nodes };
        Self { sequences, noop, warnings }
    }

    /// What was found that does not keep the specs from being used.
    pub fn warnings(&self) -> &[Finding] {
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
