//! `capstan token create --name NAME --role ROLE`.

use std::time::Duration;

use capstan_client::cluster::TokenCreate;

use crate::{
    console::Console,
    failure::{Exit, Failure},
    options::{CallOptions, Output},
    text::facts,
};

/// Whose token to make, and for what.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Whose it is: what requests show as their user, and the audit as the caller
    #[arg(long)]
    name: String,
    /// What he may do with it; may be given several times or separated by commas: admin, operator, reader, metrics, variables:write, lrps:write,
    /// cluster:write, specs:write, or a role of your specs
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',', required = true)]
    roles: Vec<String>,
    /// How long it lives, in whole seconds; for ever when not given
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    expires: Option<Duration>,
}

pub(super) async fn run(create: Create, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let Create { name, roles, expires } = create;
    // The cluster counts seconds, and none is not what anybody means.
    if expires.is_some_and(|life| life.as_secs() == 0 || life.subsec_nanos() != 0) {
        let next = "give at least 1s, or leave --expires out for ever";
        return Err(Failure::new(Exit::Usage, "a token lives for whole seconds", next));
    }
    let expires_in_seconds = expires.map(|life| life.as_secs());
    let created = options.client()?.create_token(&TokenCreate { name, roles, expires_in_seconds }).await?;
    match options.output {
        Output::Json => console.json(&created)?,
        Output::Table => {
            let expires = created.expires_at.map_or_else(|| "never".to_owned(), |end| end.to_string());
            let told = [("ID", created.id), ("TOKEN", created.token), ("EXPIRES", expires)];
            console.line(facts::facts(told))?;
            console.note("keep the token: nobody can tell it again. Use it with --token or CAPSTAN_TOKEN")?;
        }
    }
    Ok(())
}
