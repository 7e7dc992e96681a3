//! What is Capstan's own: variables, events, and what operators look at.

pub(crate) mod cells;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod nodes;
pub(crate) mod requests;
pub(crate) mod status;
pub(crate) mod variables;
