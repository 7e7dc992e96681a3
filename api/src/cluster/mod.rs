//! What is Capstan's own: variables, request specs, events, and what operators look at.

pub(crate) mod cells;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod nodes;
pub(crate) mod specs;
pub(crate) mod status;
pub(crate) mod variables;
