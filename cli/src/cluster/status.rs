//! `capstan cluster status`: every node's own view, side by side.
//!
//! Each node is asked by itself, since nodes that disagree are what one wants to see. Nodes that those given with
//! `--addr` know of are asked too, so one good address shows the whole cluster.

use std::collections::{BTreeMap, BTreeSet};

use capstan_client::{
    CallError,
    cluster::{ClusterStatus, NodeStatus, Role},
};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::{
    console::{Console, Shade},
    failure::{Exit, Failure},
    options::{CallOptions, Output},
    text::{
        escape,
        table::{Cell, Table},
    },
};

/// What one address answered.
#[derive(Debug, Clone, Serialize)]
struct Asked {
    address: String,
    /// The node behind the address, once somebody has said so.
    node_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<ClusterStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) async fn run(options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let mut asked = ask_all(options, options.addresses.clone()).await?;
    let others = not_yet_asked(&asked);
    asked.extend(ask_all(options, others).await?);
    name_silent_nodes(&mut asked);
    asked.sort_by(|a, b| (a.node_id, &a.address).cmp(&(b.node_id, &b.address)));

    match options.output {
        Output::Json => console.json(&serde_json::json!({ "nodes": asked }))?,
        Output::Table => draw(&asked, console)?,
    }
    if asked.iter().any(|one| one.status.is_some()) {
        return Ok(());
    }
    Err(Failure::new(Exit::Unavailable, "no node answered", "check that the nodes run, and the addresses"))
}

async fn ask_all(options: &CallOptions, addresses: Vec<String>) -> Result<Vec<Asked>, Failure> {
    let mut calls = JoinSet::new();
    for address in addresses {
        let client = options.client_of(&address)?;
        calls.spawn(async move {
            match client.cluster_status().await {
                Ok(status) => {
                    Asked { address, node_id: Some(status.node_id), status: Some(status), error: None }
                }
                Err(error) => Asked { address, node_id: None, status: None, error: Some(reason(&error)) },
            }
        });
    }
    Ok(calls.join_all().await)
}

/// The addresses of nodes that others know of and that have not been asked under any address.
fn not_yet_asked(asked: &[Asked]) -> Vec<String> {
    let statuses = asked_statuses(asked);
    let answered: BTreeSet<u64> = statuses.iter().map(|status| status.node_id).collect();
    let tried: BTreeSet<&str> = asked.iter().map(|one| one.address.as_str()).collect();
    let known = statuses.iter().flat_map(|status| &status.nodes);
    let missing: BTreeSet<&str> = known
        .filter(|node| !answered.contains(&node.id))
        .map(|node| node.http.as_str())
        .filter(|address| !address.is_empty() && !tried.contains(address))
        .collect();
    missing.into_iter().map(str::to_owned).collect()
}

/// Names the nodes that did not answer by what the others know of their addresses.
fn name_silent_nodes(asked: &mut [Asked]) {
    let known: BTreeMap<String, u64> = asked_statuses(asked)
        .into_iter()
        .flat_map(|status| &status.nodes)
        .map(|node| (node.http.clone(), node.id))
        .collect();
    for one in asked.iter_mut().filter(|one| one.node_id.is_none()) {
        one.node_id = known.get(&one.address).copied();
    }
}

fn draw(asked: &[Asked], console: &mut Console) -> Result<(), Failure> {
    let statuses = asked_statuses(asked);
    let Some(newest) = statuses.iter().copied().max_by_key(|status| (status.term, status.leader_id)) else {
        let table = node_table(asked, None);
        console.line(table.draw(console))?;
        return draw_remarks(asked, console);
    };
    console.line(format!("cluster  {}", newest.cluster_id.as_deref().unwrap_or("not founded yet")))?;
    console.line(format!("leader   {}", leader_line(newest, console)))?;
    console.line(format!("voters   {}", voter_line(newest, &statuses, console)))?;
    if !newest.learners.is_empty() {
        console.line(format!("learners {}", ids(&newest.learners)))?;
    }
    console.line("")?;
    let leader =
        statuses.iter().copied().find(|s| s.state == Role::Leader && Some(s.node_id) == newest.leader_id);
    let table = node_table(asked, leader);
    console.line(table.draw(console))?;
    draw_remarks(asked, console)
}

fn draw_remarks(asked: &[Asked], console: &mut Console) -> Result<(), Failure> {
    for remark in remarks(asked) {
        console.line(format!("{} {remark}", console.painted(Shade::Bad, "!")))?;
    }
    Ok(())
}

fn leader_line(newest: &ClusterStatus, console: &Console) -> String {
    match newest.leader_id {
        Some(id) => format!("node {id}, term {}", newest.term),
        None => console.painted(Shade::Bad, &format!("none known in term {}", newest.term)),
    }
}

