//! `capstan settings` as its user sees it.

use crate::{
    failure::Exit,
    testing::{Ran, Reply, node, ok, run},
};

const LIST: &str = "GET /cluster/v1/settings ";
const PUT: &str = "PUT /cluster/v1/settings/archive_days ";

#[tokio::test]
async fn ls_shows_values_and_defaults() {
    let body = r#"{"settings":[{"name":"archive_days","value":"7","default":"30"}]}"#;
    let node = node(vec![ok(LIST, body)]).await;
    let ran = run(&node, &["settings", "ls"]).await;
    let expected = "NAME          VALUE  DEFAULT\narchive_days  7      30\n".to_owned();
    assert_eq!(ran, Ran { out: expected, err: String::new(), exit: Exit::Done });
    let ran = run(&node, &["settings", "ls", "-o", "json"]).await;
    let shown: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(shown[0]["value"], "7");
}

#[tokio::test]
async fn set_says_what_it_is_now_or_what_would_be_right() {
    let changed = r#"{"name":"archive_days","value":"7","default":"30"}"#.to_owned();
    let refused =
        r#"{"code":"invalid_setting","message":"setting archive_days: 0 is not between 1 and 3650"}"#;
    let node = node(vec![
        Reply { call: "\r\n\r\n7", status: "200 OK", body: changed },
        Reply { call: PUT, status: "400 Bad Request", body: refused.to_owned() },
    ])
    .await;
    let ran = run(&node, &["settings", "set", "archive_days", "7"]).await;
    assert_eq!((ran.out.as_str(), ran.exit), ("archive_days is 7 now\n", Exit::Done));
    let ran = run(&node, &["settings", "set", "archive_days", "0"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.err.contains("0 is not between 1 and 3650"), "{}", ran.err);
    assert!(
        ran.err.ends_with("next: capstan settings ls shows the settings and their values\n"),
        "{}",
        ran.err
    );
}
