//! What each command about LRPs leads to: a refusal, or events. Here are those of owners; others have files of their own.

use std::{sync::Arc, time::Duration};

use super::{
    actual::{ActualKey, Presence, StopCause},
    cell,
    command::{Desire, LrpCommand, UpdateDesired},
    convergence,
    desired::{DESIRED_MAX, Desired, INSTANCES_MAX, RECORDS_MAX},
    domain,
    draft::Draft,
    event::LrpEvent,
    guid::ProcessGuid,
    placement, report,
    tag::{ModificationTag, Purpose},
};
use crate::{event::Event, rejection::Rejection, state::State, time::Timestamp};

/// What a handler decided.
pub(super) type Decision = Result<Vec<LrpEvent>, Rejection>;

/// Decides on a command about LRPs.
pub(crate) fn handle(state: &State, at: Timestamp, command: &LrpCommand) -> Decision {
    match command {
        LrpCommand::Desire(desire) => self::desire(state, at, desire),
        LrpCommand::Update(update) => self::update(state, at, update),
        LrpCommand::Remove { guid, if_tag } => remove(state, at, guid, *if_tag),
        LrpCommand::Kill { key, draw } => kill(state, at, key, *draw),
        LrpCommand::UpsertDomain { domain, ttl_secs } => {
            domain::upsert(&state.lrps, at, domain, ttl_secs.map(Duration::from_secs))
        }
        LrpCommand::AnnounceCell(announced) => cell::announce(state, announced),
        LrpCommand::CellSilent { incarnation, term } => cell::silent(state, *incarnation, *term),
        LrpCommand::CellHeard { incarnation } => Ok(cell::heard(state, *incarnation)),
        LrpCommand::Place(place) => placement::place(state, at, place),
        LrpCommand::Running { key, instance, net } => report::running(state, at, key, *instance, net),
        LrpCommand::Crashed { key, instance, reason, draw } => {
            report::crashed(state, at, report::End { key, instance: *instance, draw: *draw }, reason)
        }
        LrpCommand::Stopped { key, instance, draw } => {
            report::stopped(state, at, report::End { key, instance: *instance, draw: *draw })
        }
        LrpCommand::Converge { draw } => Ok(convergence::converge(state, at, *draw)),
    }
}

/// What an event about nodes means for cells.
pub(crate) fn follow(state: &State, event: &Event) -> Vec<LrpEvent> {
    match event {
        Event::NodeJoined(joined) => cell::ended(&state.lrps, joined.node()),
        Event::NodeLost { incarnation } => cell::ended(&state.lrps, incarnation.node),
        Event::NodeLeaving { incarnation: crate::ids::Incarnation { node, .. } }
        | Event::NodeDrained { node, .. } => {
            state.nodes.get(node).map(|node| cell::follow_node(&state.lrps, node)).unwrap_or_default()
        }
        _ => vec![],
    }
}

/// Lets domains expire whose time has come: those of one entry.
pub(crate) fn expire_domains(state: &State, at: Timestamp) -> Vec<LrpEvent> {
    let expired = state.lrps.domains.expired(at).filter(|_| !mutant!("domain-outlives-its-time"));
    let events: Vec<LrpEvent> =
        expired.map(|domain| LrpEvent::DomainExpired { domain: domain.clone() }).collect();
    sometimes!("a domain expires", !events.is_empty());
    events
}

fn desire(state: &State, at: Timestamp, desire: &Desire) -> Decision {
    let Desire { guid, definition, changeable, draw } = desire;
    if state.lrps.desired(guid.as_str()).is_some() {
        return Err(Rejection::LrpExists { guid: guid.clone() });
    }
    if state.lrps.desired.len() >= DESIRED_MAX {
        return Err(too_many("desired LRPs", DESIRED_MAX as u64));
    }
    check_instances(state, 0, changeable.instances)?;
    let mut draft = Draft::new(state, at);
    draft.record(LrpEvent::DesiredCreated(Arc::new(Desired {
        guid: guid.clone(),
        definition: definition.clone(),
        changeable: changeable.clone(),
        tag: ModificationTag::drawn(*draw, guid, Purpose::Desired),
    })));
    draft.create_missing(guid, 0..changeable.instances, *draw);
    Ok(draft.into_events())
}

