//! `GET /cluster/v1/lrps/{process_guid}/explain`: why instances are where they are. Reads State, and plans an auction that nobody proposes.

use capstan_client::cluster::{
    CellVerdict, ExplainedDesire, ExplainedRecord, LrpExplanation, OneMore, Verdict,
};
use capstan_model::{
    auction::{self, Auction, Item, Reason, Work},
    lrp::{
        actual::{Actual, ActualKey, Needs, Presence},
        crash,
        desired::Desired,
        guid::ProcessGuid,
        tag::ModificationTag,
    },
    state::State,
};
use http::StatusCode;

use super::cells::{at_index, cell_id, isolation, placement_error, state_of, unix_nanos};
use crate::{
    answer::{self, Answer},
    call::{Head, decode_segment},
    error::{ApiError, InputError},
    read,
    receptor::error::Refusal,
    service::Inner,
};

pub(crate) async fn explain(api: &Inner, head: &Head<'_>, guid: &str) -> Result<Answer, ApiError> {
    let guid = decode_segment(guid)?;
    let view = read::view(&api.parts.cluster, head).await?;
    let found = guid.parse().ok().and_then(|guid| explained(view.state(), &guid));
    let no_such_lrp = || InputError::from(Refusal::NoSuchLrp { guid: guid.into_owned() });
    let explanation = found.ok_or_else(no_such_lrp)?;
    Ok(at_index(answer::json(StatusCode::OK, &explanation), view.index()))
}

/// `None` when there is nothing of the LRP.
fn explained(state: &State, guid: &ProcessGuid) -> Option<LrpExplanation> {
    let desired = state.lrps.desired(guid.as_str());
    let groups = state.lrps.groups_of(guid);
    let records: Vec<ExplainedRecord> = groups
        .flat_map(|(key, group)| {
            group.records().map(|(presence, actual)| record(state, key, presence, actual))
        })
        .collect();
    if desired.is_none() && records.is_empty() {
        return None;
    }
    Some(LrpExplanation {
        process_guid: guid.to_string(),
        desired: desired.map(|desired| ExplainedDesire {
            instances: desired.instances(),
            rootfs: desired.definition.rootfs.to_string(),
            memory_mb: desired.definition.memory_mb,
            disk_mb: desired.definition.disk_mb,
        }),
        records,
        one_more: desired.map(|desired| one_more(state, desired)),
    })
}

fn record(state: &State, key: &ActualKey, presence: Presence, actual: &Actual) -> ExplainedRecord {
    let life = actual.instance().map(|instance| instance.cell);
    let zone = life.and_then(|life| state.lrps.cell_of(life)).map(|cell| cell.zone.to_string());
    ExplainedRecord {
        index: key.index,
        state: state_of(&actual.phase),
        cell_id: life.map(|life| cell_id(life.node)),
        zone,
        since: unix_nanos(actual.since),
        crash_count: actual.crash_count,
        crash_reason: actual.crash_reason.to_string(),
        placement_error: placement_error(&actual.phase),
        restart_at: crash::restart_at(actual).map(unix_nanos),
        evacuating: presence == Presence::Evacuating,
        stopping: actual.stopping().is_some(),
    }
}

/// Asks for the index behind the last one, which has no record that could be placed by mistake.
fn one_more(state: &State, desired: &Desired) -> OneMore {
    let definition = &desired.definition;
    let key = ActualKey::new(&desired.guid, desired.instances());
    let work = Work {
        item: Item::Instance { key, tag: ModificationTag { epoch: 0, index: 0 } },
        needs: Needs { memory_mb: definition.memory_mb, disk_mb: definition.disk_mb },
        rootfs: definition.rootfs.clone(),
    };
    let mut auction = Auction::about(state, std::slice::from_ref(&work));
    let cells = auction::explain(&auction, &work).into_iter().map(|of| verdict(state, of)).collect();
    let outcome = auction::plan(&mut auction, vec![work]).pop().expect("one piece of work, one outcome");
    let (winner, error) = match outcome.result {
        Ok(life) => (Some(cell_id(life.node)), String::new()),
        Err(error) => (None, error.to_string()),
    };
    OneMore { cell_id: winner, placement_error: error, cells }
}

fn verdict(state: &State, of: auction::Verdict) -> CellVerdict {
    let (verdict, score, lacks) = match of.reason {
        Reason::Fits { score } => (Verdict::Fits, Some(score), Vec::new()),
        Reason::Silent => (Verdict::Silent, None, Vec::new()),
        Reason::Evacuating => (Verdict::Evacuating, None, Vec::new()),
        Reason::Rootfs => (Verdict::Rootfs, None, Vec::new()),
        Reason::Lacks(lacks) => {
            let names = lacks.into_iter().map(|resource| resource.name().to_owned());
            (Verdict::Full, None, names.collect())
        }
    };
    let cell = state.lrps.cell_of(of.life).expect("the cells of an auction are those of its state");
    CellVerdict {
        cell_id: cell_id(of.life.node),
        zone: of.zone.to_string(),
        zone_instances: of.in_zone,
        instances: of.mates,
        verdict,
        score,
        lacks,
        isolation: isolation(&cell.isolation),
    }
}
