//! Tasks.

use capstan_client::receptor as wire;
use capstan_model::task::{Phase, Task};

use super::{action, cell_id, egress_rule, unix_nanos, variable};

/// A task. The file of its result is shown, which upstream forgets.
pub(in crate::receptor) fn task(task: &Task) -> wire::Task {
    let definition = &task.definition;
    let outcome = task.completed().map(|completed| completed.outcome.clone()).unwrap_or_default();
    wire::Task {
        action: Some(action::shown(&definition.action)),
        annotation: definition.annotation.to_string(),
        completion_callback_url: definition.completion_callback_url.to_string(),
        cpu_weight: definition.cpu_weight,
        disk_mb: definition.disk_mb,
        domain: definition.domain.to_string(),
        log_guid: definition.log_guid.to_string(),
        log_source: definition.log_source.to_string(),
        metrics_guid: definition.metrics_guid.to_string(),
        memory_mb: definition.memory_mb,
        result_file: definition.result_file.to_string(),
        task_guid: task.guid.to_string(),
        rootfs: definition.rootfs.to_string(),
        privileged: definition.privileged,
        env: definition.env.iter().map(variable).collect(),
        cell_id: task.cell().map(|cell| cell_id(cell.node)).unwrap_or_default(),
        created_at: unix_nanos(task.created_at),
        failed: outcome.failed,
        failure_reason: outcome.failure_reason.to_string(),
        result: outcome.result.to_string(),
        state: match task.phase {
            Phase::Pending => wire::TaskState::Pending,
            Phase::Running { .. } => wire::TaskState::Running,
            Phase::Completed(_) => wire::TaskState::Completed,
            Phase::Resolving(_) => wire::TaskState::Resolving,
        },
        egress_rules: definition.egress_rules.iter().map(egress_rule).collect(),
    }
}
