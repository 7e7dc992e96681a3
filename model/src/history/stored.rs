//! Public events as they are stored: what is the same before and after is stored once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    event::Event,
    lrp::{
        actual::{Actual, ActualKey, Presence},
        definition::Definition,
        desired::{ChangeableRow, Desired},
        event::LrpEvent,
        guid::ProcessGuid,
    },
};

/// A public event. A shipped variant is never edited; new ones go at the end.
#[derive(Serialize, Deserialize)]
pub(super) enum StoredEvent {
    DesiredCreated(Head, ChangeableRow),
    DesiredChanged(Head, Change<ChangeableRow>),
    DesiredRemoved(Head, ChangeableRow),
    ActualCreated(ActualKey, Presence, Arc<Actual>),
    ActualChanged(ActualKey, Presence, Change<Arc<Actual>>),
    ActualRemoved(ActualKey, Presence, Arc<Actual>),
}

/// What of a desired LRP never changes.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Head {
    guid: ProcessGuid,
    definition: Arc<Definition>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Change<T> {
    before: T,
    after: T,
}

impl StoredEvent {
    /// `None` of an event that is not public.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let Event::Lrp(event) = event else { return None };
        Some(match event {
            LrpEvent::DesiredCreated(desired) => Self::DesiredCreated(Head::of(desired), desired.row()),
            LrpEvent::DesiredChanged { before, after } => {
                let change = Change { before: before.row(), after: after.row() };
                Self::DesiredChanged(Head::of(after), change)
            }
            LrpEvent::DesiredRemoved(desired) => Self::DesiredRemoved(Head::of(desired), desired.row()),
            LrpEvent::ActualCreated { key, presence, actual } => {
                Self::ActualCreated(key.clone(), *presence, actual.clone())
            }
            LrpEvent::ActualChanged { key, presence, before, after } => {
                let change = Change { before: before.clone(), after: after.clone() };
                Self::ActualChanged(key.clone(), *presence, change)
            }
            LrpEvent::ActualRemoved { key, presence, actual } => {
                Self::ActualRemoved(key.clone(), *presence, actual.clone())
            }
            LrpEvent::StopAsked { .. }
            | LrpEvent::DomainFresh { .. }
            | LrpEvent::DomainExpired { .. }
            | LrpEvent::CellChanged(_)
            | LrpEvent::CellEnded { .. } => return None,
        })
    }
}

impl From<StoredEvent> for Event {
    fn from(stored: StoredEvent) -> Self {
        Self::Lrp(match stored {
            StoredEvent::DesiredCreated(head, row) => LrpEvent::DesiredCreated(head.with(row)),
            StoredEvent::DesiredChanged(head, Change { before, after }) => {
                LrpEvent::DesiredChanged { before: head.clone().with(before), after: head.with(after) }
            }
            StoredEvent::DesiredRemoved(head, row) => LrpEvent::DesiredRemoved(head.with(row)),
            StoredEvent::ActualCreated(key, presence, actual) => {
                LrpEvent::ActualCreated { key, presence, actual }
            }
            StoredEvent::ActualChanged(key, presence, Change { before, after }) => {
                LrpEvent::ActualChanged { key, presence, before, after }
            }
            StoredEvent::ActualRemoved(key, presence, actual) => {
                LrpEvent::ActualRemoved { key, presence, actual }
            }
        })
    }
}

impl Head {
    fn of(desired: &Desired) -> Self {
        Self { guid: desired.guid.clone(), definition: desired.definition.clone() }
    }

    fn with(self, ChangeableRow { changeable, tag }: ChangeableRow) -> Arc<Desired> {
        Arc::new(Desired { guid: self.guid, definition: self.definition, changeable, tag })
    }
}
