//! What a task must be, in the words Diego's clients know (reference 2.9).

use std::sync::Arc;

use super::definition::TaskDefinition;
use crate::lrp::{
    action::{Action, EnvVar},
    egress::EgressRule,
    guid::Guid,
    validate::{Faults, has_scheme, is_request_uri},
};

/// A new task before it has been looked at. What was not sent is empty, zero or `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskDraft {
    /// Names it among all domains.
    pub task_guid: Arc<str>,
    /// Groups tasks.
    pub domain: Arc<str>,
    /// A URL.
    pub rootfs: Arc<str>,
    /// Every process of the task has it; where the caller sent `null` a variable without a name.
    pub env: Vec<EnvVar>,
    /// What it is all about.
    pub action: Option<Action>,
    /// Of the cell's disk, in MiB.
    pub disk_mb: i64,
    /// Of the cell's memory, in MiB.
    pub memory_mb: i64,
    /// Its share of the processors.
    pub cpu_weight: u64,
    /// Whether it runs without a user namespace.
    pub privileged: bool,
    /// The file whose content becomes the result.
    pub result_file: Arc<str>,
    /// Who is told of the end.
    pub completion_callback_url: Arc<str>,
    /// Under which name its output is streamed.
    pub log_guid: Arc<str>,
    /// Names the source of its output.
    pub log_source: Arc<str>,
    /// Under which name its use of resources is told.
    pub metrics_guid: Arc<str>,
    /// Any text of the owner's.
    pub annotation: Arc<str>,
    /// Which connections it may open; where the caller sent `null` a rule without a protocol.
    pub egress_rules: Vec<EgressRule>,
}

/// Checks a new task, and gives its name and what it is made of.
///
/// # Errors
/// The callback when it is none, or else everything that is wrong with the task.
pub fn task(draft: TaskDraft) -> Result<(Guid, TaskDefinition), Faults> {
    let callback = &*draft.completion_callback_url;
    if !callback.is_empty() && !is_request_uri(callback) {
        return Err(Faults::only(format!("parse {callback}: invalid URI for request")));
    }
    let mut faults = Faults::default();
    let guid = faults.guid("task_guid", draft.task_guid);
    faults.field_unless("domain", !draft.domain.is_empty());
    faults.field_unless("rootfs", has_scheme(&draft.rootfs));
    faults.required_action(draft.action.as_ref());
    let cpu_weight = faults.cpu_weight(draft.cpu_weight);
    faults.annotation(&draft.annotation);
    for rule in &draft.egress_rules {
        faults.egress_rule_of_task(rule);
    }
    let memory_mb = faults.count("memory_mb", draft.memory_mb);
    let disk_mb = faults.count("disk_mb", draft.disk_mb);
    faults.env(&draft.env);
    let definition = TaskDefinition {
        domain: draft.domain,
        rootfs: draft.rootfs,
        env: draft.env,
        action: draft.action.unwrap_or_default(),
        disk_mb,
        memory_mb,
        cpu_weight,
        privileged: draft.privileged,
        result_file: draft.result_file,
        completion_callback_url: draft.completion_callback_url,
        log_guid: draft.log_guid,
        log_source: draft.log_source,
        metrics_guid: draft.metrics_guid,
        annotation: draft.annotation,
        egress_rules: draft.egress_rules,
    };
    faults.none()?;
    Ok((guid.expect("a text that is no guid is a fault"), definition))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lrp::action::{Kind, Run};

    fn draft() -> TaskDraft {
        let run = Run { path: "p".into(), user: "u".into(), ..Run::default() };
        TaskDraft {
            task_guid: "t".into(),
            domain: "d".into(),
            rootfs: "preloaded:x".into(),
            action: Some(Action { kinds: vec![Kind::Run(run)] }),
            ..TaskDraft::default()
        }
    }

    #[test]
    fn a_valid_task_keeps_what_was_sent() {
        let (guid, definition) = task(TaskDraft { memory_mb: 7, ..draft() }).unwrap();
        assert_eq!((guid.as_str(), &*definition.domain, definition.memory_mb), ("t", "d", 7));
    }

    #[test]
    fn faults_are_told_in_order() {
        let blank = EnvVar { name: "".into(), value: "v".into() };
        let cases: [(TaskDraft, &str); 11] = [
            (
                TaskDraft { task_guid: "t2".into(), ..TaskDraft::default() },
                "Invalid field: domain, Invalid field: rootfs, invalid action type",
            ),
            (TaskDraft { task_guid: "a b".into(), ..draft() }, "Invalid field: task_guid"),
            (TaskDraft { rootfs: "ploop".into(), ..draft() }, "Invalid field: rootfs"),
            (
                TaskDraft { action: Some(Action::default()), ..draft() },
                "Invalid field: action, Invalid field: inner-action",
            ),
            (TaskDraft { cpu_weight: 101, ..draft() }, "Invalid field: cpu_weight"),
            (TaskDraft { annotation: "x".repeat(10_241).into(), ..draft() }, "Invalid field: annotation"),
            (
                TaskDraft { egress_rules: vec![EgressRule::default(); 2], ..draft() },
                "Invalid field: egress_rules, Invalid field: egress_rules",
            ),
            (TaskDraft { memory_mb: -1, ..draft() }, "Invalid field: memory_mb"),
            (TaskDraft { disk_mb: 1 << 31, ..draft() }, "Invalid field: disk_mb"),
            (TaskDraft { env: vec![blank], ..draft() }, "invalid field: name cannot be blank"),
            (
                TaskDraft { completion_callback_url: "x".into(), ..TaskDraft::default() },
                "parse x: invalid URI for request",
            ),
        ];
        for (draft, expected) in cases {
            assert_eq!(task(draft).unwrap_err().to_string(), expected);
        }
    }
}
