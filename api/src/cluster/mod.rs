//! What is Capstan's own: variables, and what operators look at.

pub(crate) mod cells;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod nodes;
pub(crate) mod status;
pub(crate) mod variables;