fn voter_line(newest: &ClusterStatus, statuses: &[&ClusterStatus], console: &Console) -> String {
    let answered =
        newest.voters.iter().filter(|id| statuses.iter().any(|status| status.node_id == **id)).count();
    let all = newest.voters.len();
    let verdict = if answered * 2 > all {
        console.painted(Shade::Good, "a majority")
    } else {
        console.painted(Shade::Bad, "no majority")
    };
    format!("{}; {answered} of {all} answered, {verdict}", ids(&newest.voters))
}

/// One line per node. Only the leader hears heartbeats, so when and how each was seen is the leader's account.
fn node_table(asked: &[Asked], leader: Option<&ClusterStatus>) -> Table {
    let mut table = Table::new(&[
        "NODE",
        "HTTP",
        "STATE",
        "TERM",
        "LOG",
        "COMMITTED",
        "APPLIED",
        "SNAPSHOT",
        "SEEN",
        "SKEW",
        "REQUESTS",
        "SPECS",
        "READY",
    ]);
    for one in asked {
        let seen = leader.and_then(|leader| leader.nodes.iter().find(|node| Some(node.id) == one.node_id));
        let name = Cell::maybe(one.node_id);
        let address = Cell::text(&one.address);
        match &one.status {
            Some(status) => table.row([
                name,
                address,
                Cell::text(part_of(status, seen)).shaded(shade_of(status.state)),
                Cell::number(status.term),
                Cell::number(status.last_log),
                Cell::number(status.committed),
                Cell::number(status.applied),
                Cell::number(status.snapshot),
                seen_cell(seen),
                skew_cell(seen),
                Cell::maybe(seen.map(|node| node.requests)),
                specs_cell(status),
                if status.ready { Cell::text("yes") } else { Cell::text("no").shaded(Shade::Bad) },
            ]),
            None => {
                table.row([name, address, Cell::text("no answer").shaded(Shade::Bad)]);
            }
        }
    }
    table
}

/// What a node is, and whether it takes work.
fn part_of(status: &ClusterStatus, seen: Option<&NodeStatus>) -> String {
    match seen {
        Some(node) if node.lost => format!("{}, lost", status.state),
        Some(node) if node.draining => format!("{}, draining", status.state),
        _ => status.state.to_string(),
    }
}

fn seen_cell(node: Option<&NodeStatus>) -> Cell {
    Cell::maybe(node.and_then(|node| node.last_seen_ms).map(|ms| format!("{ms} ms")))
}

fn skew_cell(node: Option<&NodeStatus>) -> Cell {
    Cell::maybe(node.and_then(|node| node.clock_skew_ms).map(|ms| format!("{ms:+} ms")))
}

/// Enough of the hash to see a difference.
fn specs_cell(status: &ClusterStatus) -> Cell {
    Cell::maybe(status.specs.as_ref().map(|hash| hash.chars().take(8).collect::<String>()))
}

/// What an operator should look at, each with the node it is about or comes from.
fn remarks(asked: &[Asked]) -> Vec<String> {
    let mut remarks = Vec::new();
    for one in asked {
        let who = one.node_id.map_or_else(|| one.address.clone(), |id| format!("node {id}"));
        let (reasons, alarms) = match &one.status {
            Some(status) => (&status.not_ready[..], &status.alarms[..]),
            None => (&[][..], &[][..]),
        };
        remarks.extend(one.error.iter().map(|error| format!("{who}: no answer: {error}")));
        remarks.extend(reasons.iter().map(|reason| format!("{who}: not ready: {reason}")));
        remarks.extend(alarms.iter().map(|alarm| format!("{who}: {alarm}")));
    }
    remarks.iter().map(|remark| escape::line(remark)).collect()
}

fn asked_statuses(asked: &[Asked]) -> Vec<&ClusterStatus> {
    asked.iter().filter_map(|one| one.status.as_ref()).collect()
}

fn shade_of(role: Role) -> Shade {
    match role {
        Role::Leader => Shade::Good,
        Role::Follower | Role::Learner => Shade::Plain,
        Role::Candidate | Role::Stopped | Role::Unknown => Shade::Bad,
    }
}

fn ids(ids: &[u64]) -> String {
    ids.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// Why a node did not answer, without its address, which stands beside it.
fn reason(error: &CallError) -> String {
    match error {
        CallError::Unreachable { tried } | CallError::Timeout { tried, .. } => {
            tried.last().map_or_else(|| error.to_string(), |attempt| attempt.failure.clone())
        }
        other => other.to_string(),
    }
}
