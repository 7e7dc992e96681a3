//! `capstan domain` as its user sees it.

use crate::{
    failure::Exit,
    testing::{Reply, node, ok, run},
};

fn fresh(call: &'static str) -> Reply {
    Reply { call, status: "204 No Content", body: String::new() }
}

#[tokio::test]
async fn domains_are_listed_and_set() {
    let replies = vec![
        ok("GET /v1/domains ", r#"["apps","for ever"]"#),
        fresh("PUT /v1/domains/apps HTTP/1.1\r\ncache-control: max-age=90"),
        fresh("PUT /v1/domains/for%20ever HTTP/1.1\r\naccept"),
    ];
    let node = node(replies).await;
    assert_eq!(run(&node, &["domain", "ls"]).await.out, "apps\nfor ever\n");
    let ran = run(&node, &["domain", "set", "apps", "--ttl", "90s"]).await;
    assert_eq!(ran.out, "apps is fresh for 90 s\n", "{}", ran.err);
    let ran = run(&node, &["domain", "set", "for ever"]).await;
    assert_eq!(ran.out, "for ever is fresh for ever\n", "{}", ran.err);
}

#[tokio::test]
async fn less_than_a_second_is_not_for_ever() {
    let ran = run("", &["domain", "set", "apps", "--ttl", "500ms"]).await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.err.starts_with("error: a domain is fresh for whole seconds\n"), "{}", ran.err);
}
