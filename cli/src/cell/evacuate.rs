//! `capstan cell evacuate ID`.

use std::time::Duration;

use capstan_client::Client;
use serde_json::json;

use super::about_cell;
use crate::{
    console::Console,
    failure::{Exit, Failure},
    options::{CallOptions, Output},
};

/// How often to look how many instances are left.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Which cell to empty.
#[derive(Debug, clap::Args)]
pub struct Evacuate {
    /// The cell's id, such as cell-1
    id: String,
    /// Wait until it has no instance any more
    #[arg(short, long)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    wait_max: Duration,
}

pub(super) async fn run(
    evacuate: &Evacuate,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let (client, id) = (options.client()?, &evacuate.id);
    let node = client.cell(id).await.map_err(about_cell)?.status.node;
    client.drain_node(node, true).await?;
    if evacuate.wait {
        wait_until_empty(&client, evacuate, console).await?;
    }
    match options.output {
        Output::Json => console.json(&json!({ "cell_id": id, "node": node, "empty": evacuate.wait }))?,
        Output::Table if evacuate.wait => console.line(format!("{id} is empty"))?,
        Output::Table => console.line(format!("{id} is being emptied"))?,
    }
    if options.output == Output::Table {
        console.note(&format!("next: capstan node undrain {node} lets it take work again"))?;
    }
    Ok(())
}

async fn wait_until_empty(
    client: &Client,
    evacuate: &Evacuate,
    console: &mut Console,
) -> Result<(), Failure> {
    let id = &evacuate.id;
    let mut told = None;
    let empty = async {
        loop {
            let left = client.cell(id).await.map_err(about_cell)?.status.instances;
            if left == 0 {
                return Ok::<_, Failure>(());
            }
            if told.replace(left) != Some(left) {
                console.note(&format!("{id} has {left} instances left"))?;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(evacuate.wait_max, empty).await.unwrap_or_else(|_| {
        Err(Failure::new(
            Exit::Unknown,
            format!("{id} still has instances after {:?}; the evacuation goes on", evacuate.wait_max),
            format!(
                "capstan cell show {id}, then capstan lrp explain of what is left: it may find no other cell"
            ),
        ))
    })
}
