//! `capstan spec revert VERSION`.

use super::cluster::{self, Consent};
use crate::{
    console::Console,
    failure::{Exit, Failure},
    options::{CallOptions, Output},
    text::version::short,
};

/// What to go back to.
#[derive(Debug, clap::Args)]
pub struct Revert {
    /// The version whose content is to be current again, by at least four of its digits
    #[arg(value_name = "VERSION")]
    version: String,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(
    revert: &Revert,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let client = options.client()?;
    let to = cluster::version(&client, &revert.version).await?;
    let Some(current) = cluster::current(&client).await? else {
        return Err(Failure::new(
            Exit::NotFound,
            "there are no specs to go back from",
            "capstan spec push DIR",
        ));
    };
    let (from, to_version) = (current.version.version, to.version.version);
    if options.output == Output::Table {
        cluster::show_changes(
            &cluster::files(current.files),
            &cluster::files(to.files),
            options.output,
            console,
        )?;
    }
    let question = format!("Go back from version {} to {}?", short(&from), short(&to_version));
    cluster::ask(&question, revert.consent, console)?;
    let pushed = client.revert_specs(&to_version, &from).await.map_err(cluster::look_again)?;
    cluster::show_pushed(&pushed, options.output, console)
}
