//! `capstan auth require` and `capstan auth set`.

use capstan_client::{CallError, cluster::AuthChange};

use super::show;
use crate::{
    console::Console,
    failure::{Exit, Failure},
    options::CallOptions,
};

/// What of the policy to change; the rest stays as it is.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Whether every caller must say who he is
    #[arg(long, value_name = "BOOL", required_unless_present_any = ["strict", "admin_roles"])]
    required: Option<bool>,
    /// Whether requests whose spec has no ACL are for the admin roles alone
    #[arg(long, value_name = "BOOL")]
    strict: Option<bool>,
    /// The roles that may do everything, all of them; may be given several times or separated by commas
    #[arg(long = "admin-role", value_name = "ROLE", value_delimiter = ',')]
    admin_roles: Option<Vec<String>>,
}

pub(super) async fn require(options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    change(AuthChange { required: Some(true), ..AuthChange::default() }, options, console).await
}

pub(super) async fn set(set: Set, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let Set { required, strict, admin_roles } = set;
    change(AuthChange { required, strict, admin_roles }, options, console).await
}

async fn change(change: AuthChange, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let client = options.client()?;
    if change.required == Some(true) {
        let status = client.auth().await?;
        let admin_roles = change.admin_roles.as_ref().unwrap_or(&status.admin_roles);
        if !status.caller.roles.iter().any(|role| admin_roles.contains(role)) {
            return Err(Failure::new(
                Exit::Refused,
                "you would lock yourself out: this call brings no token with an admin role",
                "capstan token create --name NAME --role admin, then call again with its token in CAPSTAN_TOKEN",
            ));
        }
    }
    let changed = client.change_auth(&change).await.map_err(|error| {
        let next = match &error {
            CallError::Refused { code: Some(code), .. } => next_after(code),
            _ => None,
        };
        let failure = Failure::from(error);
        match next {
            Some(next) => failure.suggesting(next),
            None => failure,
        }
    })?;
    show::tell(&changed, options, console)
}

/// What to try after a refusal.
fn next_after(code: &str) -> Option<&'static str> {
    match code {
        "no_admin_left" => Some("capstan token create --name NAME --role admin, without --expires"),
        "locks_out" => Some("call again with a token that has one of the new admin roles"),
        _ => None,
    }
}
