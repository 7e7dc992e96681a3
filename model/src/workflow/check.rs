//! What must hold of live requests, whatever was applied.

use super::{
    LiveRequests,
    chain::{JobPlace, SequencePlace},
    job::{Phase, is_approval, takes_slot},
    live, ownership,
    request::{LiveRequest, RequestState},
    sequence,
};
use crate::nodes::Nodes;

/// Checks everything about live requests; the error says what does not hold.
pub(crate) fn check(requests: &LiveRequests, nodes: &Nodes) -> Result<(), String> {
    if requests.indexes != requests.rebuild_indexes() {
        return Err("the indexes do not follow from the requests".into());
    }
    for live in requests.iter() {
        check_request(live, nodes).map_err(|reason| format!("request {}: {reason}", live.id()))?;
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

fn check_request(live: &LiveRequest, nodes: &Nodes) -> Result<(), String> {
    if live.tally() != live::tally(live) {
        return Err("the tally does not follow from the jobs".into());
    }
    if live.failing != sequence::failing(live) {
        return Err("the failing sequences do not follow from the jobs".into());
    }
    let is_due = |sequence: &&SequencePlace| {
        live.outermost_running(live.chain().sequence(**sequence).begin) == 0
            && live.progress.stopped_at.is_none()
    };
    if let Some(sequence) = live.failing.keys().find(is_due) {
        return Err(format!("sequence {} is to be reset, and nothing of it runs", sequence.0));
    }
    check_parallels(live)?;
    check_terms(live)?;
    if live.state() == RequestState::Running && live.is_over() {
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
    let may_start = live.progress.owner.is_some_and(|owner| ownership::may_start(nodes, owner));
    for (place, (spec, job)) in live.chain().places().zip(live.jobs()) {
        if job.parents_left + complete_parents[place.0 as usize] != live.chain().parents(place) {
            return Err(format!("job {} waits for {} parents", spec.id, job.parents_left));
        }
        let is_next = matches!(job.phase, Phase::Ready | Phase::RetryWait { .. } | Phase::Awaiting { .. });
        if is_next && live.is_failing(place) {
            return Err(format!("job {} is to start although its sequence is failing", spec.id));
        }
        check_phase(live, may_start, &spec.job_type, job.phase)
            .map_err(|reason| format!("job {}: {:?}: {reason}", spec.id, job.phase))?;
        if job.parents_left > 0 && job.phase != Phase::Pending {
            return Err(format!("job {} is {:?} before its parents are complete", spec.id, job.phase));
        }
        let is_held = live.progress.stopped_at.is_some() || live.control.paused.is_some();
        let may_rest = !may_start || is_held || !live.may_launch(place);
        if job.parents_left == 0 && job.phase == Phase::Pending && !may_rest {
            return Err(format!("job {} could start and does not", spec.id));
        }
    }
    Ok(())
}

fn check_terms(live: &LiveRequest) -> Result<(), String> {
    live.terms.check(live.chain()).map_err(|invalid| invalid.to_string())?;
    let control = &live.control;
    if control.timed_out_at.is_some() && live.progress.stopped_at.is_none() {
        return Err("it is out of time and not being stopped".into());
    }
    if live.terms.timeout.is_none() && (control.timed_out_at.is_some() || !control.unowned.is_zero()) {
        return Err("its time is counted, and it has no timeout".into());
    }
    let overdue = |place: &JobPlace| {
        matches!(live.job_at(*place).phase, Phase::Overdue { .. }) && live.terms.try_timeout(*place).is_none()
    };
    if let Some(place) = live.chain().places().find(overdue) {
        return Err(format!("job {} is out of time, and has no timeout", live.chain().job(place).id));
    }
    Ok(())
}

fn check_parallels(live: &LiveRequest) -> Result<(), String> {
    for (place, progress) in &live.parallels {
        let spec = live.chain().parallel(*place);
        let complete = |job: JobPlace| live.job_at(job).phase == Phase::Complete;
        let counted = spec.expansions.iter().filter(|expansion| complete(expansion.last)).count();
        if counted != progress.complete as usize {
            return Err(format!("{counted} expansions are complete, not {}", progress.complete));
        }
        if progress.admitted > progress.complete + spec.running_max {
            return Err(format!("{} expansions are admitted, {counted} complete", progress.admitted));
        }
        let (_, held) = spec.expansions.split_at(progress.admitted as usize);
        if held.iter().any(|expansion| live.job_at(expansion.first).phase != Phase::Pending) {
            return Err("an expansion started before it was admitted".into());
        }
    }
    Ok(())
}

fn check_phase(
    live: &LiveRequest,
    may_start: bool,
    job_type: &str,
    phase: Phase,
) -> Result<(), &'static str> {
    let stopped = live.progress.stopped_at.is_some();
    let owned = live.progress.owner.is_some();
    let paused = live.control.paused.is_some();
    match phase {
        phase if phase.runs() && !owned => Err("it runs nowhere"),
        phase if phase.runs() && is_approval(job_type) => Err("it runs, and is for somebody to decide"),
        Phase::Awaiting { .. } if !is_approval(job_type) => Err("it is for nobody to decide"),
        Phase::Awaiting { .. } if stopped => Err("it is to be decided although the request is stopped"),
        Phase::Ready | Phase::RetryWait { .. } if stopped => {
            Err("it is to start although the request is stopped")
        }
        Phase::Ready if may_start && !paused && !takes_slot(job_type) => {
            Err("it waits for a slot and takes none")
        }
        _ => Ok(()),
    }
}
