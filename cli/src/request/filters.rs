//! Which requests a command is about: the filters that `ls` and `export` share.

use capstan_client::spin_cycle::{RequestFilter, State, UtcTime};

use crate::text::when::{self, When};

/// Which requests; all given filters must hold.
#[derive(Debug, clap::Args)]
pub(super) struct Filters {
    /// Only requests of this name
    #[arg(long = "type", value_name = "NAME")]
    kind: Option<String>,
    /// Only requests in one of these states, such as RUNNING; several, or separated by commas
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',', value_parser = parse_state)]
    states: Vec<State>,
    /// Only requests of this user
    #[arg(long)]
    user: Option<String>,
    /// Only requests with this arg; several must all hold
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = parse_arg)]
    args: Vec<(String, String)>,
    /// Only requests that were not over by then: a time (2026-11-20T14:00:00Z) or an age (2h)
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    since: Option<When>,
    /// Only requests created before then: a time or an age
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    until: Option<When>,
    /// Only requests behind this place in the list, as an earlier page named it
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

impl Filters {
    /// The filter of a call; ages count from `now`.
    pub(super) fn at(self, now: UtcTime) -> RequestFilter {
        RequestFilter {
            kind: self.kind,
            user: self.user,
            states: self.states,
            args: self.args,
            since: self.since.map(|when| when.from(now)),
            until: self.until.map(|when| when.from(now)),
            after: self.after,
            ..RequestFilter::default()
        }
    }
}

fn parse_state(text: &str) -> Result<State, String> {
    text.to_uppercase().parse().map_err(|_| {
        let names: Vec<&str> = State::ALL.into_iter().map(State::name).collect();
        format!("no such state; the states are {}", names.join(", "))
    })
}

fn parse_arg(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("an arg is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
