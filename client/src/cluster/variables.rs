//! Variables: named values of at most 64 KiB, each with the revision that wrote it.

use serde::{Deserialize, Serialize};

/// The answer to a PUT of a variable: 201 when it was made, 200 when it was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariablePut {
    /// The name as stored.
    pub name: String,
    /// The new revision, from one counter over all variables, never reused.
    pub revision: u64,
}

/// One page of variables, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariableList {
    /// At most as many as the call's `limit`.
    pub variables: Vec<VariableEntry>,
    /// What to pass as `after` for the next page; null on the last one.
    pub next: Option<String>,
}

/// A variable as a list shows it, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariableEntry {
    /// The variable's name.
    pub name: String,
    /// The revision that wrote the present value.
    pub revision: u64,
    /// The value's size in bytes.
    pub size: u64,
}
