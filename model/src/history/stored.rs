//! Public events as they are stored: what is the same before and after is stored once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::public::{JobNews, NodeNews, PublicEvent, RequestNews, TaskNews, VariableNews};
use crate::lrp::{
    actual::{Actual, ActualKey, Presence},
    definition::Definition,
    desired::{ChangeableRow, Desired},
    event::LrpEvent,
    guid::ProcessGuid,
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
    Task(TaskNews),
    Request(RequestNews),
    Job(JobNews),
    Node(NodeNews),
    Variable(VariableNews),
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

impl From<PublicEvent> for StoredEvent {
    fn from(event: PublicEvent) -> Self {
        match event {
            PublicEvent::Lrp(event) => Self::of_lrp(event),
            PublicEvent::Task(news) => Self::Task(news),
            PublicEvent::Request(news) => Self::Request(news),
            PublicEvent::Job(news) => Self::Job(news),
            PublicEvent::Node(news) => Self::Node(news),
            PublicEvent::Variable(news) => Self::Variable(news),
        }
    }
}

impl StoredEvent {
    fn of_lrp(event: LrpEvent) -> Self {
        match event {
            LrpEvent::DesiredCreated(desired) => Self::DesiredCreated(Head::of(&desired), desired.row()),
            LrpEvent::DesiredChanged { before, after } => {
                let change = Change { before: before.row(), after: after.row() };
                Self::DesiredChanged(Head::of(&after), change)
            }
            LrpEvent::DesiredRemoved(desired) => Self::DesiredRemoved(Head::of(&desired), desired.row()),
            LrpEvent::ActualCreated { key, presence, actual } => Self::ActualCreated(key, presence, actual),
            LrpEvent::ActualChanged { key, presence, before, after } => {
                Self::ActualChanged(key, presence, Change { before, after })
            }
            LrpEvent::ActualRemoved { key, presence, actual } => Self::ActualRemoved(key, presence, actual),
            LrpEvent::StopAsked { .. }
            | LrpEvent::DomainFresh { .. }
            | LrpEvent::DomainExpired { .. }
            | LrpEvent::CellChanged(_)
            | LrpEvent::CellEnded { .. } => unreachable!("only what is public is stored: {event:?}"),
        }
    }
}

impl From<StoredEvent> for PublicEvent {
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
            StoredEvent::Task(news) => return Self::Task(news),
            StoredEvent::Request(news) => return Self::Request(news),
            StoredEvent::Job(news) => return Self::Job(news),
            StoredEvent::Node(news) => return Self::Node(news),
            StoredEvent::Variable(news) => return Self::Variable(news),
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
