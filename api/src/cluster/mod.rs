//! What is Capstan's own: variables, events, and what operators look at.

pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod cells;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod nodes;
pub(crate) mod status;
pub(crate) mod tokens;
pub(crate) mod variables;
