//! `/cluster/v1/cells`: what cells have, and what of it is taken. `/v1/cells` tells the former only.

use std::collections::BTreeMap;

use capstan_client::{
    cluster::{CellDetail, CellIsolation, CellState, CellStatus, HostedInstance, Unlimited},
    receptor::{ActualLrpState, CellCapacity},
};
use capstan_model::{
    ids::NodeId,
    lrp::{
        actual::{Actual, ActualKey, Phase, Presence},
        cell::{Capacity, Cell, RootfsProviders, Used},
        isolation::Isolation,
    },
    state::State,
    time::Timestamp,
};
use http::{HeaderValue, StatusCode};

use crate::{
    answer::{self, Answer},
    call::{Head, decode_segment},
    error::{ApiError, InputError},
    headers, read,
    service::Inner,
};

/// `GET …`: all of them, silent and drained ones included.
pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let view = read::view(&api.parts.cluster, head).await?;
    let state = view.state();
    let cells: Vec<_> = state.lrps.cells().map(|(node, cell)| status(state, node, cell)).collect();
    Ok(at_index(answer::json(StatusCode::OK, &cells), view.index()))
}

/// `GET …/{cell_id}`: one of them, and what it has.
pub(crate) async fn get(api: &Inner, head: &Head<'_>, id: &str) -> Result<Answer, ApiError> {
    let id = decode_segment(id)?;
    let view = read::view(&api.parts.cluster, head).await?;
    let state = view.state();
    let found = state.lrps.cells().find(|(node, _)| cell_id(*node) == id);
    let (node, cell) = found.ok_or_else(|| InputError::NoSuchCell { id: id.chars().take(100).collect() })?;
    let hosted = state.lrps.on_cell(cell.incarnation);
    let detail = CellDetail {
        status: status(state, node, cell),
        hosted: hosted.map(|record| shown(state, record.key, record.presence, record.actual)).collect(),
        task_guids: state.tasks.on_cell(cell.incarnation).map(|task| task.guid.to_string()).collect(),
    };
    Ok(at_index(answer::json(StatusCode::OK, &detail), view.index()))
}

/// The name of a node's cell, as everything under `/v1` spells it.
pub(super) fn cell_id(node: NodeId) -> String {
    format!("cell-{node}")
}

/// How far a record is, in Diego's words.
pub(super) fn state_of(phase: &Phase) -> ActualLrpState {
    match phase {
        Phase::Unclaimed { .. } => ActualLrpState::Unclaimed,
        Phase::Claimed { .. } => ActualLrpState::Claimed,
        Phase::Running { .. } => ActualLrpState::Running,
        Phase::Crashed => ActualLrpState::Crashed,
    }
}

/// Why the last auction found no cell for a record; empty unless it waits for one.
pub(super) fn placement_error(phase: &Phase) -> String {
    match phase {
        Phase::Unclaimed { placement_error } => placement_error.to_string(),
        Phase::Claimed { .. } | Phase::Running { .. } | Phase::Crashed => String::new(),
    }
}

/// A time as the JSON of LRPs has it.
pub(super) fn unix_nanos(at: Timestamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

fn status(state: &State, node: NodeId, cell: &Cell) -> CellStatus {
    let tasks = u64::from(state.tasks.count_on(cell.incarnation));
    let used = state.used(cell.incarnation);
    CellStatus {
        cell_id: cell_id(node),
        node: node.0,
        zone: cell.zone.to_string(),
        state: match cell {
            Cell { silent: true, .. } => CellState::Silent,
            Cell { evacuating: true, .. } => CellState::Evacuating,
            _ => CellState::Open,
        },
        capacity: capacity(cell.capacity),
        used: taken(used),
        instances: used.containers - tasks,
        tasks,
        rootfs_providers: providers(&cell.rootfs),
        isolation: isolation(&cell.isolation),
    }
}

/// How far a cell keeps what it runs apart, on the wire.
pub(super) fn isolation(of: &Isolation) -> CellIsolation {
    let unlimited = of.unlimited.iter().map(|unlimited| Unlimited {
        limit: unlimited.limit.name().to_owned(),
        reason: unlimited.reason.to_string(),
    });
    CellIsolation { own_network: of.own_network, unlimited: unlimited.collect() }
}

fn capacity(of: Capacity) -> CellCapacity {
    CellCapacity {
        memory_mb: of.memory_mb.into(),
        disk_mb: of.disk_mb.into(),
        containers: of.containers.into(),
    }
}

fn taken(used: Used) -> CellCapacity {
    CellCapacity { memory_mb: used.memory_mb, disk_mb: used.disk_mb, containers: used.containers }
}

fn providers(rootfs: &RootfsProviders) -> BTreeMap<String, Vec<String>> {
    let preloaded = rootfs.preloaded.iter().map(ToString::to_string).collect();
    let schemes = rootfs.schemes.iter().map(|scheme| (scheme.to_string(), Vec::new()));
    std::iter::once(("preloaded".to_owned(), preloaded)).chain(schemes).collect()
}

fn shown(state: &State, key: &ActualKey, presence: Presence, actual: &Actual) -> HostedInstance {
    let evacuating = presence == Presence::Evacuating;
    let group = state.lrps.group(key).filter(|_| evacuating);
    let replacement = group.and_then(|group| group.get(Presence::Ordinary));
    HostedInstance {
        process_guid: key.guid.to_string(),
        index: key.index,
        state: state_of(&actual.phase),
        since: unix_nanos(actual.since),
        evacuating,
        replacement_error: replacement.map(|actual| placement_error(&actual.phase)).unwrap_or_default(),
        stopping: actual.stopping().is_some(),
    }
}

pub(super) fn at_index(mut answer: Answer, index: u64) -> Answer {
    answer.headers_mut().insert(headers::INDEX, HeaderValue::from(index));
    answer
}
