//! `capstan task show GUID`.

use capstan_client::spin_cycle::UtcTime;

use super::{about_task, state_of};
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
    text::{
        escape,
        facts::{facts, or_dash},
        time::when,
    },
};

/// Which task to show.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The task
    guid: String,
}

pub(super) async fn run(show: &Show, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let task = options.client()?.task(&show.guid).await.map_err(about_task)?;
    if options.output == Output::Json {
        return Ok(console.json(&task)?);
    }
    let created = u64::try_from(task.created_at).ok().map(UtcTime::from_unix_nanos);
    let (state, shade) = state_of(&task);
    let size = |mib: u32| if mib == 0 { "unlimited".to_owned() } else { format!("{mib} MiB") };
    console.line(facts([
        ("guid", escape::line(&task.task_guid)),
        ("domain", escape::line(&task.domain)),
        ("state", console.painted(shade, state)),
        ("why", or_dash(&task.failure_reason)),
        ("result", or_dash(&task.result)),
        ("cell", or_dash(&task.cell_id)),
        ("created", created.map_or_else(|| "-".to_owned(), |created| when(created, (console.now)()))),
        ("rootfs", escape::line(&task.rootfs)),
        ("memory", size(task.memory_mb)),
        ("disk", size(task.disk_mb)),
        ("annotation", or_dash(&task.annotation)),
    ]))?;
    Ok(())
}
