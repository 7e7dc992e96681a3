//! `capstan lrp rm GUID`.

use serde_json::json;

use super::{
    about_lrp,
    wait::{self, Goal, Wait},
};
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
};

/// What not to desire any longer.
#[derive(Debug, clap::Args)]
pub struct Rm {
    /// The LRP
    guid: String,
    #[command(flatten)]
    wait: Wait,
}

pub(super) async fn run(rm: &Rm, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let (client, guid) = (options.client()?, &rm.guid);
    client.remove_lrp(guid).await.map_err(about_lrp)?;
    if !rm.wait.no_wait {
        wait::until(Goal::Gone, &client, guid, rm.wait, console).await?;
    }
    match options.output {
        Output::Json => console.json(&json!({ "process_guid": guid, "stopped": !rm.wait.no_wait }))?,
        Output::Table if rm.wait.no_wait => {
            console.line(format!("{guid} is not desired any more; its instances are being stopped"))?;
        }
        Output::Table => console.line(format!("removed {guid}; its instances have stopped"))?,
    }
    Ok(())
}
