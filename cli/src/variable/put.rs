//! `capstan variable put NAME VALUE`.

use std::{fs, io::Read, path::PathBuf};

use capstan_client::Precondition;
use serde_json::json;

use super::Condition;
use crate::{
    console::Console,
    failure::{Exit, Failure},
    options::{CallOptions, Output},
};

/// Which variable to set, and to what.
#[derive(Debug, clap::Args)]
pub struct Put {
    /// The variable's name: 1 to 256 characters of A-Z a-z 0-9 . _ -
    name: String,
    /// The value, at most 64 KiB; `-` reads it from standard input
    #[arg(required_unless_present = "file", conflicts_with = "file", allow_hyphen_values = true)]
    value: Option<String>,
    /// Take the value from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only if the variable does not exist
    #[arg(long, conflicts_with = "if_revision")]
    if_absent: bool,
    #[command(flatten)]
    condition: Condition,
}

pub(super) async fn run(put: Put, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let value = value_of(&put, console)?;
    let precondition = if put.if_absent { Precondition::Absent } else { put.condition.into() };
    let written = options.client()?.put_variable(&put.name, value, precondition).await.map_err(|error| {
        let refused = error.status() == Some(412);
        let failure = Failure::from(error);
        if refused {
            failure.suggesting(format!("capstan variable get {} -o json", put.name))
        } else {
            failure
        }
    })?;
    match options.output {
        Output::Json => console.json(&json!({
            "name": put.name, "revision": written.revision, "created": written.created, "index": written.index,
        }))?,
        Output::Table => {
            let what = if written.created { "created" } else { "replaced" };
            console.line(format!("{what} {}, revision {}", put.name, written.revision))?;
        }
    }
    Ok(())
}

fn value_of(put: &Put, console: &mut Console) -> Result<Vec<u8>, Failure> {
    if let Some(file) = &put.file {
        return fs::read(file).map_err(|error| {
            let message = format!("cannot read {}: {error}", file.display());
            Failure::new(Exit::Usage, message, "name a file that can be read")
        });
    }
    match put.value.as_deref() {
        Some("-") => {
            let mut value = Vec::new();
            console.input.read_to_end(&mut value)?;
            Ok(value)
        }
        value => Ok(value.unwrap_or_default().as_bytes().to_vec()),
    }
}
