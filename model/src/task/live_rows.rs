//! The rows of tasks: their keys, and a load from them.

use std::sync::Arc;

use super::{
    indexes::Indexes,
    live::{Task, TaskRow, Tasks},
};
use crate::{
    lrp::guid::Guid,
    rows::{self, Key, KeyReader, LoadError, RowSink, Table},
};

/// Writes what has changed of a task. The definition is immutable, and may be large: it is written once.
pub(super) fn replace(guid: &Guid, before: Option<&Task>, now: Option<&Task>, sink: &mut RowSink) {
    if before.is_some() != now.is_some() {
        let definition = |task: &'_ Task| task.definition.clone();
        let (old, new) = (before.map(definition), now.map(definition));
        sink.replace(&definition_key(guid), old.as_deref(), new.as_deref());
    }
    sink.replace(&task_key(guid), before.map(Task::row).as_ref(), now.map(Task::row).as_ref());
}

impl Tasks {
    /// Writes every row as if it were new.
    pub(crate) fn dump(&self, sink: &mut RowSink) {
        self.iter().for_each(|task| replace(&task.guid, None, Some(task), sink));
    }

    /// Takes one row of the tables TaskDefinition and Task; they come in key order.
    pub(crate) fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let mut parts = KeyReader::new(key);
        let guid: Guid = parts.text()?.parse().map_err(|_| LoadError::unknown_key(key))?;
        parts.end()?;
        if Table::of(key) == Some(Table::TaskDefinition) {
            self.loading.insert(guid, rows::decode(key, value)?);
            return Ok(());
        }
        let definition = self.loading.remove(&guid).ok_or_else(|| contradiction(&guid, "no definition"))?;
        let TaskRow { created_at, updated_at, phase } = rows::decode(key, value)?;
        let definition = Arc::new(definition);
        let task = Task { guid: guid.clone(), definition, created_at, updated_at, phase };
        self.by_guid.insert(guid, Arc::new(task));
        Ok(())
    }

    /// Builds what follows from the rows.
    pub(crate) fn finish_load(&mut self) -> Result<(), LoadError> {
        if let Some(guid) = self.loading.keys().next() {
            return Err(contradiction(guid, "a definition alone"));
        }
        self.indexes = self.rebuild_indexes();
        Ok(())
    }

    /// What the indexes must be.
    pub(super) fn rebuild_indexes(&self) -> Indexes {
        let mut indexes = Indexes::default();
        self.iter().for_each(|task| indexes.add(task));
        indexes
    }
}

fn contradiction(guid: &Guid, what: &str) -> LoadError {
    LoadError::Contradiction { reason: format!("task {guid} has {what}") }
}

fn definition_key(guid: &Guid) -> Key {
    Key::new(Table::TaskDefinition).text(guid.as_str())
}

fn task_key(guid: &Guid) -> Key {
    Key::new(Table::Task).text(guid.as_str())
}
