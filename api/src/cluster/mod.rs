//! What is Capstan's own: variables, request specs, events, and what operators look at.

pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod cells;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod nodes;
pub(crate) mod requests;
pub(crate) mod settings;
pub(crate) mod specs;
pub(crate) mod status;
pub(crate) mod tokens;
pub(crate) mod variables;

use http::HeaderValue;

use crate::{answer::Answer, headers};

/// The same answer, which shows the state at an index.
fn at_index(mut answer: Answer, index: u64) -> Answer {
    answer.headers_mut().insert(headers::INDEX, HeaderValue::from(index));
    answer
}
