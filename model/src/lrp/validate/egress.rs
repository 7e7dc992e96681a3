//! The rules of egress rules (reference 2.5).

use super::{Faults, destination};
use crate::lrp::egress::{EgressRule, PortRange};

/// The highest port there is. Upstream documents it and does not check it.
const PORT_MAX: u32 = 65_535;

/// What is wrong with a rule.
pub(super) fn faults(rule: &EgressRule) -> Faults {
    let mut faults = Faults::default();
    match &*rule.protocol {
        "tcp" => {
            ports(&mut faults, rule);
            faults.field_unless("icmp_info", rule.icmp_info.is_none());
        }
        "udp" => {
            ports(&mut faults, rule);
            faults.field_unless("icmp_info", rule.icmp_info.is_none());
            faults.field_unless("log", !rule.log);
        }
        "icmp" => {
            no_ports(&mut faults, rule);
            faults.field_unless("icmp_info", rule.icmp_info.is_some());
            faults.field_unless("log", !rule.log);
        }
        "all" => {
            no_ports(&mut faults, rule);
            faults.field_unless("icmp_info", rule.icmp_info.is_none());
        }
        _ => faults.field("protocol"),
    }
    if let Some(wrong) = destination::faults(&rule.destinations) {
        faults.field(&format!("destinations [ {wrong} ]"));
    }
    faults
}

fn no_ports(faults: &mut Faults, rule: &EgressRule) {
    faults.field_unless("port_range", rule.port_range.is_none());
    faults.field_unless("ports", rule.ports.is_empty());
}

/// Exactly one of the two ways to name ports. An empty list is none.
fn ports(faults: &mut Faults, rule: &EgressRule) {
    match rule.port_range {
        None if rule.ports.is_empty() => {
            faults.0.push("Missing required field: ports or port_range".to_owned());
        }
        None => {
            for port in &rule.ports {
                faults.field_unless("ports", is_port(*port));
            }
        }
        Some(_) if !rule.ports.is_empty() => {
            faults.0.push("Invalid: ports and port_range provided".to_owned());
        }
        Some(PortRange { start, end }) => {
            faults.field_unless("port_range", is_port(start));
            faults.field_unless("port_range", is_port(end));
            faults.field_unless("port_range", start <= end);
        }
    }
}

fn is_port(number: u32) -> bool {
    (1..=PORT_MAX).contains(&number)
}
