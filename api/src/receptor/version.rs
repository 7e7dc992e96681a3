//! `/v1/version`.

use capstan_client::receptor::Version;
use http::StatusCode;

use super::answer;
use crate::answer::Answer;

/// `GET …/version`: ours, where upstream tells the versions of its parts.
pub(crate) fn version() -> Answer {
    let ours = concat!("capstan-", env!("CARGO_PKG_VERSION")).to_owned();
    answer::json(StatusCode::OK, &Version { lattice_release: ours.clone(), receptor: ours })
}
