//! Compares what is left of finished requests with itself: every list has them, and every try its log.

use std::collections::BTreeSet;

use capstan_model::{
    archive::{self, Filter, Page},
    ids::RequestId,
    rows::LoadError,
    workflow::{request::RequestState, view::RequestSummary},
};
use capstan_raft_store::handle::View;

use crate::oracle::Oracle;

/// Judges the archive, given the newest view.
pub(crate) fn check(oracle: &Oracle, end: &View) {
    let all = list(end, Filter::default());
    for found in missing_in_lists(end, &all) {
        oracle.violated("every list has each request that belongs into it", found);
    }
    for summary in all.iter().filter(|summary| summary.state.is_end()) {
        if let Some(found) = wrong_logs(end, summary.id).expect("what nodes store can be read") {
            oracle.violated("each try of a finished request has its log", found);
        }
    }
}

fn list(view: &View, filter: Filter) -> Vec<RequestSummary> {
    archive::requests(view.state(), view, &filter, Page::default()).expect("what nodes store can be read")
}

/// Compares the list of all requests with those of one state and of one type.
fn missing_in_lists(view: &View, all: &[RequestSummary]) -> Vec<String> {
    let ids = |summaries: &mut dyn Iterator<Item = &RequestSummary>| -> BTreeSet<RequestId> {
        summaries.map(|summary| summary.id).collect()
    };
    let mut missing = Vec::new();
    let mut compare = |what: String, filter: Filter, belongs: &dyn Fn(&RequestSummary) -> bool| {
        let listed = ids(&mut list(view, filter).iter());
        let expected = ids(&mut all.iter().filter(|summary| belongs(summary)));
        if listed != expected {
            let differ: Vec<_> = listed.symmetric_difference(&expected).collect();
            missing.push(format!("the list of {what} and that of all differ in {differ:?}"));
        }
    };
    for state in RequestState::ALL {
        let filter = Filter { states: vec![state], ..Filter::default() };
        compare(format!("{state:?}"), filter, &|summary| summary.state == state);
    }
    let kinds: BTreeSet<&str> = all.iter().map(|summary| &*summary.request_type).collect();
    for kind in kinds {
        let filter = Filter { request_type: Some(kind.to_owned()), ..Filter::default() };
        compare(kind.to_owned(), filter, &|summary| &*summary.request_type == kind);
    }
    missing
}

/// Tries are numbered from one, and all of them have ended.
fn wrong_logs(view: &View, id: RequestId) -> Result<Option<String>, LoadError> {
    let Some(detail) = archive::request(view.state(), view, id)? else {
        return Ok(Some(format!("request {id} is listed and not there")));
    };
    let logs = archive::job_logs(view, id)?;
    for (spec, job) in detail.created.chain.jobs().iter().zip(&detail.jobs) {
        let logged: Vec<u32> = logs.iter().filter(|log| log.job == spec.id).map(|log| log.try_no.0).collect();
        if logged != (1..=job.try_no.0).collect::<Vec<u32>>() {
            let found = format!("request {id}: {} was tried {} times", spec.name, job.try_no.0);
            return Ok(Some(format!("{found}, and has logs of {logged:?}")));
        }
    }
    Ok(None)
}
