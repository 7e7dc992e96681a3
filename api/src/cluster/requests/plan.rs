//! What a request would be, as dry runs and previews show it.

use std::collections::BTreeMap;

use capstan_client::cluster::{PlannedJob, RequestPlan};
use capstan_model::workflow::{
    chain::{JobPlace, ValidChain},
    command::RequestArg,
    graph::Built,
    rerun::{Finished, Rerun},
    terms::Terms,
};

use crate::spin_cycle::shapes::{arg, values};

/// The plan of a request that was built and not stored.
pub(super) fn of_built(built: &Built) -> RequestPlan {
    plan(&built.request_type, &built.args, &built.chain, &built.terms)
}

/// The plan of a request that goes on with a finished one.
pub(super) fn of_rerun(finished: &Finished, rerun: &Rerun) -> RequestPlan {
    plan(&finished.detail.summary.request_type, &rerun.args, &rerun.chain, &rerun.terms)
}

fn plan(kind: &str, args: &[RequestArg], chain: &ValidChain, terms: &Terms) -> RequestPlan {
    let mut parents = BTreeMap::<JobPlace, Vec<String>>::new();
    for spec in chain.jobs() {
        for next in &spec.successors {
            parents.entry(*next).or_default().push(spec.id.to_string());
        }
    }
    let jobs: Vec<PlannedJob> = chain
        .in_order()
        .into_iter()
        .map(|place| job(chain, terms, place, parents.remove(&place).unwrap_or_default()))
        .collect();
    let mut types = BTreeMap::new();
    for job in jobs.iter().filter(|job| !job.kept) {
        *types.entry(job.kind.clone()).or_insert(0) += 1;
    }
    let count = |count: usize| u32::try_from(count).expect("a chain is bounded");
    RequestPlan {
        kind: kind.to_owned(),
        args: args.iter().map(arg).collect(),
        timeout: terms.timeout.as_ref().map(ToString::to_string),
        retry_of: terms.retry_of.as_ref().map(|retry_of| retry_of.request.to_string()),
        total_jobs: count(jobs.len()),
        kept_jobs: count(jobs.iter().filter(|job| job.kept).count()),
        types,
        jobs,
    }
}

fn job(chain: &ValidChain, terms: &Terms, place: JobPlace, after: Vec<String>) -> PlannedJob {
    let spec = chain.job(place);
    let of_job = terms.jobs.get(&place);
    let backoff = of_job.and_then(|terms| terms.backoff.as_ref());
    PlannedJob {
        id: spec.id.to_string(),
        name: spec.name.to_string(),
        kind: spec.job_type.to_string(),
        args: values(&spec.args),
        sequence_id: chain.sequence_id(spec).to_string(),
        after,
        retry: spec.retry,
        retry_wait: spec.retry_wait.as_ref().filter(|_| spec.retry > 0).map(ToString::to_string),
        retry_backoff: backoff.map(|backoff| backoff.factor.to_string()),
        retry_wait_max: backoff.and_then(|backoff| backoff.wait_max.as_ref()).map(ToString::to_string),
        timeout: terms.try_timeout(place).map(ToString::to_string),
        kept: terms.keeps(place),
    }
}
