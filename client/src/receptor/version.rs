//! What `GET /v1/version` tells.

use serde::{Deserialize, Serialize};

/// The versions of the parts upstream is released in, as far as they apply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Version {
    /// Of the whole; the `ltc` client shows it as the server's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lattice_release: String,
    /// Of what serves this interface.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub receptor: String,
}
