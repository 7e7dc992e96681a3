//! The cluster's request specs: every push is a version, and the newest is in use.

use serde::{Deserialize, Serialize};

use crate::spin_cycle::UtcTime;

/// The versions that are kept, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecsList {
    /// The content in use; null before the first push.
    pub current: Option<String>,
    /// The versions; two may have the same content, after a revert.
    pub versions: Vec<SpecsVersion>,
}

/// A version, without its texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecsVersion {
    /// Its place in the order of versions, from 1.
    pub number: u64,
    /// What it is made of: 64 hexadecimal digits, a SHA-256 over its files' paths and texts.
    pub version: String,
    /// The version before it; null for the first.
    pub parent: Option<String>,
    /// When it was stored.
    pub pushed_at: UtcTime,
    /// Who pushed it; empty when nobody is known.
    pub pushed_by: String,
    /// How many files it has.
    pub file_count: u64,
    /// How many bytes their texts have.
    pub bytes: u64,
}

/// A version with its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecsContent {
    /// What is known of it.
    #[serde(flatten)]
    pub version: SpecsVersion,
    /// Its files, sorted by path.
    pub files: Vec<SpecText>,
}

/// The body of a push: all files of the new version, in any order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecsPush {
    /// The files; each path once.
    pub files: Vec<SpecText>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecText {
    /// Its path within the directory, with `/` between the parts.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// The answer to a push or a revert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecsPushed {
    /// The content in use now.
    pub version: String,
    /// Whether it was not in use before.
    pub changed: bool,
}

/// The answer to a push of specs that are wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecsRefused {
    /// `invalid_specs`.
    pub code: String,
    /// The first error, for people.
    pub message: String,
    /// What is wrong, at most 1,000 findings.
    pub findings: Vec<SpecFinding>,
}

/// Something wrong with a spec, as `capstan spec lint -o json` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecFinding {
    /// `error` or `warning`.
    pub level: String,
    /// The rule it is against, such as `N14`.
    pub rule: String,
    /// The file.
    pub file: String,
    /// The line, from 1; null when it concerns the whole file.
    pub line: Option<u64>,
    /// The column, from 1.
    pub column: Option<u64>,
    /// The sequence it concerns, if one.
    pub sequence: Option<String>,
    /// The node it concerns, if one.
    pub node: Option<String>,
    /// What is wrong, and what would be right.
    pub message: String,
}
