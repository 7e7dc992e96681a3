//! Compares the audit with what the log did for callers with a name: each is recorded truthfully, and once.

use capstan_model::auth::audit::{self, Record, Wanted};
use capstan_raft_store::handle::View;

use crate::{history::callers::Done, oracle::Oracle};

/// How many records are read at a time.
const PAGE: usize = 1_000;

/// Judges the audit, given the newest view.
pub(crate) fn check(oracle: &Oracle, end: &View) {
    let recorded = records(end);
    let done: Vec<Done> = oracle.with_registers(|registers| {
        let upto = end.index();
        registers.callers().done().iter().filter(|done| done.index <= upto).cloned().collect()
    });
    if let Err(found) = agrees(&recorded, &done) {
        oracle.violated("what a caller had done is recorded as his, and once", found);
    }
}

/// All records, the oldest first.
fn records(view: &View) -> Vec<Record> {
    let mut all = Vec::new();
    let mut wanted = Wanted::default();
    loop {
        let page = audit::page(view, &wanted, PAGE).expect("what nodes store can be read");
        all.extend(page.records);
        match page.next {
            Some(next) => wanted.after = Some(next),
            None => break,
        }
    }
    all.reverse();
    all
}

fn agrees(recorded: &[Record], done: &[Done]) -> Result<(), String> {
    let as_done = |record: &Record| {
        let (caller, right) = (record.caller.clone(), record.operation.name());
        record.token.map(|token| Done { index: record.index, caller, token, right })
    };
    for (record, done) in recorded.iter().zip(done) {
        if as_done(record).as_ref() != Some(done) {
            return Err(format!("{record:?} stands where {done:?} should"));
        }
    }
    let numbers = recorded.iter().map(|record| record.number);
    if !numbers.eq(0..recorded.len() as u64) {
        return Err(format!("the numbers of {} records are not those from 0 on", recorded.len()));
    }
    match recorded.len().cmp(&done.len()) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(format!("not recorded is {:?}", done[recorded.len()])),
        std::cmp::Ordering::Greater => {
            Err(format!("recorded is {:?}, of which nothing came", recorded[done.len()]))
        }
    }
}
