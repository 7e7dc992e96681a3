//! `capstan token revoke ID`.

use serde_json::json;

use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
};

/// Which token to revoke.
#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// The token's id, as `token ls` shows it
    id: String,
}

pub(super) async fn run(
    revoke: &Revoke,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    options.client()?.revoke_token(&revoke.id).await.map_err(|error| {
        let next = match error.status() {
            Some(400 | 404) => Some("capstan token ls shows the tokens that there are"),
            Some(409) => {
                Some("capstan token create --name NAME --role admin makes another, or capstan auth set --required false")
            }
            _ => None,
        };
        let failure = Failure::from(error);
        if let Some(next) = next { failure.suggesting(next) } else { failure }
    })?;
    match options.output {
        Output::Json => console.json(&json!({ "id": revoke.id, "revoked": true }))?,
        Output::Table => console.line(format!("revoked {}", revoke.id))?,
    }
    Ok(())
}
