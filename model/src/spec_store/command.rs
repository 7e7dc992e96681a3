//! What can be asked about the cluster's specs. These travel in the log: a shipped shape is never edited.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::SpecsId;

/// Puts new specs in the place of the current ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSpecs {
    /// All files, sorted by path, each path once.
    pub files: Vec<SpecFile>,
    /// The version the sender has seen as the current one; `None` when there was none.
    pub expected: Option<SpecsId>,
    /// Who pushes; empty when nobody is known.
    pub by: Arc<str>,
}

/// A file and its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecFile {
    /// Its path within the directory, with `/` between the parts.
    pub path: Arc<str>,
    /// What it says, in UTF-8.
    pub text: Arc<str>,
}

/// Makes the content of a version that is kept current again, as a version of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevertSpecs {
    /// The content.
    pub to: SpecsId,
    /// The version the sender has seen as the current one.
    pub expected: Option<SpecsId>,
    /// Who reverts; empty when nobody is known.
    pub by: Arc<str>,
}
