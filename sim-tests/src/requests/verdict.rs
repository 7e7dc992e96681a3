//! Compares what clients were told of requests with what is stored in the end.

use capstan_model::{
    archive::{self, Filter, Page},
    ids::RequestId,
};
use capstan_raft_store::handle::View;

use super::{Asked, Requests, Start, beyond, listing::Listing};
use crate::oracle::Oracle;

/// Judges every start and every list of requests, and what is left of all, given the newest view.
pub(crate) fn check(requests: &Requests, oracle: &Oracle, end: &View) {
    super::archive::check(oracle, end);
    if let Err(found) = oracle.with_lifetimes(|lifetimes| lifetimes.check(&all(end))) {
        oracle.violated("what is left of requests is what was stored and not trimmed", found);
    }
    for listing in &*requests.listings.borrow() {
        if let Err(found) = oracle.with_lifetimes(|lifetimes| lifetimes.check(listing)) {
            oracle.violated("a list of requests is the state at its index", found);
        }
    }
    beyond::verdict::check(requests, oracle, end);
    for asked in requests.asked.borrow().iter().filter(|asked| asked.retry_of.is_none()) {
        let stored = oracle.with_lifetimes(|lifetimes| lifetimes.tagged(&asked.tag).to_vec());
        if let Err(found) = agrees(asked, &stored) {
            oracle.violated("a request is stored as its client was told, and once", found);
        }
    }
}

fn agrees(asked: &Asked, stored: &[RequestId]) -> Result<(), String> {
    let holds = match (&asked.start, stored) {
        (Start::Done(told), [id]) => *told == id.to_string(),
        (Start::NotDone, []) | (Start::Unknown, [] | [_]) => true,
        _ => false,
    };
    if holds { Ok(()) } else { Err(format!("{stored:?} are stored: {asked:?}")) }
}

/// All requests that a view has.
fn all(view: &View) -> Listing {
    let all = archive::requests(view.state(), view, &Filter::default(), Page::default());
    let all = all.expect("what nodes store can be read").into_iter();
    let requests = all.map(|it| (it.id.to_string(), it.state.name().to_owned())).collect();
    Listing { index: view.index(), upto: view.index(), requests }
}
