//! `capstan token` as its user sees it.

use serde_json::{Value, json};

use crate::{
    failure::Exit,
    testing::{Reply, node, ok, run},
};

const TOKENS: &str = "/cluster/v1/auth/tokens";

fn created() -> Reply {
    let body = json!({
        "id": "00000000000000aa", "secret": "5ec", "token": "00000000000000aa.5ec", "expires_at": "2026-12-20T14:15:00Z",
    });
    let call = "POST /cluster/v1/auth/tokens ";
    Reply { call, status: "201 Created", body: body.to_string() }
}

#[tokio::test]
async fn a_token_is_told_once() {
    let line = ["token", "create", "--name", "ann", "--role", "dba,reader", "--expires", "30d"];
    let ran = run(&node(vec![created()]).await, &line).await;
    let told = "ID       00000000000000aa\nTOKEN    00000000000000aa.5ec\nEXPIRES  2026-12-20T14:15:00Z\n";
    assert_eq!((&*ran.out, ran.exit), (told, Exit::Done));
    assert!(ran.err.starts_with("keep the token"), "{}", ran.err);
    let asked = r#"{"name":"ann","roles":["dba","reader"],"expires_in_seconds":2592000}"#;
    let ran = run(&node(vec![Reply { call: asked, ..created() }]).await, &line).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    let line: Vec<_> = line.into_iter().chain(["-o", "json"]).collect();
    let ran = run(&node(vec![created()]).await, &line).await;
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["secret"], "5ec");
}

#[tokio::test]
async fn a_token_lives_for_whole_seconds() {
    let line = ["token", "create", "--name", "ann", "--role", "a", "--expires", "1500ms"];
    let ran = run("", &line).await;
    assert!(ran.exit == Exit::Usage && ran.err.contains("whole seconds"), "{}", ran.err);
}

#[tokio::test]
async fn tokens_are_listed_page_by_page_without_secrets() {
    let page = |id: &str, end: Value, next: Value| {
        let token = json!({
            "id": id, "name": "ann", "roles": ["dba", "reader"], "created_at": "2026-11-20T13:15:00Z", "created_by": "",
            "expires_at": end,
        });
        json!({ "tokens": [token], "next": next }).to_string()
    };
    let replies = vec![
        ok("tokens?after=aa ", page("ab", json!(null), json!(null))),
        ok("GET /cluster/v1/auth/tokens ", page("aa", json!("2026-11-22T20:00:00Z"), json!("aa"))),
    ];
    let ran = run(&node(replies).await, &["token", "ls"]).await;
    let table = "\
ID  NAME  ROLES       EXPIRES  CREATED   BY
aa  ann   dba,reader  in 2 d   1 h ago   -
ab  ann   dba,reader  never    1 h ago   -
";
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!((squeezed(&ran.out), ran.exit), (squeezed(table), Exit::Done));
    let none = node(vec![ok(TOKENS, json!({ "tokens": [], "next": null }).to_string())]).await;
    assert_eq!(run(&none, &["token", "ls"]).await.err, "no tokens\n");
}

#[tokio::test]
async fn a_revoked_token_is_named_and_an_unknown_one_has_its_own_exit_code() {
    let gone =
        Reply { call: "DELETE /cluster/v1/auth/tokens/aa ", status: "204 No Content", body: String::new() };
    let ran = run(&node(vec![gone]).await, &["token", "revoke", "aa"]).await;
    assert_eq!((&*ran.out, ran.exit), ("revoked aa\n", Exit::Done));
    let ran = run(&node(vec![]).await, &["token", "revoke", "ab"]).await;
    assert_eq!(ran.exit, Exit::NotFound);
    assert!(ran.err.ends_with("next: capstan token ls shows the tokens that there are\n"), "{}", ran.err);
    let body = json!({ "code": "no_admin_left", "message": "make one first" }).to_string();
    let last = Reply { call: "DELETE ", status: "409 Conflict", body };
    let ran = run(&node(vec![last]).await, &["token", "revoke", "aa"]).await;
    assert!(ran.exit == Exit::Refused && ran.err.contains("--role admin makes another"), "{}", ran.err);
}

#[tokio::test]
async fn every_call_brings_the_token_that_is_given() {
    let listed = |call| ok(call, json!({ "tokens": [], "next": null }).to_string());
    let ran =
        run(&node(vec![listed("authorization: Bearer aa.5ec")]).await, &["token", "ls", "--token", "aa.5ec"])
            .await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "aa.5ec\n").unwrap();
    let path = file.path().to_str().unwrap();
    let ran = run(
        &node(vec![listed("authorization: Bearer aa.5ec")]).await,
        &["token", "ls", "--token-file", path],
    )
    .await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    let ran = run(&node(vec![listed("GET ")]).await, &["token", "ls", "--token", ""]).await;
    assert_eq!(ran.exit, Exit::Done, "nothing is as good as none: {}", ran.err);
    // The devices have no end, and no token.
    let files =
        ["/does/not/exist", "/dev/zero", "/dev/null"].map(|file| ["token", "ls", "--token-file", file]);
    let tokens = ["a.\nb", "aa", "aa.", ".5ec", " "].map(|token| ["token", "ls", "--token", token]);
    for line in files.into_iter().chain(tokens) {
        let ran = run("", &line).await;
        assert_eq!(ran.exit, Exit::Usage, "{line:?}: {}", ran.err);
    }
    let unknown = Reply {
        call: "GET ",
        status: "401 Unauthorized",
        body: json!({ "code": "unauthenticated", "message": "the cluster asks who calls" }).to_string(),
    };
    let ran = run(&node(vec![unknown]).await, &["token", "ls"]).await;
    assert!(ran.exit == Exit::Refused && ran.err.contains("next: give a token with --token"), "{}", ran.err);
}
