//! What must hold of live requests, whatever was applied.

use super::{
    LiveRequests,
    job::{Phase, takes_slot},
    live, ownership,
    request::{LiveRequest, RequestState},
};
use crate::nodes::Nodes;

/// Checks everything about live requests; the error says what does not hold.
pub(crate) fn check(requests: &LiveRequests, nodes: &Nodes) -> Result<(), String> {
    if requests.indexes != requests.rebuild_indexes() {
        return Err("the indexes do not follow from the requests".into());
    }
    for live in requests.iter() {
        check_request(live).map_err(|reason| format!("request {}: {reason}", live.id()))?;
    }
    for record in nodes.values() {
        let (life, taken) = (record.incarnation, requests.slots_taken(record.incarnation));
        if taken > record.slots {
            return Err(format!("incarnation {life} runs {taken} jobs in {} slots", record.slots));
        }
        let waits = requests.first_ready(life).is_some();
        if waits && ownership::free_slots(nodes, requests, life) > 0 {
            return Err(format!("a job waits although incarnation {life} has a free slot"));
        }
    }
    Ok(())
}

fn check_request(live: &LiveRequest) -> Result<(), String> {
    if live.tally() != live::tally(live) {
        return Err("the tally does not follow from the jobs".into());
    }
    if live.state() == RequestState::Running && live.tally().active == 0 {
        return Err("it has an owner and nothing to do".into());
    }
    let mut complete_parents = vec![0; live.chain().len()];
    for (spec, job) in live.jobs().filter(|(_, job)| job.phase == Phase::Complete) {
        if job.parents_left > 0 {
            return Err(format!("job {} is complete before its parents", spec.id));
        }
        for successor in &spec.successors {
            complete_parents[successor.0 as usize] += 1;
        }
    }
    for (place, (spec, job)) in live.chain().places().zip(live.jobs()) {
        if job.parents_left + complete_parents[place.0 as usize] != live.chain().parents(place) {
            return Err(format!("job {} waits for {} parents", spec.id, job.parents_left));
        }
        check_phase(live, &spec.job_type, job.phase)
            .map_err(|reason| format!("job {}: {:?}: {reason}", spec.id, job.phase))?;
        if job.parents_left > 0 && job.phase != Phase::Pending {
            return Err(format!("job {} is {:?} before its parents are complete", spec.id, job.phase));
        }
        let may_rest = live.state() != RequestState::Running || live.progress.stopped_at.is_some();
        if job.parents_left == 0 && job.phase == Phase::Pending && !may_rest {
            return Err(format!("job {} could start and does not", spec.id));
        }
    }
    Ok(())
}

fn check_phase(live: &LiveRequest, job_type: &str, phase: Phase) -> Result<(), &'static str> {
    let stopped = live.progress.stopped_at.is_some();
    let owned = live.progress.owner.is_some();
    match phase {
        Phase::Running { .. } if !owned => Err("it runs nowhere"),
        Phase::Ready | Phase::RetryWait { .. } if stopped => {
            Err("it is to start although the request is stopped")
        }
        Phase::Ready if owned && !takes_slot(job_type) => Err("it waits for a slot and takes none"),
        _ => Ok(()),
    }
}
