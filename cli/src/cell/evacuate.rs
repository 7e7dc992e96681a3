//! `capstan cell evacuate ID`.

use std::time::Duration;

use capstan_client::Client;
use serde_json::json;

use super::{about_cell, emptying::Emptying};
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
};

/// How often to look what is left.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Which cell to empty.
#[derive(Debug, clap::Args)]
pub struct Evacuate {
    /// The cell's id, such as cell-1
    id: String,
    /// Wait until it has no instance and no task any more, and say which instances find no other cell
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
        wait_until_empty(&client, node, evacuate, console).await?;
    }
    match options.output {
        Output::Json => console.json(&json!({ "cell_id": id, "node": node, "empty": evacuate.wait }))?,
        Output::Table if evacuate.wait => console.line(format!("{id} is empty"))?,
        Output::Table => console.line(format!("{id} is being emptied"))?,
    }
    if options.output == Output::Table {
        let undrain = format!("capstan node undrain {node} lets it take work again");
        let wait = format!("capstan cell evacuate {id} --wait says what finds no other cell");
        let next = if evacuate.wait { undrain } else { format!("{wait}; {undrain}") };
        console.note(&format!("next: {next}"))?;
    }
    Ok(())
}

async fn wait_until_empty(
    client: &Client,
    node: u64,
    evacuate: &Evacuate,
    console: &mut Console,
) -> Result<(), Failure> {
    let mut emptying = Emptying::new(node, &evacuate.id);
    let empty = async {
        while !emptying.look(client, console).await? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    let ended = tokio::time::timeout(evacuate.wait_max, empty).await;
    ended.unwrap_or_else(|_| Err(emptying.unfinished(evacuate.wait_max)))
}
