//! `capstan spec push DIR`.

use std::path::PathBuf;

use capstan_client::cluster::{SpecText, SpecsPush, SpecsPushed};
use capstan_model::spec::lint;

use super::{
    cluster::{self, Consent, Files},
    lint::{job_types, show},
    unreadable,
};
use crate::{
    console::Console,
    failure::{Exit, Failure},
    options::{CallOptions, Output},
    ports::SpecTools,
};

/// Which specs to push.
#[derive(Debug, clap::Args)]
pub struct Push {
    /// The directory with the specs: all of them, for what is not there is gone
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The directory with the job plugins, to check jobs against what their types need and set; their `describe` is called
    #[arg(long, value_name = "DIR", env = "CAPSTAN_JOBS_DIRECTORY")]
    jobs: Option<PathBuf>,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(
    push: &Push,
    options: &CallOptions,
    tools: &dyn SpecTools,
    console: &mut Console,
) -> Result<(), Failure> {
    let read = tools.read(&push.directory).map_err(unreadable)?;
    let linted = lint(
        read.iter().map(|(path, text)| (path, text.as_ref().map_err(Clone::clone))),
        &job_types(push.jobs.as_deref(), tools).await?,
    );
    if linted.sequences.is_empty() && linted.is_ok() {
        let message = format!("{} has no request specs", push.directory.display());
        return Err(Failure::new(Exit::Refused, message, "name a directory with request specs"));
    }
    if !linted.findings.is_empty() && options.output == Output::Table {
        show(&linted.findings.iter().collect::<Vec<_>>(), console)?;
    }
    if !linted.is_ok() {
        return Err(Failure::new(
            Exit::Refused,
            "the specs have errors, nothing was pushed",
            format!("capstan spec lint {}", push.directory.display()),
        ));
    }
    let files: Files = read.into_iter().filter_map(|(path, text)| Some((path, text.ok()?))).collect();
    let client = options.client()?;
    let current = cluster::current(&client).await?;
    let expected = current.as_ref().map(|current| current.version.version.clone());
    let before = current.map(|current| cluster::files(current.files)).unwrap_or_default();
    if let Some(version) = expected.clone().filter(|_| before == files) {
        return cluster::show_pushed(&SpecsPushed { version, changed: false }, options.output, console);
    }
    if options.output == Output::Table {
        cluster::show_changes(&before, &files, options.output, console)?;
    }
    let count = cluster::changes(&before, &files).len();
    let files_changed = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
    cluster::ask(&format!("Push this? {files_changed} changed."), push.consent, console)?;
    let files = files.into_iter().map(|(path, text)| SpecText { path, text }).collect();
    let pushed = client.push_specs(&SpecsPush { files }, expected.as_deref()).await;
    cluster::show_pushed(&pushed.map_err(cluster::look_again)?, options.output, console)
}
