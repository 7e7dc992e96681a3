//! `capstan node drain ID` and `capstan node undrain ID`.

use std::time::Duration;

use capstan_client::{CallError, Client, cluster::NodeDrain};
use tokio::time::Instant;

use crate::{
    cell::emptying::Emptying,
    console::Console,
    failure::{Exit, Failure},
    options::{CallOptions, Output},
};

/// How often to look whether a node has handed everything over.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Which node to drain.
#[derive(Debug, clap::Args)]
pub struct Drain {
    /// The node's id
    #[arg(value_name = "ID")]
    node: u64,
    /// Wait until it owns no request, and its cell has no instance and no task any more
    #[arg(short, long)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    wait_max: Duration,
}

/// Which node to put back into service.
#[derive(Debug, clap::Args)]
pub struct Undrain {
    /// The node's id
    #[arg(value_name = "ID")]
    node: u64,
}

pub(super) async fn drain(
    drain: &Drain,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let client = options.client()?;
    let answer = client.drain_node(drain.node, true).await.map_err(about_node)?;
    if drain.wait {
        wait_until_empty(&client, drain, console).await?;
    }
    tell(&answer, options, console, if drain.wait { "is drained" } else { "is being drained" })?;
    if !drain.wait && options.output == Output::Table {
        console.note(&format!(
            "next: capstan node drain {} --wait, or capstan cluster status and capstan cell ls",
            drain.node
        ))?;
    }
    Ok(())
}

pub(super) async fn undrain(
    undrain: &Undrain,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let answer = options.client()?.drain_node(undrain.node, false).await.map_err(about_node)?;
    tell(&answer, options, console, "takes work again")
}

fn tell(answer: &NodeDrain, options: &CallOptions, console: &mut Console, what: &str) -> Result<(), Failure> {
    match options.output {
        Output::Json => console.json(answer)?,
        Output::Table => console.line(format!("node {} {what}", answer.id))?,
    }
    Ok(())
}

/// Waits until the node has handed its requests over and its cell, if it has one, is empty.
async fn wait_until_empty(client: &Client, drain: &Drain, console: &mut Console) -> Result<(), Failure> {
    let (node, started) = (drain.node, Instant::now());
    tokio::time::timeout(drain.wait_max, until_handed_over(client, node, console)).await.unwrap_or_else(
        |_| {
            Err(Failure::new(
                Exit::Unknown,
                format!("node {node} still has requests after {:?}; the drain goes on", drain.wait_max),
                "capstan cluster status shows whether another node can take them",
            ))
        },
    )?;
    let cells = client.cell_statuses().await?;
    let Some(cell) = cells.iter().find(|cell| cell.node == node) else { return Ok(()) };
    let mut emptying = Emptying::new(node, &cell.cell_id);
    let empty = async {
        while !emptying.look(client, console).await? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    let ended = tokio::time::timeout(drain.wait_max.saturating_sub(started.elapsed()), empty).await;
    ended.unwrap_or_else(|_| Err(emptying.unfinished(drain.wait_max)))
}

async fn until_handed_over(client: &Client, node: u64, console: &mut Console) -> Result<(), Failure> {
    let mut told = None;
    loop {
        let status = client.cluster_status().await?;
        let found = status.nodes.iter().find(|found| found.id == node);
        // The node that answers may not have applied the drain yet.
        let left = found.filter(|found| found.draining).map(|found| found.requests);
        if left == Some(0) {
            return Ok(());
        }
        if let Some(left) = left.filter(|left| told != Some(*left)) {
            console.note(&format!("node {node} has {left} requests to hand over"))?;
            told = Some(left);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn about_node(error: CallError) -> Failure {
    let missing = error.is_not_found();
    let failure = Failure::from(error);
    if missing { failure.suggesting("capstan cluster status shows the nodes") } else { failure }
}
