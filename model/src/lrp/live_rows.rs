//! The rows of LRPs, cells and domains: their keys, and a load from them.

use std::sync::Arc;

use super::{
    Lrps,
    actual::{ActualKey, Presence},
    desired::{ChangeableRow, Desired},
    guid::Guid,
};
use crate::{
    ids::NodeId,
    rows::{self, Key, KeyReader, LoadError, RowSink, Table},
};

impl Lrps {
    /// Writes every row as if it were new.
    pub(crate) fn dump(&self, sink: &mut RowSink) {
        for desired in self.desired.values() {
            sink.replace(&definition_key(&desired.guid), None, Some(&*desired.definition));
            sink.replace(&changeable_key(&desired.guid), None, Some(&desired.row()));
        }
        for (key, group) in &self.actual {
            for (presence, actual) in group.records() {
                sink.replace(&actual_key(key, presence), None, Some(&**actual));
            }
        }
        for (domain, until) in self.domains.iter() {
            sink.replace(&domain_key(domain), None, Some(until));
        }
        for (node, cell) in &self.cells {
            sink.replace(&cell_key(*node), None, Some(&**cell));
        }
    }

    /// Takes one row of the tables of LRPs; they come in key order.
    pub(crate) fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let mut parts = KeyReader::new(key);
        match Table::of(key) {
            Some(Table::LrpDefinition) => {
                let guid = guid(key, &mut parts)?;
                parts.end()?;
                self.loading.insert(guid, rows::decode(key, value)?);
            }
            Some(Table::LrpChangeable) => {
                let guid = guid(key, &mut parts)?;
                parts.end()?;
                let definition =
                    self.loading.remove(&guid).ok_or_else(|| contradiction(&guid, "no definition"))?;
                let ChangeableRow { changeable, tag } = rows::decode(key, value)?;
                let desired =
                    Desired { guid: guid.clone(), definition: Arc::new(definition), changeable, tag };
                self.desired.insert(guid, Arc::new(desired));
            }
            Some(Table::ActualLrp) => {
                let guid = guid(key, &mut parts)?;
                let index = parts.u32()?;
                let presence = match parts.u8()? {
                    0 => Presence::Ordinary,
                    1 => Presence::Evacuating,
                    _ => return Err(LoadError::unknown_key(key)),
                };
                parts.end()?;
                let group = self.actual.entry(ActualKey { guid, index }).or_default();
                *group.slot(presence) = Some(Arc::new(rows::decode(key, value)?));
            }
            Some(Table::Domain) => {
                let domain = std::str::from_utf8(parts.rest()).map_err(|_| LoadError::unknown_key(key))?;
                self.domains.set(&domain.into(), rows::decode(key, value)?);
            }
            Some(Table::Cell) => {
                let node = NodeId(parts.u64()?);
                parts.end()?;
                self.cells.insert(node, Arc::new(rows::decode(key, value)?));
            }
            _ => return Err(LoadError::unknown_key(key)),
        }
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
}

fn guid(key: &[u8], parts: &mut KeyReader<'_>) -> Result<Guid, LoadError> {
    parts.text()?.parse().map_err(|_| LoadError::unknown_key(key))
}

fn contradiction(guid: &Guid, what: &str) -> LoadError {
    LoadError::Contradiction { reason: format!("LRP {guid} has {what}") }
}

pub(super) fn definition_key(guid: &Guid) -> Key {
    Key::new(Table::LrpDefinition).text(guid.as_str())
}

pub(super) fn changeable_key(guid: &Guid) -> Key {
    Key::new(Table::LrpChangeable).text(guid.as_str())
}

pub(super) fn actual_key(key: &ActualKey, presence: Presence) -> Key {
    let presence = match presence {
        Presence::Ordinary => 0,
        Presence::Evacuating => 1,
    };
    Key::new(Table::ActualLrp).text(key.guid.as_str()).u32(key.index).u8(presence)
}

pub(super) fn domain_key(domain: &str) -> Key {
    Key::new(Table::Domain).fixed(domain.as_bytes())
}

pub(super) fn cell_key(node: NodeId) -> Key {
    Key::new(Table::Cell).u64(node.0)
}
