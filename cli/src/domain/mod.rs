//! `capstan domain`: say which domains are fresh.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::json;

use crate::{
    console::{Console, Shade},
    failure::{Exit, Failure},
    options::{CallOptions, Output},
    text::escape,
};

/// What to do with domains.
#[derive(Debug, clap::Subcommand)]
pub enum DomainCommand {
    /// List the domains that are fresh
    Ls,
    /// Make a domain fresh
    Set(Set),
}

/// Which domain is fresh, and for how long.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// The domain
    name: String,
    /// For how long, in whole seconds; for ever when not given
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    ttl: Option<Duration>,
}

pub(crate) async fn run(
    command: DomainCommand,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    match command {
        DomainCommand::Ls => ls(options, console).await,
        DomainCommand::Set(set) => upsert(&set, options, console).await,
    }
}

async fn ls(options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let domains = options.client()?.domains().await?;
    match options.output {
        Output::Json => console.json(&domains)?,
        Output::Table if domains.is_empty() => {
            console.note(&console.painted_for_error(Shade::Dim, "no domain is fresh"))?;
        }
        Output::Table => domains.iter().try_for_each(|domain| console.line(escape::line(domain)))?,
    }
    Ok(())
}

async fn upsert(set: &Set, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    // The API takes nought for ever, which nobody means who gives half a second.
    if set.ttl.is_some_and(|ttl| ttl.as_secs() == 0 || ttl.subsec_nanos() != 0) {
        let next = "give at least 1s, or leave --ttl out for ever";
        return Err(Failure::new(Exit::Usage, "a domain is fresh for whole seconds", next));
    }
    let secs = set.ttl.map(|ttl| ttl.as_secs());
    options.client()?.upsert_domain(&set.name, secs).await?;
    match options.output {
        Output::Json => console.json(&json!({ "domain": set.name, "ttl_secs": secs }))?,
        Output::Table => {
            let long = secs.map_or_else(|| "for ever".to_owned(), |secs| format!("for {secs} s"));
            console.line(format!("{} is fresh {long}", set.name))?;
        }
    }
    Ok(())
}
