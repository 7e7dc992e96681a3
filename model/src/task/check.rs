//! What must hold of tasks, whatever was applied.

use super::Tasks;

/// Checks everything about tasks; the error says what does not hold.
pub(crate) fn check(tasks: &Tasks) -> Result<(), String> {
    if tasks.indexes != tasks.rebuild_indexes() {
        return Err("the indexes do not follow from the tasks".into());
    }
    for task in tasks.iter() {
        let done_at = task.completed().map(|completed| completed.at);
        if task.updated_at < task.created_at || done_at.is_some_and(|at| at > task.updated_at) {
            return Err(format!("task {} changed before it was there", task.guid));
        }
    }
    Ok(())
}
