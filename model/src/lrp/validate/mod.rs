//! What a desired LRP must be, in the words Diego's clients know.
//!
//! All faults are found and told together, in an order that is part of the contract (reference 2.4, 2.5 and 2.8). Faults that
//! upstream found only while it stored an LRP, and then answered as its own, come after those it found in time.

mod action;
mod destination;
mod egress;
mod routes;
mod url;

pub mod draft;

use std::{fmt, sync::Arc};

use self::{
    draft::{DesiredDraft, RoutesDraft, UpdateDraft},
    routes::compacted,
};
use super::{
    action::{Action, EnvVar},
    definition::{Changeable, Definition, Update},
    desired::INSTANCES_MAX,
    egress::EgressRule,
    guid::{Guid, ProcessGuid},
};

pub(crate) use self::url::{has_scheme, is_request_uri};

/// The longest annotation, in bytes.
pub const ANNOTATION_BYTES_MAX: usize = 10 * 1024;
/// The most bytes that the values of all routes have, as they were sent.
pub const ROUTES_BYTES_MAX: usize = 4 * 1024;
/// The most that an instance's share of the processors can be.
pub const CPU_WEIGHT_MAX: u32 = 100;
/// The largest size in MiB, which Diego keeps as 32 bits with a sign.
const COUNT_MAX: i64 = i32::MAX as i64;

/// What is wrong with a draft.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<String>);

/// A desired LRP that may be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidDesired {
    /// Names it.
    pub process_guid: ProcessGuid,
    /// The part that never changes.
    pub definition: Definition,
    /// The part that its owner may change.
    pub changeable: Changeable,
}

/// Checks a new desired LRP.
///
/// # Errors
/// Everything that is wrong with it.
pub fn desired(draft: DesiredDraft) -> Result<ValidDesired, Faults> {
    let mut faults = Faults::default();
    faults.field_unless("domain", !draft.domain.is_empty());
    let process_guid = faults.guid("process_guid", draft.process_guid);
    // Twice when it is empty: upstream has a rule for each.
    faults.field_unless("rootfs", !draft.rootfs.is_empty());
    faults.field_unless("rootfs", has_scheme(&draft.rootfs));
    faults.action("setup", draft.setup.as_ref());
    faults.required_action(draft.action.as_ref());
    faults.action("monitor", draft.monitor.as_ref());
    let instances = faults.instances(draft.instances);
    let cpu_weight = faults.cpu_weight(draft.cpu_weight);
    faults.annotation(&draft.annotation);
    faults.routes(&draft.routes);
    for rule in &draft.egress_rules {
        faults.egress_rule(rule);
    }
    let memory_mb = faults.count("memory_mb", draft.memory_mb);
    let disk_mb = faults.count("disk_mb", draft.disk_mb);
    let start_timeout_secs = faults.unsigned("start_timeout", draft.start_timeout_secs);
    faults.env(&draft.env);
    faults.none()?;
    Ok(ValidDesired {
        process_guid: process_guid.expect("a text that is no guid is a fault"),
        definition: Definition {
            domain: draft.domain,
            rootfs: draft.rootfs,
            env: draft.env,
            setup: draft.setup,
            action: draft.action.unwrap_or_default(),
            monitor: draft.monitor,
            start_timeout_secs,
            disk_mb,
            memory_mb,
            cpu_weight,
            privileged: draft.privileged,
            ports: draft.ports,
            log_guid: draft.log_guid,
            log_source: draft.log_source,
            metrics_guid: draft.metrics_guid,
            egress_rules: draft.egress_rules,
        },
        changeable: Changeable { instances, routes: compacted(&draft.routes), annotation: draft.annotation },
    })
}

/// Checks a change.
///
/// # Errors
/// Everything that is wrong with it.
pub fn update(draft: UpdateDraft) -> Result<Update, Faults> {
    let mut faults = Faults::default();
    let instances = draft.instances.map(|instances| faults.instances(instances));
    if let Some(annotation) = &draft.annotation {
        faults.annotation(annotation);
    }
    if let Some(routes) = &draft.routes {
        faults.routes(routes);
    }
    let routes = draft.routes.as_ref().map(compacted);
    faults.none()?;
    Ok(Update { instances, routes, annotation: draft.annotation })
}

impl Faults {
    /// One fault, in words of its own.
    pub(crate) fn only(text: String) -> Self {
        Self(vec![text])
    }

    /// Ends a check in which faults were found.
    pub(crate) fn none(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    pub(crate) fn field(&mut self, name: &str) {
        self.0.push(format!("Invalid field: {name}"));
    }

    pub(crate) fn field_unless(&mut self, name: &str, holds: bool) {
        if !holds {
            self.field(name);
        }
    }

    pub(crate) fn guid(&mut self, name: &str, text: Arc<str>) -> Option<Guid> {
        let guid = text.try_into().ok();
        self.field_unless(name, guid.is_some());
        guid
    }

    /// A member that holds others is named once, before what is wrong inside.
    fn holding(&mut self, name: &str, mut inner: Self) {
        if !inner.0.is_empty() {
            self.field(name);
            self.0.append(&mut inner.0);
        }
    }

    fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    fn action(&mut self, name: &str, action: Option<&Action>) {
        if let Some(action) = action {
            self.holding(name, action::faults(action));
        }
    }

    pub(crate) fn required_action(&mut self, action: Option<&Action>) {
        match action {
            Some(_) => self.action("action", action),
            None => self.0.push("invalid action type".to_owned()),
        }
    }

    pub(crate) fn cpu_weight(&mut self, given: u64) -> u32 {
        let weight = u32::try_from(given).unwrap_or(u32::MAX);
        self.field_unless("cpu_weight", weight <= CPU_WEIGHT_MAX);
        weight
    }

    pub(crate) fn annotation(&mut self, annotation: &str) {
        self.field_unless("annotation", annotation.len() <= ANNOTATION_BYTES_MAX);
    }

    fn routes(&mut self, routes: &RoutesDraft) {
        self.field_unless("routes", routes::are_legal(routes));
    }

    fn egress_rule(&mut self, rule: &EgressRule) {
        self.holding("egress_rules", egress::faults(rule));
    }

    /// As for an LRP, but without saying what is wrong inside.
    pub(crate) fn egress_rule_of_task(&mut self, rule: &EgressRule) {
        self.field_unless("egress_rules", egress::faults(rule).0.is_empty());
    }

    /// Not more than one LRP may have, either: asking again later would not help.
    fn instances(&mut self, given: i64) -> u32 {
        let instances = u32::try_from(given).ok().filter(|instances| *instances <= INSTANCES_MAX);
        self.field_unless("instances", instances.is_some());
        instances.unwrap_or_default()
    }

    /// A number that upstream keeps in 32 bits with a sign, and that may not be negative.
    pub(crate) fn count(&mut self, name: &str, given: i64) -> u32 {
        self.field_unless(name, (0..=COUNT_MAX).contains(&given));
        u32::try_from(given).unwrap_or_default()
    }

    /// A number that upstream keeps in 32 bits without a sign.
    fn unsigned(&mut self, name: &str, given: u64) -> u32 {
        let kept = u32::try_from(given);
        self.field_unless(name, kept.is_ok());
        kept.unwrap_or_default()
    }

    pub(crate) fn env(&mut self, env: &[EnvVar]) {
        for _ in env.iter().filter(|variable| variable.name.is_empty()) {
            self.0.push("invalid field: name cannot be blank".to_owned());
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl std::error::Error for Faults {}

#[cfg(test)]
mod tests;
