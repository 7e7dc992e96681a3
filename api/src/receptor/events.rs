//! `GET /v1/events`: what happens to LRPs, as server-sent events.

use capstan_client::{
    receptor::{self as wire, ActualLrpChange, ActualLrpEvent, DesiredLrpChange, DesiredLrpEvent},
    spin_cycle::UtcTime,
};
use capstan_model::{
    history::{PublicEvent, Recorded},
    lrp::event::LrpEvent,
};
use serde::Serialize;

use super::shapes;
use crate::{
    answer::Answer,
    call::Head,
    error::ApiError,
    events::{self, Frame},
    go_escape::escape,
    service::Inner,
};

/// Begins a stream. Of tasks, cells and domains nothing is told: the Go client takes an event that it does not know for an error.
pub(crate) async fn stream(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let show = |recorded: &Recorded| match &recorded.event {
        PublicEvent::Lrp(event) => shown(event, None),
        _ => None,
    };
    events::stream(api, head, show).await
}

/// An event of an LRP or of one of its records; with its time where that is given.
pub(crate) fn shown(event: &LrpEvent, at: Option<UtcTime>) -> Option<Frame> {
    Some(match event {
        LrpEvent::DesiredCreated(desired) => {
            frame(wire::DESIRED_LRP_CREATED, &DesiredLrpEvent { at, desired_lrp: shapes::desired(desired) })
        }
        LrpEvent::DesiredRemoved(desired) => {
            frame(wire::DESIRED_LRP_REMOVED, &DesiredLrpEvent { at, desired_lrp: shapes::desired(desired) })
        }
        LrpEvent::DesiredChanged { before, after } => {
            let (desired_lrp_before, desired_lrp_after) = (shapes::desired(before), shapes::desired(after));
            frame(wire::DESIRED_LRP_CHANGED, &DesiredLrpChange { at, desired_lrp_before, desired_lrp_after })
        }
        LrpEvent::ActualCreated { key, presence, actual } => {
            let actual_lrp = shapes::actual(key, *presence, actual);
            frame(wire::ACTUAL_LRP_CREATED, &ActualLrpEvent { at, actual_lrp })
        }
        LrpEvent::ActualRemoved { key, presence, actual } => {
            let actual_lrp = shapes::actual(key, *presence, actual);
            frame(wire::ACTUAL_LRP_REMOVED, &ActualLrpEvent { at, actual_lrp })
        }
        LrpEvent::ActualChanged { key, presence, before, after } => {
            let actual_lrp_before = shapes::actual(key, *presence, before);
            let actual_lrp_after = shapes::actual(key, *presence, after);
            frame(wire::ACTUAL_LRP_CHANGED, &ActualLrpChange { at, actual_lrp_before, actual_lrp_after })
        }
        LrpEvent::StopAsked { .. }
        | LrpEvent::DomainFresh { .. }
        | LrpEvent::DomainExpired { .. }
        | LrpEvent::CellChanged(_)
        | LrpEvent::CellEnded { .. } => return None,
    })
}

fn frame(name: &'static str, data: &impl Serialize) -> Frame {
    let data = serde_json::to_vec(data).expect("wire types are plain data with text keys");
    Frame { name, data: escape(data) }
}
