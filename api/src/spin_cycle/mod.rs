//! `/api/v1`: the HTTP surface of Spin Cycle 2.1.1, byte for byte where its clients look.
//!
//! What differs on purpose: every error of a caller is a 4xx and stores nothing, a stored chain shows real states, an empty list is
//! `[]`, and any node answers.

pub(crate) mod create;
pub(crate) mod json;
pub(crate) mod list;
pub(crate) mod log;
pub(crate) mod request_list;
pub(crate) mod requests;
pub(crate) mod running;
pub(crate) mod stop;

mod archive;
mod create_body;
mod filters;
pub(crate) mod shapes;

use capstan_model::ids::RequestId;
use http::StatusCode;

use crate::{
    answer::{self, Answer},
    error::InputError,
};

/// The version of Spin Cycle whose behaviour is served.
pub(crate) const VERSION: &str = "2.1.1";

/// `GET /version`.
pub(crate) fn version() -> Answer {
    answer::with_body(StatusCode::OK, answer::TEXT, VERSION)
}

/// Where a request is found.
fn location(id: RequestId) -> String {
    format!("/api/v1/requests/{id}")
}

/// The id a path names. What is no id is the id of no request.
fn request_id(segment: &str) -> Result<RequestId, InputError> {
    segment.parse().map_err(|_| no_such_request(segment))
}

fn no_such_request(segment: &str) -> InputError {
    InputError::NoSuchRequest { id: segment.chars().take(100).collect() }
}
