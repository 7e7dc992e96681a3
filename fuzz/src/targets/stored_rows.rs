//! Rows of the state engine: they are a State, or it is said why not, and the archive is read or refused.

use std::collections::BTreeMap;

use bytes::Bytes;
use capstan_model::{
    archive::{self, Filter, Page},
    rows::{self, KeyReader, Table},
    state::State,
    time::Timestamp,
    workflow::request::RequestState,
};
use capstan_raft_store::fuzzing;

use super::world::{MemoryRows, World};
use crate::{Seed, Target, Verdict};

pub(crate) const TARGET: Target = Target { name: "stored_rows", run, seeds };

/// The first byte says what the rest is: one of the store's own values, as it is or under a checksum, or rows, in postcard.
fn run(input: &[u8]) -> Verdict {
    let Some((mode, rest)) = input.split_first() else { return Verdict::Refused };
    Verdict::of(match mode & 3 {
        0 => fuzzing::state_values(&Bytes::copy_from_slice(rest)),
        1 => fuzzing::state_values(&fuzzing::sealed(rest)),
        _ => rows(rest),
    })
}

fn rows(bytes: &[u8]) -> bool {
    let Ok(rows) = postcard::from_bytes::<BTreeMap<Bytes, Bytes>>(bytes) else { return false };
    for (key, value) in &rows {
        let _ = KeyReader::new(key).text();
        let _ = rows::written_at(key, value);
    }
    let loaded = State::load(rows.clone());
    assert!(loaded == State::load(rows.clone()), "the same rows load to the same State");
    if let Err(error) = &loaded {
        drop(error.to_string());
    }
    let state = loaded.unwrap_or_default();
    let archive = MemoryRows(&rows);
    let filters = [
        Filter::default(),
        Filter { request_type: Some("plain".to_owned()), ..Filter::default() },
        Filter { user: Some("Ann".to_owned()), ..Filter::default() },
        Filter { states: vec![RequestState::Failed, RequestState::Stopped], ..Filter::default() },
        Filter { args: vec![("host".to_owned(), "db7".to_owned())], ..Filter::default() },
        Filter { since: Some(Timestamp(7)), ..Filter::default() },
    ];
    for filter in filters {
        let listed =
            archive::requests(&state, &archive, &filter, Page { limit: Some(100), ..Page::default() });
        for summary in listed.unwrap_or_default() {
            let _ = archive::request(&state, &archive, summary.id);
            for log in archive::job_logs(&archive, summary.id).unwrap_or_default() {
                drop((log.stdout.text(), log.stderr.text()));
                let _ = archive::newest_job_log(&archive, summary.id, log.job);
            }
        }
    }
    let _ = archive::trim_requests(&state, &archive, Timestamp(u64::MAX));
    true
}

fn seeds() -> Vec<Seed> {
    let world = World::small();
    let of = |name, wanted: &dyn Fn(Table) -> bool| {
        let rows = world.rows.iter().filter(|(key, _)| Table::of(key).is_some_and(wanted));
        let rows: BTreeMap<_, _> = rows.collect();
        Seed::new(name, [&[2][..], &postcard::to_stdvec(&rows).expect("rows are serialisable")].concat())
    };
    let rows = [
        of("all", &|_| true),
        of("live", &Table::is_live),
        of("archive", &|table| !table.is_live()),
        of("nodes", &|table| matches!(table, Table::Node | Table::Session | Table::SessionReplies)),
        of("variables", &|table| {
            matches!(table, Table::Tick | Table::Cluster | Table::Setting | Table::Variable)
        }),
        of("requests", &|table| table as u8 >= Table::Request as u8 && table.is_live()),
    ];
    let stored =
        fuzzing::sample_values().into_iter().filter(|(name, _)| matches!(*name, "applied" | "members"));
    rows.into_iter().chain(stored.map(|(name, value)| Seed::new(name, [&[0][..], &value].concat()))).collect()
}