fn update(state: &State, at: Timestamp, update: &UpdateDesired) -> Decision {
    let UpdateDesired { guid, update, draw, if_tag } = update;
    let before = find(state, guid, *if_tag)?;
    let after = Arc::new(before.updated(update));
    let (had, has) = (before.instances(), after.instances());
    check_instances(state, had, has)?;
    let mut draft = Draft::new(state, at);
    draft.record(LrpEvent::DesiredChanged { before: before.clone(), after });
    draft.create_missing(guid, had + u32::from(mutant!("first-missing-not-created"))..has, *draw);
    if !mutant!("surplus-not-retired") {
        retire_from(&mut draft, ActualKey::new(guid, has));
    }
    Ok(draft.into_events())
}

fn remove(state: &State, at: Timestamp, guid: &ProcessGuid, if_tag: Option<ModificationTag>) -> Decision {
    let desired = find(state, guid, if_tag)?;
    let mut draft = Draft::new(state, at);
    let mut groups = state.lrps.groups_of(guid);
    sometimes!(
        "an LRP is removed while an index evacuates",
        groups.any(|(_, group)| group.evacuating.is_some())
    );
    draft.record(LrpEvent::DesiredRemoved(desired.clone()));
    retire_from(&mut draft, ActualKey::new(guid, 0));
    Ok(draft.into_events())
}

/// Retires every index from this one on; none of them is desired, so that no epoch is drawn.
fn retire_from(draft: &mut Draft, first: ActualKey) {
    let keys: Vec<ActualKey> = draft.lrps.groups_from(first).map(|(key, _)| key.clone()).collect();
    for key in keys {
        for presence in [Presence::Ordinary, Presence::Evacuating] {
            draft.stop(&key, presence, StopCause::Retired, 0);
        }
    }
}

/// Stops the instance of an index. One that is evacuating goes on: it is over when the other runs.
fn kill(state: &State, at: Timestamp, key: &ActualKey, draw: u128) -> Decision {
    if state.lrps.group(key).is_none() {
        return Err(Rejection::NoSuchIndex { guid: key.guid.clone(), index: key.index });
    }
    let mut draft = Draft::new(state, at);
    draft.stop(key, Presence::Ordinary, StopCause::Killed, draw);
    Ok(draft.into_events())
}

fn find<'a>(
    state: &'a State,
    guid: &ProcessGuid,
    if_tag: Option<ModificationTag>,
) -> Result<&'a Arc<Desired>, Rejection> {
    let found = state.lrps.desired(guid.as_str());
    let desired = found.ok_or_else(|| Rejection::NoSuchLrp { guid: guid.clone() })?;
    if if_tag.is_some_and(|tag| tag != desired.tag) && !mutant!("lrp-tag-ignored") {
        sometimes!("an LRP has another tag than its owner asks for");
        return Err(Rejection::LrpTagMismatch { guid: guid.clone(), current: desired.tag });
    }
    Ok(desired)
}

fn check_instances(state: &State, had: u32, has: u32) -> Result<(), Rejection> {
    if has > INSTANCES_MAX {
        return Err(too_many("instances of an LRP", u64::from(INSTANCES_MAX)));
    }
    let more = has.saturating_sub(had) as usize;
    if more > 0 && state.lrps.actual.len() + more > RECORDS_MAX {
        return Err(too_many("instances in all", RECORDS_MAX as u64));
    }
    Ok(())
}

fn too_many(what: &str, count_max: u64) -> Rejection {
    Rejection::TooMany { what: what.to_owned(), count_max }
}
