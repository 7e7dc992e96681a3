//! Random operations against a plain model of what a data directory holds, reopened now and then.

use openraft::{
    RaftLogReader,
    storage::{RaftLogStorage, RaftStateMachine},
};
use proptest::prelude::*;

use super::harness::{Directory, entry, log_id, vote};
use crate::{storage::Opened, type_config::LogId};

/// One thing openraft may ask for; numbers are brought into range where they are used.
#[derive(Debug, Clone)]
enum Operation {
    Append(u64),
    NextTerm,
    Truncate(u64),
    Commit,
    Apply(u64),
    Snapshot,
    Purge(u64),
    InstallNewest,
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (1..5_u64).prop_map(Operation::Append),
        1 => Just(Operation::NextTerm),
        1 => (0..8_u64).prop_map(Operation::Truncate),
        1 => Just(Operation::Commit),
        3 => (1..8_u64).prop_map(Operation::Apply),
        1 => Just(Operation::Snapshot),
        1 => (0..8_u64).prop_map(Operation::Purge),
        1 => Just(Operation::InstallNewest),
        2 => Just(Operation::Reopen),
    ]
}

/// What must be there.
#[derive(Debug, Default)]
struct Model {
    /// The entries since the last purge.
    log: Vec<LogId>,
    purged: Option<LogId>,
    applied: Option<LogId>,
    snapshot: Option<LogId>,
    term: u64,
}

impl Model {
    fn last(&self) -> Option<LogId> {
        self.log.last().copied().or(self.purged)
    }

    fn next(&self) -> u64 {
        self.last().map_or(1, |last| last.index() + 1)
    }
}

async fn perform(opened: &mut Opened, model: &mut Model, operation: Operation) {
    match operation {
        Operation::Append(count) => {
            let ids: Vec<LogId> = (0..count).map(|i| log_id(model.term, model.next() + i)).collect();
            opened.append(ids.iter().copied().map(entry).collect()).await;
            model.log.extend(ids);
        }
        Operation::NextTerm => {
            model.term += 1;
            opened.log.save_vote(&vote(model.term)).await.unwrap();
        }
        Operation::Truncate(count) => {
            let keep = |id: &LogId| Some(*id) <= model.applied || id.index() + count < model.next();
            let kept: Vec<LogId> = model.log.iter().copied().filter(keep).collect();
            model.log = kept;
            opened.log.truncate_after(model.last()).await.unwrap();
        }
        Operation::Commit => opened.log.save_committed(model.applied).await.unwrap(),
        Operation::Apply(count) => {
            let next = model.log.iter().copied().filter(|id| Some(*id) > model.applied).take(count as usize);
            let ids: Vec<LogId> = next.collect();
            opened.apply(ids.iter().copied().map(entry).collect()).await;
            model.applied = ids.last().copied().or(model.applied);
        }
        Operation::Snapshot => {
            if let Some(mut builder) = opened.machine.try_create_snapshot_builder(false).await {
                builder.build().await.unwrap();
            }
            model.snapshot = model.applied;
        }
        Operation::Purge(back) => {
            let upto = model.snapshot.and_then(|snapshot| {
                model.log.iter().copied().rfind(|id| id.index() + back <= snapshot.index())
            });
            if let Some(upto) = upto {
                opened.log.purge(upto).await.unwrap();
                model.log.retain(|id| *id > upto);
                model.purged = Some(upto);
            }
        }
        Operation::InstallNewest => {
            let current = opened.machine.get_current_snapshot().await.unwrap();
            if let Some(current) = current.filter(|current| current.meta.last_log_id == model.applied) {
                opened.machine.install_snapshot(&current.meta, current.snapshot).await.unwrap();
            }
        }
        Operation::Reopen => unreachable!("the caller reopens"),
    }
}

async fn assert_equal(opened: &mut Opened, model: &Model) {
    assert_eq!(opened.log_ids().await, model.log);
    let state = opened.log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (model.purged, model.last()));
    assert_eq!(opened.log.read_vote().await.unwrap().map_or(0, |vote| vote.leader_id.term), model.term);
    assert!(opened.log.read_committed().await.unwrap() <= model.applied);
    assert_eq!(opened.machine.applied(), model.applied);
    let current = opened.machine.get_current_snapshot().await.unwrap();
    assert_eq!(current.and_then(|current| current.meta.last_log_id), model.snapshot);
    let applied = model.applied.map_or(0, |applied| applied.index());
    assert_eq!(
        opened.variables().len() as u64,
        applied.saturating_sub(1),
        "a variable for each entry but the first"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_directory_holds_what_it_was_given(operations in proptest::collection::vec(operation(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let directory = Directory::new();
            let mut opened = directory.open().await;
            let mut model = Model::default();
            for operation in operations {
                if let Operation::Reopen = operation {
                    drop(opened);
                    opened = directory.open().await;
                } else {
                    perform(&mut opened, &mut model, operation).await;
                }
                assert_equal(&mut opened, &model).await;
            }
        });
    }
}
