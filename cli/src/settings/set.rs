//! `capstan settings set NAME VALUE`.

use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
};

/// Which setting to change, and to what.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// The setting's name, as `settings ls` shows it
    name: String,
    /// Its new value
    value: String,
}

pub(super) async fn run(set: &Set, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let changed = options.client()?.put_setting(&set.name, &set.value).await.map_err(|error| {
        let was_refused = error.status() == Some(400);
        let failure = Failure::from(error);
        if was_refused {
            failure.suggesting("capstan settings ls shows the settings and their values")
        } else {
            failure
        }
    })?;
    match options.output {
        Output::Json => console.json(&changed)?,
        Output::Table => console.line(format!("{} is {} now", changed.name, changed.value))?,
    }
    Ok(())
}
