//! Answers recorded from Spin Cycle 2.1.1 are read into the wire types and written back: not a byte may change.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes the helpers of an integration test for production code"
)]

use capstan_client::spin_cycle::{
    CreateRequest, FrameworkError, HandlerError, JobLogEntry, Request, RequestListEntry, RunningStatus, State,
};
use serde::{Serialize, de::DeserializeOwned};

/// Reads one recorded answer as `T` and asserts that writing it gives the recorded bytes again.
macro_rules! unchanged {
    ($t:ty, $name:literal) => {
        read_and_compare::<$t>($name, include_str!(concat!("spin_cycle/", $name, ".json")))
    };
}

fn read_and_compare<T: Serialize + DeserializeOwned>(name: &str, recorded: &str) -> T {
    let recorded = recorded.trim_end();
    let value: T = serde_json::from_str(recorded).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(serde_json::to_string(&value).unwrap(), recorded, "{name}");
    value
}

#[test]
fn requests_keep_their_bytes() {
    let created = unchanged!(Request, "request_created");
    assert_eq!((created.state, created.jr_url.as_str()), (State::Pending, ""));
    unchanged!(Request, "request_created_with_all_kinds_of_args");
    unchanged!(Request, "request_created_with_a_list_arg");
    unchanged!(Request, "request_running");
    unchanged!(Request, "request_finished");
    unchanged!(Request, "request_with_sequence_retry");
    unchanged!(Vec<Request>, "requests_found");
}

#[test]
fn logs_keep_their_bytes() {
    unchanged!(Vec<JobLogEntry>, "job_log");
    unchanged!(JobLogEntry, "job_log_one");
}

#[test]
fn status_and_request_list_keep_their_bytes() {
    unchanged!(RunningStatus, "status_running");
    let list = unchanged!(Vec<RequestListEntry>, "request_list");
    assert_eq!(list.last().map(|entry| entry.name.as_str()), Some("test"));
}

#[test]
fn errors_keep_their_bytes() {
    assert_eq!(unchanged!(HandlerError, "error_from_a_handler").http_status, 404);
    unchanged!(FrameworkError, "error_from_the_framework");
}

#[test]
fn nothing_running_is_read_from_nulls_and_written_as_empty() {
    let status: RunningStatus = serde_json::from_str(r#"{"jobs":null,"requests":null}"#).unwrap();
    assert_eq!(serde_json::to_string(&status).unwrap(), r#"{"jobs":[],"requests":{}}"#);
}

#[test]
fn a_body_may_have_null_args_capital_keys_and_unknown_ones() {
    let cases = [
        (r#"{"type":"one","args":null}"#, "one"),
        (r#"{"Type":"one","Args":{}}"#, "one"),
        (r#"{"type":"one","user":"ignored"}"#, "one"),
        ("{}", ""),
    ];
    for (body, kind) in cases {
        let create: CreateRequest = serde_json::from_str(body).unwrap();
        assert_eq!(create.kind, kind, "{body}");
        assert!(create.args.unwrap_or_default().is_empty(), "{body}");
    }
}

#[test]
fn a_chain_is_walked_from_source_to_sink() {
    let request = unchanged!(Request, "request_running");
    let chain = request.job_chain.unwrap();
    let order: Vec<&str> = chain.in_order().into_iter().map(|job| job.id.as_str()).collect();
    assert_eq!(order.len(), 15);
    assert_eq!((order[0], order[14]), ("xU4N", "RhVg"));
    for (before, successors) in &chain.adjacency_list {
        let place = |id: &str| order.iter().position(|seen| *seen == id);
        assert!(
            successors.iter().all(|after| place(before) < place(after)),
            "{before} comes before {successors:?}"
        );
    }
}
