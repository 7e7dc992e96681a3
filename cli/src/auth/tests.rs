//! `capstan auth` and `capstan audit` as their user sees them.

use serde_json::{Value, json};

use crate::{
    failure::Exit,
    testing::{Reply, node, ok, run},
};

const GET: &str = "GET /cluster/v1/auth ";

fn status(required: bool, roles: &[&str]) -> String {
    let token = (!roles.is_empty()).then_some("00000000000000aa");
    let name = if roles.is_empty() { "" } else { "ann" };
    let caller = json!({ "name": name, "roles": roles, "token": token });
    json!({ "required": required, "strict": false, "admin_roles": ["admin"], "caller": caller }).to_string()
}

#[tokio::test]
async fn show_says_what_is_asked_and_who_you_are() {
    let ran = run(&node(vec![ok(GET, status(true, &["admin", "dba"]))]).await, &["auth", "show"]).await;
    let told = "\
REQUIRED     true
STRICT       false
ADMIN ROLES  admin
YOU          ann (token 00000000000000aa)
YOUR ROLES   admin, dba
";
    assert_eq!((&*ran.out, ran.exit), (told, Exit::Done));
    let ran = run(&node(vec![ok(GET, status(false, &[]))]).await, &["auth", "show"]).await;
    assert!(ran.out.contains("YOU          nobody in particular\n"), "{}", ran.out);
}

#[tokio::test]
async fn whoever_has_no_token_for_it_does_not_lock_himself_out() {
    for roles in [&[][..], &["operator"]] {
        let node = node(vec![ok(GET, status(false, roles))]).await;
        for line in [&["auth", "require"][..], &["auth", "set", "--required", "true"]] {
            let ran = run(&node, line).await;
            assert!(ran.exit == Exit::Refused && ran.err.contains("lock yourself out"), "{}", ran.err);
        }
    }
}

#[tokio::test]
async fn only_what_is_named_changes() {
    let changed = |body| Reply { call: body, status: "200 OK", body: status(true, &["admin"]) };
    let replies = vec![ok(GET, status(false, &["admin"])), changed(r#"{"required":true}"#)];
    let ran = run(&node(replies).await, &["auth", "require"]).await;
    assert!(ran.exit == Exit::Done && ran.out.starts_with("REQUIRED     true\n"), "{}{}", ran.out, ran.err);
    let line = ["auth", "set", "--strict", "true", "--admin-role", "root,ops", "-o", "json"];
    let ran = run(&node(vec![changed(r#"{"strict":true,"admin_roles":["root","ops"]}"#)]).await, &line).await;
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["required"], true, "{}", ran.err);
    for (code, next) in [
        ("no_admin_left", "next: capstan token create"),
        ("locks_out", "next: call again with a token that has one of the new admin roles"),
    ] {
        let body = json!({ "code": code, "message": "not so" }).to_string();
        let refused = Reply { call: "PATCH ", status: "409 Conflict", body };
        let ran = run(&node(vec![refused]).await, &["auth", "set", "--admin-role", "nobody"]).await;
        assert!(ran.err.contains(next), "{}", ran.err);
    }
}

fn record(number: u64) -> Value {
    json!({
        "number": number, "index": 9, "at": "2026-11-20T14:05:00Z", "caller": "ann", "token": null,
        "operation": "cluster:write", "what": "drained node 1",
    })
}

#[tokio::test]
async fn the_audit_is_read_until_there_is_enough_of_it() {
    let page = |records: Vec<Value>, next: Value| json!({ "records": records, "next": next }).to_string();
    let replies = vec![
        ok("operation=cluster%3Awrite&after=4&limit=1 ", page(vec![record(3)], json!(3))),
        ok("operation=cluster%3Awrite&after=7&limit=2 ", page(vec![record(5)], json!(4))),
        ok("operation=cluster%3Awrite&limit=2 ", page(vec![], json!(7))),
    ];
    let line = ["audit", "--operation", "cluster:write", "--limit", "2"];
    let ran = run(&node(replies).await, &line).await;
    let rows: Vec<_> = ran.out.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!((rows, ran.exit), (vec!["NUMBER", "5", "3"], Exit::Done), "{}", ran.err);
    assert!(ran.out.contains("drained node 1"), "{}", ran.out);
    assert_eq!(ran.err, "next: there may be more: --after 3\n");
    let none = node(vec![ok("GET /cluster/v1/audit?limit=50 ", page(vec![], json!(null)))]).await;
    assert_eq!(run(&none, &["audit"]).await.err, "no records\n");
}
