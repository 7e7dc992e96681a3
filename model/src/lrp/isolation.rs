//! How far a cell keeps what it runs apart from the machine, and to what it was given.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// What a cell says about that when it announces itself. Nothing is placed by it; whoever asks is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// Whether each instance and task has a network of its own; otherwise all have that of the machine.
    pub own_network: bool,
    /// What instances and tasks ask for, and may exceed on this cell.
    pub unlimited: Vec<Unlimited>,
}

/// A limit that a cell does not set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlimited {
    /// Which.
    pub limit: Limit,
    /// Why not, for the operator.
    pub reason: Arc<str>,
}

/// What an instance or a task may use. New variants go at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// The memory it asks for.
    Memory,
    /// Its share of the processors.
    Cpu,
}

impl Limit {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
