//! From the model's LRPs and cells to Diego's.

mod action;
mod task;

use capstan_client::receptor as wire;
use capstan_model::{
    ids::NodeId,
    lrp::{
        action::EnvVar,
        actual::{Actual, ActualKey, NetInfo, Phase, Presence},
        cell::Cell,
        desired::Desired,
        egress::EgressRule,
    },
    time::Timestamp,
};
use serde_json::value::RawValue;

pub(super) use self::task::task;
use super::tag;

/// A desired LRP.
pub(super) fn desired(desired: &Desired) -> wire::DesiredLrp {
    let (definition, changeable) = (&desired.definition, &desired.changeable);
    wire::DesiredLrp {
        process_guid: desired.guid.to_string(),
        domain: definition.domain.to_string(),
        rootfs: definition.rootfs.to_string(),
        instances: changeable.instances,
        env: definition.env.iter().map(variable).collect(),
        setup: definition.setup.as_ref().map(action::shown),
        action: Some(action::shown(&definition.action)),
        monitor: definition.monitor.as_ref().map(action::shown),
        start_timeout: definition.start_timeout_secs,
        disk_mb: definition.disk_mb,
        memory_mb: definition.memory_mb,
        cpu_weight: definition.cpu_weight,
        privileged: definition.privileged,
        ports: definition.ports.clone(),
        routes: changeable.routes.iter().map(|(name, value)| (name.to_string(), raw(value))).collect(),
        log_guid: definition.log_guid.to_string(),
        log_source: definition.log_source.to_string(),
        metrics_guid: definition.metrics_guid.to_string(),
        annotation: changeable.annotation.to_string(),
        egress_rules: definition.egress_rules.iter().map(egress_rule).collect(),
        modification_tag: tag::shown(desired.tag),
    }
}

/// A record of an index.
pub(super) fn actual(key: &ActualKey, presence: Presence, actual: &Actual) -> wire::ActualLrp {
    use wire::ActualLrpState as State;
    let (state, net, placement_error) = match &actual.phase {
        Phase::Unclaimed { placement_error } => (State::Unclaimed, None, placement_error.to_string()),
        Phase::Claimed { .. } => (State::Claimed, None, String::new()),
        Phase::Running { net, .. } => (State::Running, Some(&**net), String::new()),
        Phase::Crashed => (State::Crashed, None, String::new()),
    };
    let instance = actual.instance();
    wire::ActualLrp {
        process_guid: key.guid.to_string(),
        instance_guid: instance.map(|instance| tag::uuid(instance.instance_guid)).unwrap_or_default(),
        cell_id: instance.map(|instance| cell_id(instance.cell.node)).unwrap_or_default(),
        domain: actual.domain.to_string(),
        index: key.index,
        address: net.map(|net| net.address.to_string()).unwrap_or_default(),
        ports: net.map(ports).unwrap_or_default(),
        state,
        crash_count: actual.crash_count,
        crash_reason: actual.crash_reason.to_string(),
        placement_error,
        since: unix_nanos(actual.since),
        evacuating: presence == Presence::Evacuating,
        modification_tag: tag::shown(actual.tag),
    }
}

/// A cell.
pub(super) fn cell(node: NodeId, cell: &Cell) -> wire::Cell {
    let names = |names: &[std::sync::Arc<str>]| names.iter().map(ToString::to_string).collect();
    let preloaded = ("preloaded".to_owned(), names(&cell.rootfs.preloaded));
    let schemes = cell.rootfs.schemes.iter().map(|scheme| (scheme.to_string(), Vec::new()));
    wire::Cell {
        cell_id: cell_id(node),
        zone: cell.zone.to_string(),
        capacity: wire::CellCapacity {
            memory_mb: cell.capacity.memory_mb.into(),
            disk_mb: cell.capacity.disk_mb.into(),
            containers: cell.capacity.containers.into(),
        },
        rootfs_providers: schemes.chain([preloaded]).collect(),
    }
}

/// The name of a node as a cell.
pub(crate) fn cell_id(node: NodeId) -> String {
    format!("cell-{node}")
}

fn variable(variable: &EnvVar) -> wire::EnvironmentVariable {
    wire::EnvironmentVariable { name: variable.name.to_string(), value: variable.value.to_string() }
}

fn egress_rule(rule: &EgressRule) -> wire::EgressRule {
    wire::EgressRule {
        protocol: rule.protocol.to_string(),
        destinations: rule.destinations.iter().map(ToString::to_string).collect(),
        ports: rule.ports.clone(),
        port_range: rule.port_range.map(|range| wire::PortRange { start: range.start, end: range.end }),
        icmp_info: rule.icmp_info.map(|info| wire::IcmpInfo { kind: info.r#type, code: info.code }),
        log: rule.log,
    }
}

fn ports(net: &NetInfo) -> Vec<wire::PortMapping> {
    let shown = net
        .ports
        .iter()
        .map(|port| wire::PortMapping { container_port: port.container_port, host_port: port.host_port });
    shown.collect()
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("a route was read as JSON before it was stored")
}

fn unix_nanos(at: Timestamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
