//! Waiting until a drained cell has nothing any more, and saying what of it goes on for want of another cell.

use std::{collections::BTreeSet, time::Duration};

use capstan_client::{
    Client,
    cluster::{CellDetail, HostedInstance},
};

use super::about_cell;
use crate::{
    console::Console,
    failure::{Exit, Failure},
    text::escape,
};

/// At most so many instances are named in one line.
const NAMED_MAX: usize = 5;

/// A cell whose node was drained, as far as it was seen.
pub(crate) struct Emptying {
    node: u64,
    cell_id: String,
    /// What it had at the last look: instances and tasks.
    left: Option<(u64, u64)>,
    /// Those of its instances for which there was no other cell then.
    without_cell: Vec<HostedInstance>,
    /// What of these was told.
    told: BTreeSet<(String, u32, String)>,
}

impl Emptying {
    /// The cell of a node, of which nothing was seen yet.
    pub(crate) fn new(node: u64, cell_id: &str) -> Self {
        let cell_id = cell_id.to_owned();
        Self { node, cell_id, left: None, without_cell: Vec::new(), told: BTreeSet::new() }
    }

    /// Looks at it, tells what has changed since the last look, and returns whether it has nothing any more.
    pub(crate) async fn look(&mut self, client: &Client, console: &mut Console) -> Result<bool, Failure> {
        let CellDetail { status, hosted, .. } = client.cell(&self.cell_id).await.map_err(about_cell)?;
        let left = (status.instances, status.tasks);
        let is_empty = left == (0, 0);
        if self.left.replace(left) != Some(left) && !is_empty {
            console.note(&format!("{} has {} left", self.cell_id, counted(left)))?;
        }
        self.without_cell =
            hosted.into_iter().filter(|instance| !instance.replacement_error.is_empty()).collect();
        for instance in &self.without_cell {
            let HostedInstance { process_guid, index, replacement_error, .. } = instance;
            if self.told.insert((process_guid.clone(), *index, replacement_error.clone())) {
                let line =
                    format!("{process_guid}/{index} goes on, without another cell: {replacement_error}");
                console.note(&escape::line(&line))?;
            }
        }
        Ok(is_empty)
    }

    /// What is so when it still has something after such a wait.
    pub(crate) fn unfinished(&self, waited: Duration) -> Failure {
        let (cell, node) = (&self.cell_id, self.node);
        let left = self.left.map_or_else(|| "something, as far as is known".to_owned(), counted);
        let message = format!("{cell} still has {left} after {waited:?}");
        if self.without_cell.is_empty() {
            let next =
                format!("capstan cell show {cell}; capstan node undrain {node} lets it take work again");
            return Failure::new(Exit::Unknown, format!("{message}; the evacuation goes on"), next);
        }
        let message = format!(
            "{message}; no other cell takes {}; nothing of it is stopped, and the evacuation goes on",
            escape::line(&named(&self.without_cell))
        );
        let guid = &self.without_cell[0].process_guid;
        let next = format!(
            "make room (capstan lrp explain {guid} says what each cell lacks), or capstan node undrain {node} lets {cell} take work again"
        );
        Failure::new(Exit::Unknown, message, next)
    }
}

fn counted((instances, tasks): (u64, u64)) -> String {
    let of = |count: u64, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{count} {what}s")),
    };
    let parts: Vec<_> = [of(instances, "instance"), of(tasks, "task")].into_iter().flatten().collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(" and ") }
}

/// `web/1 (insufficient resources: memory)`, one for each.
fn named(instances: &[HostedInstance]) -> String {
    let name = |instance: &HostedInstance| {
        format!("{}/{} ({})", instance.process_guid, instance.index, instance.replacement_error)
    };
    let mut text = instances.iter().take(NAMED_MAX).map(name).collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = instances.len().checked_sub(NAMED_MAX) {
        text = format!("{text} and {more} more");
    }
    text
}
