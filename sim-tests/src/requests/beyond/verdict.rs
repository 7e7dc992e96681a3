//! Compares what clients were told of decisions and retries with what is stored in the end.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{archive, ids::RequestId};
use capstan_raft_store::handle::View;

use super::Decided;
use crate::{
    oracle::Oracle,
    requests::{Requests, Start},
};

/// Judges every decision and every retry, given the newest view. What was decided about a request that has been trimmed is gone.
pub(in crate::requests) fn check(requests: &Requests, oracle: &Oracle, end: &View) {
    let is_trimmed = |id: &str| oracle.with_lifetimes(|lifetimes| lifetimes.is_trimmed(id));
    for decided in requests.decided.borrow().iter().filter(|decided| !is_trimmed(&decided.request)) {
        if let Err(found) = is_stored(decided, end) {
            oracle.violated("a decision is stored as its client was told, and once", found);
        }
    }
    let stored = oracle.with_lifetimes(|lifetimes| lifetimes.retries().clone());
    let mut asked = BTreeMap::<&str, Vec<&Start>>::new();
    let all = requests.asked.borrow();
    for (of, start) in all.iter().filter_map(|asked| Some((asked.retry_of.as_deref()?, &asked.start))) {
        asked.entry(of).or_default().push(start);
    }
    for (of, starts) in asked {
        let of: RequestId = of.parse().expect("clients were told ids");
        let stored = stored.get(&of).map_or(&[][..], Vec::as_slice);
        if let Err(found) = agree(&starts, stored) {
            oracle
                .violated("a retry is stored as its client was told, and once", format!("of {of}: {found}"));
        }
    }
    for (of, stored) in stored.iter().filter(|(of, _)| !is_trimmed(&of.to_string())) {
        let told = archive::beyond(end.state(), end, *of).expect("what nodes store can be read").retried_by;
        let left = stored.iter().filter(|id| !is_trimmed(&id.to_string()));
        if told.iter().collect::<BTreeSet<_>>() != left.collect() {
            let found = format!("{of} is gone on with by {stored:?}, and says {told:?}");
            oracle.violated("a request names those that go on with it", found);
        }
    }
}

fn is_stored(decided: &Decided, end: &View) -> Result<(), String> {
    let id = decided.request.parse().expect("clients were told ids");
    let stored = archive::beyond(end.state(), end, id).expect("what nodes store can be read").decisions;
    let same: Vec<_> = stored.iter().filter(|(.., decision)| *decision.comment == *decided.comment).collect();
    let is_right = same.iter().all(|(.., decision)| decision.approved == decided.approved);
    let holds = match (decided.is_done, same.len()) {
        (Some(true), 1) | (Some(false), 0) | (None, 0 | 1) => is_right,
        _ => false,
    };
    if holds { Ok(()) } else { Err(format!("{same:?} are stored: {decided:?}")) }
}

fn agree(starts: &[&Start], stored: &[RequestId]) -> Result<(), String> {
    let done: BTreeSet<&str> = starts
        .iter()
        .filter_map(|start| match start {
            Start::Done(id) => Some(id.as_str()),
            Start::NotDone | Start::Unknown => None,
        })
        .collect();
    let unknown = starts.iter().filter(|start| ***start == Start::Unknown).count();
    let ids: BTreeSet<String> = stored.iter().map(ToString::to_string).collect();
    let told = starts.len() - starts.iter().filter(|start| ***start == Start::NotDone).count() - unknown;
    let is_there = done.iter().all(|id| ids.contains(*id));
    if is_there && done.len() == told && ids.len() <= told + unknown {
        Ok(())
    } else {
        Err(format!("{stored:?} are stored: {starts:?}"))
    }
}
