//! What Diego's Receptor and its client of November 2015 sent is read into the wire types and written back: not a byte may change.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes the helpers of an integration test for production code"
)]

use capstan_client::receptor::{
    ActualLrp, ActualLrpState, Cell, DesiredLrp, DesiredLrpCreate, DesiredLrpUpdate, ErrorBody, Task,
    TaskCreate, TaskState, Version,
};
use serde::{Serialize, de::DeserializeOwned};

/// Reads one recorded body as `T` and asserts that writing it gives the recorded bytes again.
macro_rules! unchanged {
    ($t:ty, $name:literal) => {
        read_and_compare::<$t>($name, include_str!(concat!("receptor/", $name, ".json")))
    };
}

fn read_and_compare<T: Serialize + DeserializeOwned>(name: &str, recorded: &str) -> T {
    let recorded = recorded.trim_end();
    let value: T = serde_json::from_str(recorded).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(serde_json::to_string(&value).unwrap(), recorded, "{name}");
    value
}

#[test]
fn desired_lrps_keep_their_bytes() {
    let web = unchanged!(DesiredLrp, "desired_lrp");
    assert_eq!((web.instances, web.modification_tag.index, web.ports), (2, 1, vec![8080, 2222]));
    unchanged!(Vec<DesiredLrp>, "desired_lrps");
    unchanged!(DesiredLrpUpdate, "desired_lrp_update");
}

#[test]
fn a_new_lrp_says_what_the_recorded_one_said() {
    // Upstream's client omits what is not set where ours says null, which servers take for the same.
    let recorded = include_str!("receptor/desired_lrp_create.json").trim_end();
    let create: DesiredLrpCreate = serde_json::from_str(recorded).unwrap();
    assert_eq!(serde_json::to_string(&create).unwrap(), recorded);
    let empty = serde_json::to_string(&DesiredLrpCreate::default()).unwrap();
    assert!(empty.contains("\"setup\":null,\"action\":null,\"monitor\":null"), "{empty}");
}

#[test]
fn actual_lrps_keep_their_bytes() {
    let all = unchanged!(Vec<ActualLrp>, "actual_lrps");
    assert_eq!((all[0].state, all[0].ports.len()), (ActualLrpState::Running, 2));
    let waiting = unchanged!(ActualLrp, "actual_lrp_unclaimed");
    assert_eq!((waiting.state, waiting.ports.len()), (ActualLrpState::Unclaimed, 0));
}

#[test]
fn cells_tasks_and_errors_keep_their_bytes() {
    unchanged!(Vec<Cell>, "cells");
    assert_eq!(unchanged!(Task, "task").state, TaskState::Pending);
    unchanged!(Vec<Task>, "tasks");
    unchanged!(TaskCreate, "task_create");
    unchanged!(ErrorBody, "error");
}

#[test]
fn words_of_a_later_version_are_read_all_the_same() {
    assert_eq!(serde_json::from_str::<ActualLrpState>("\"SUSPECT\"").unwrap(), ActualLrpState::Invalid);
    assert_eq!(serde_json::from_str::<TaskState>("\"CLAIMED\"").unwrap(), TaskState::Invalid);
    let version: Version = serde_json::from_str(r#"{"ltc":"v1","receptor":"v2"}"#).unwrap();
    assert_eq!(version.receptor, "v2");
}
