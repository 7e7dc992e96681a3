//! `capstan auth show`.

use capstan_client::cluster::AuthStatus;

use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
    text::{escape, facts},
};

pub(super) async fn run(options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let status = options.client()?.auth().await?;
    tell(&status, options, console)
}

/// Shows what the cluster asks of callers.
pub(super) fn tell(status: &AuthStatus, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    match options.output {
        Output::Json => console.json(status)?,
        Output::Table => {
            let AuthStatus { required, strict, admin_roles, caller } = status;
            let you = match &caller.token {
                Some(token) => format!("{} (token {token})", escape::line(&caller.name)),
                None => "nobody in particular".to_owned(),
            };
            console.line(facts::facts([
                ("REQUIRED", required.to_string()),
                ("STRICT", strict.to_string()),
                ("ADMIN ROLES", escape::line(&admin_roles.join(", "))),
                ("YOU", you),
                ("YOUR ROLES", facts::or_dash(&caller.roles.join(", "))),
            ]))?;
        }
    }
    Ok(())
}
