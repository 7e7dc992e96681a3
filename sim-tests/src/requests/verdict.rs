//! Compares what clients were told of requests with what is stored in the end.

use std::collections::BTreeMap;

use capstan_model::{
    archive::{self, Filter, Page},
    ids::RequestId,
};
use capstan_raft_store::handle::View;

use super::{
    Asked, Requests, Start,
    beyond::{self, verdict::Retries},
};
use crate::oracle::Oracle;

/// Judges every start and every list of requests, and what is left of all, given the newest view.
pub(crate) fn check(requests: &Requests, oracle: &Oracle, end: &View) {
    super::archive::check(oracle, end);
    for listing in &*requests.listings.borrow() {
        if let Err(found) = oracle.with_lifetimes(|lifetimes| lifetimes.check(listing)) {
            oracle.violated("a list of requests is the state at its index", found);
        }
    }
    let (stored, retries) = stored(end);
    beyond::verdict::check(requests, oracle, end, &retries);
    for asked in requests.asked.borrow().iter().filter(|asked| asked.retry_of.is_none()) {
        if let Err(found) = agrees(asked, stored.get(&asked.tag).map_or(&[], Vec::as_slice)) {
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

/// The ids of all requests, by their tags; and of those that go on with another, which have the tag of that.
fn stored(view: &View) -> (BTreeMap<String, Vec<RequestId>>, Retries) {
    let readable = "what nodes store can be read";
    let all = archive::requests(view.state(), view, &Filter::default(), Page::default()).expect(readable);
    let (mut stored, mut retries) = (BTreeMap::<_, Vec<_>>::new(), Retries::new());
    for summary in all {
        let terms = archive::beyond(view.state(), view, summary.id).expect(readable).terms;
        if let Some(retry_of) = &terms.retry_of {
            retries.entry(retry_of.request).or_default().push(summary.id);
            continue;
        }
        let detail = archive::request(view.state(), view, summary.id).expect(readable);
        let created = detail.expect("what is listed is there").created;
        let words = created.args.iter().find(|arg| &*arg.name == "args").and_then(|arg| arg.value.to_text());
        let tag = words.iter().flat_map(|words| words.split_whitespace()).next_back().map(str::to_owned);
        stored.entry(tag.unwrap_or_default()).or_default().push(summary.id);
    }
    (stored, retries)
}
