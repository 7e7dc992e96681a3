//! `capstan spec diff`.

use std::path::PathBuf;

use super::{
    cluster::{self, Files},
    unreadable,
};
use crate::{
    console::Console,
    failure::{Exit, Failure},
    options::{CallOptions, Output},
    ports::SpecTools,
};

/// What to compare.
#[derive(Debug, clap::Args)]
pub struct Diff {
    /// A directory with specs, to see what a push of it would change
    #[arg(value_name = "DIR", required_unless_present = "to")]
    directory: Option<PathBuf>,
    /// The version that was before
    #[arg(long, value_name = "VERSION", default_value = cluster::CURRENT)]
    from: String,
    /// The version that came after, in the place of a directory
    #[arg(long, value_name = "VERSION", conflicts_with = "directory")]
    to: Option<String>,
}

pub(super) async fn run(
    diff: &Diff,
    options: &CallOptions,
    tools: &dyn SpecTools,
    console: &mut Console,
) -> Result<(), Failure> {
    let client = options.client()?;
    let from = if diff.from == cluster::CURRENT {
        cluster::current(&client).await?.map(|content| content.files).unwrap_or_default()
    } else {
        cluster::version(&client, &diff.from).await?.files
    };
    let to: Files = match (&diff.to, &diff.directory) {
        (Some(to), _) => cluster::files(cluster::version(&client, to).await?.files),
        (None, Some(directory)) => {
            let read = tools.read(directory).map_err(unreadable)?;
            let text = |(path, text): (String, Result<String, String>)| match text {
                Ok(text) => Ok((path, text)),
                Err(reason) => Err(Failure::new(
                    Exit::Refused,
                    format!("{path}: {reason}"),
                    format!("capstan spec lint {}", directory.display()),
                )),
            };
            read.into_iter().map(text).collect::<Result<_, _>>()?
        }
        (None, None) => unreachable!("the command line has one of them"),
    };
    let from = cluster::files(from);
    cluster::show_changes(&from, &to, options.output, console)?;
    if from == to && options.output == Output::Table {
        console.note("no difference")?;
    }
    Ok(())
}
