//! `capstan variable` as its user sees it.

use crate::{
    console::Terminal,
    failure::Exit,
    testing::{Ran, Reply, node, ok, run, run_on},
};

const A: &str = "GET /cluster/v1/variables/a HTTP/1.1";

fn done(out: &str) -> Ran {
    Ran { out: out.to_owned(), err: String::new(), exit: Exit::Done }
}

#[tokio::test]
async fn get_writes_the_value_as_it_is_to_a_pipe_and_harmless_to_a_terminal() {
    let node = node(vec![ok(A, "blue\x1b[2J")]).await;
    assert_eq!(run(&node, &["variable", "get", "a"]).await, done("blue\x1b[2J"));
    let terminal = Terminal { out: true, ..Terminal::default() };
    assert_eq!(run_on(terminal, &node, &["variable", "get", "a"]).await, done("blue\\u{1b}[2J\n"));
}

#[tokio::test]
async fn an_unknown_variable_has_its_own_exit_code() {
    let missing = r#"{"code":"not_found","message":"there is no variable a"}"#;
    let node = node(vec![Reply { call: A, status: "404 Not Found", body: missing.to_owned() }]).await;
    let ran = run(&node, &["variable", "get", "a"]).await;
    assert_eq!((ran.out.as_str(), ran.exit), ("", Exit::NotFound));
    let expected = format!(
        "error: there is no variable a (HTTP 404 from http://{node})\n\
         next: capstan variable ls shows the names that exist\n"
    );
    assert_eq!(ran.err, expected);
}

#[tokio::test]
async fn put_says_whether_it_made_or_replaced() {
    let body = r#"{"name":"a","revision":7}"#.to_owned();
    let replies = vec![
        Reply { call: "\r\n\r\nred", status: "201 Created", body: body.clone() },
        Reply { call: "\r\n\r\nblue", status: "200 OK", body },
    ];
    let node = node(replies).await;
    assert_eq!(run(&node, &["variable", "put", "a", "red"]).await, done("created a, revision 7\n"));
    assert_eq!(run(&node, &["variable", "put", "a", "blue"]).await, done("replaced a, revision 7\n"));
}

#[tokio::test]
async fn a_lost_race_is_refused_with_where_to_look() {
    let lost = r#"{"code":"revision_mismatch","message":"variable a has revision 9, not 4"}"#.to_owned();
    let node =
        node(vec![Reply { call: "if-match: \"4\"", status: "412 Precondition Failed", body: lost }]).await;
    let ran = run(&node, &["variable", "put", "a", "red", "--if-revision", "4"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.err.ends_with("next: capstan variable get a -o json\n"), "{}", ran.err);
}

#[tokio::test]
async fn ls_goes_through_all_pages() {
    let page = |name: &str, revision: u64, next: &str| {
        format!(r#"{{"variables":[{{"name":"{name}","revision":{revision},"size":4}}],"next":{next}}}"#)
    };
    let replies = vec![
        ok("prefix=app.&after=app.colour&limit=1000", page("app.replicas", 12_345, "null")),
        ok("prefix=app.&limit=1000", page("app.colour", 7, "\"app.colour\"")),
    ];
    let ran = run(&node(replies).await, &["variable", "ls", "--prefix", "app."]).await;
    let expected = "\
NAME          REVISION  BYTES
app.colour           7      4
app.replicas     12345      4
";
    assert_eq!(ran, done(expected));
}

#[tokio::test]
async fn an_empty_list_is_no_output() {
    let node = node(vec![ok("GET /cluster/v1/variables?", r#"{"variables":[],"next":null}"#)]).await;
    let ran = run(&node, &["variable", "ls"]).await;
    assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.exit), ("", "no variables\n", Exit::Done));
    assert_eq!(run(&node, &["variable", "ls", "-o", "json"]).await, done("[]\n"));
}
