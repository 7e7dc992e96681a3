//! Who may make which call: every role against every route, and what callers try.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use capstan_api::{Access, Credentials, Permission, ROUTES, Route};
use capstan_model::auth::Operation::{
    self, Administer, Metrics, Read, ReadRequests, Start, Stop, WriteCluster, WriteLrps, WriteSpecs,
    WriteVariables,
};
use futures::StreamExt;
use http::{
    Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};

use crate::{
    node::TestNode,
    streams::{Blocks, Next},
};

/// What each role may do; what everybody may whom the cluster knows is left out.
const ROLES: [(&str, &[Operation]); 10] = [
    ("admin", &[Read, Metrics, WriteVariables, WriteLrps, WriteCluster, WriteSpecs, Administer]),
    ("operator", &[Read, Metrics, WriteVariables, WriteLrps, WriteCluster]),
    ("reader", &[Read, Metrics]),
    ("read", &[Read]),
    ("metrics", &[Metrics]),
    ("variables:write", &[WriteVariables]),
    ("lrps:write", &[WriteLrps]),
    ("cluster:write", &[WriteCluster]),
    ("specs:write", &[WriteSpecs]),
    ("dba", &[]),
];

/// A token as its maker was told it.
#[derive(Clone)]
struct Token {
    id: String,
    secret: String,
}

impl Token {
    fn bearer(&self) -> String {
        format!("Bearer {}.{}", self.id, self.secret)
    }

    fn basic(&self) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", self.id, self.secret)))
    }
}

/// A node that asks who calls, and the token of its administrator.
struct Guarded {
    node: TestNode,
    root: Token,
}

impl Guarded {
    async fn start(access: Access) -> Self {
        let node = TestNode::guarded(access).await;
        let root = make_token(&node, None, "root", "admin").await;
        let this = Self { node, root };
        let answer = this.as_root("PATCH", "/cluster/v1/auth", r#"{"required":true}"#).await;
        assert_eq!(answer.status(), StatusCode::OK);
        this
    }

    async fn token(&self, name: &str, role: &str) -> Token {
        make_token(&self.node, Some(&self.root.bearer()), name, role).await
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        authorization: Option<&str>,
        body: &str,
    ) -> Response<Bytes> {
        call(&self.node, method, path, authorization, body).await
    }

    async fn as_root(&self, method: &str, path: &str, body: &str) -> Response<Bytes> {
        self.call(method, path, Some(&self.root.bearer()), body).await
    }

    async fn start_request(&self, kind: &str, authorization: Option<&str>) -> Response<Bytes> {
        let body = json!({ "type": kind, "args": {} }).to_string();
        self.call("POST", "/api/v1/requests", authorization, &body).await
    }
}

async fn call(
    node: &TestNode,
    method: &str,
    path: &str,
    authorization: Option<&str>,
    body: &str,
) -> Response<Bytes> {
    let request = request(method, path, authorization, body);
    if path.ends_with("/events") {
        // It has no end.
        return node.api.open(request).await.map(|_| Bytes::new());
    }
    node.api.call(request).await
}

fn request(method: &str, path: &str, authorization: Option<&str>, body: &str) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

async fn make_token(node: &TestNode, authorization: Option<&str>, name: &str, role: &str) -> Token {
    let body = json!({ "name": name, "roles": [role] }).to_string();
    let answer = call(node, "POST", "/cluster/v1/auth/tokens", authorization, &body).await;
    assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
    let told = json_of(&answer);
    let text = |member: &str| told[member].as_str().unwrap().to_owned();
    Token { id: text("id"), secret: text("secret") }
}

fn json_of(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

/// The status of a denial, as each surface has it.
fn denied(path: &str) -> StatusCode {
    let is_theirs = path.starts_with("/api/") || path.starts_with("/v1/") || path == "/version";
    if is_theirs { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN }
}

fn body_for(route: &Route) -> String {
    let starts = route.permission == Permission::BySpec(Start);
    if starts { json!({ "type": "one", "args": {} }).to_string() } else { String::new() }
}

#[tokio::test]
async fn every_role_may_do_on_every_route_what_the_table_says() {
    let guarded = Guarded::start(Access::default()).await;
    for (role, granted) in ROLES {
        let bearer = guarded.token("ann", role).await.bearer();
        for route in ROUTES {
            let Route { method, path, permission } = *route;
            let may = match permission {
                Permission::Open | Permission::Known | Permission::BySpec(Start | Stop) => true,
                Permission::Granted(ReadRequests) => true,
                Permission::Granted(operation) => granted.contains(&operation),
                Permission::BySpec(other) => panic!("no spec is about {other}"),
            };
            let answer = guarded.call(method, path, Some(&bearer), &body_for(route)).await;
            let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status());
            assert_eq!(!refused, may, "{role}: {method} {path} was answered {answer:?}");
            assert!(
                may || answer.status() == denied(path),
                "{role}: {method} {path} was answered {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn nobody_passes_who_is_not_known() {
    let guarded = Guarded::start(Access::default()).await;
    let revoked = guarded.token("ann", "admin").await;
    let path = format!("/cluster/v1/auth/tokens/{}", revoked.id);
    let answer = guarded.as_root("DELETE", &path, "").await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let wrong = Token { secret: format!("{}0", guarded.root.secret), ..guarded.root.clone() };
    let [wrong, of_nobody] = [wrong, Token { id: "0".repeat(16), ..guarded.root.clone() }];
    let brought = [
        None,
        Some(wrong.bearer()),
        Some(wrong.basic()),
        Some(of_nobody.bearer()),
        Some(revoked.bearer()),
        Some("Basic !".to_owned()),
        Some("Digest x".to_owned()),
        Some(String::new()),
    ];
    for route in ROUTES {
        let Route { method, path, permission } = *route;
        for authorization in &brought {
            let answer = guarded.call(method, path, authorization.as_deref(), &body_for(route)).await;
            if permission == Permission::Open {
                assert!(!answer.status().is_client_error(), "{method} {path}: {answer:?}");
            } else {
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path}: {authorization:?}");
                assert!(answer.headers().contains_key(WWW_AUTHENTICATE), "{method} {path}");
            }
        }
    }
    // What leads nowhere tells nothing either, but under Diego's prefix, as his router does.
    for (path, status) in [
        ("/api/v1/nope", StatusCode::UNAUTHORIZED),
        ("/cluster/v1/nope", StatusCode::UNAUTHORIZED),
        ("/nope", StatusCode::UNAUTHORIZED),
        ("/v1/nope", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(guarded.call("GET", path, None, "").await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn refusals_have_the_shape_of_their_surface() {
    let guarded = Guarded::start(Access::default()).await;
    let ann = guarded.token("ann", "dba").await;
    let refused = |path: &'static str, by: Option<String>| {
        let guarded = &guarded;
        async move {
            let answer = guarded.call("GET", path, by.as_deref(), "").await;
            (answer.status().as_u16(), json_of(&answer))
        }
    };
    let nothing = "the cluster asks who calls: bring a token, as a bearer token or as name and password";
    let role =
        "caller \"ann\" may not do this (read): it takes an admin role or one of reader, operator, read";
    assert_eq!(refused("/api/v1/requests", None).await, (401, json!({ "message": nothing })));
    assert_eq!(refused("/version", None).await, (401, json!({ "message": nothing })));
    assert_eq!(
        refused("/cluster/v1/status", None).await,
        (401, json!({ "code": "unauthenticated", "message": nothing }))
    );
    assert_eq!(
        refused("/cluster/v1/status", Some(ann.bearer())).await,
        (403, json!({ "code": "denied", "message": role }))
    );
    assert_eq!(
        refused("/v1/cells", None).await,
        (401, json!({ "name": "Unauthorized", "message": nothing }))
    );
    assert_eq!(
        refused("/v1/cells", Some(ann.basic())).await,
        (401, json!({ "name": "Unauthorized", "message": role }))
    );
}

/// Reference 6, and its cases 3 and 50.
#[tokio::test]
async fn a_spec_says_who_starts_and_stops_its_requests() {
    let guarded = Guarded::start(Access::default()).await;
    let deploy = guarded.token("ann", "deploy").await;
    let [oncall, operator] = [guarded.token("bob", "oncall").await, guarded.token("eve", "operator").await];
    // The jobs of this one take for ever to be made: a denial at once shows that none was asked for.
    let denied = guarded.start_request("kept-and-stuck", Some(&deploy.bearer())).await;
    assert_eq!(denied.status(), StatusCode::UNAUTHORIZED);
    let message = json_of(&denied)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("no matching caller role granted it"), "{message}");
    let denied = guarded.start_request("kept", Some(&operator.bearer())).await;
    assert_eq!(denied.status(), StatusCode::UNAUTHORIZED);
    let none = guarded.call("GET", "/api/v1/requests", Some(&deploy.bearer()), "").await;
    assert_eq!(json_of(&none), json!([]), "nothing was stored");

    let started = guarded.start_request("kept", Some(&deploy.basic())).await;
    assert_eq!(started.status(), StatusCode::CREATED);
    assert_eq!(json_of(&started)["user"], "ann");
    let path = format!("{}/stop", started.headers()[LOCATION].to_str().unwrap());
    for token in [&deploy, &operator] {
        let answer = guarded.call("PUT", &path, Some(&token.bearer()), "").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(guarded.call("PUT", &path, Some(&oncall.bearer()), "").await.status(), StatusCode::OK);
    let unknown = "/api/v1/requests/9m4e2mr0ui3e8a215n4g/stop";
    assert_eq!(
        guarded.call("PUT", unknown, Some(&deploy.bearer()), "").await.status(),
        StatusCode::NOT_FOUND
    );
    for kind in ["part", "no-such-type"] {
        let answer = guarded.start_request(kind, Some(&deploy.bearer())).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{kind}");
    }
    // An admin role needs no ACL, and strict leaves the rest to it.
    let answer = guarded.start_request("kept", Some(&guarded.root.bearer())).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let strict = guarded.as_root("PATCH", "/cluster/v1/auth", r#"{"strict":true}"#).await;
    assert_eq!(strict.status(), StatusCode::OK);
    let denied = guarded.start_request("one", Some(&deploy.bearer())).await;
    assert_eq!(denied.status(), StatusCode::UNAUTHORIZED);
    let answer = guarded.start_request("one", Some(&guarded.root.bearer())).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn who_may_start_or_stop_a_request_may_steer_it() {
    let guarded = Guarded::start(Access::default()).await;
    let deploy = guarded.token("ann", "deploy").await;
    let [oncall, operator] = [guarded.token("bob", "oncall").await, guarded.token("eve", "operator").await];
    let started = guarded.start_request("kept", Some(&deploy.bearer())).await;
    let created = json_of(&started);
    let path = |what: &str| format!("/cluster/v1/requests/{}/{what}", created["id"].as_str().unwrap());
    let dry = json!({ "type": "kept", "args": {} }).to_string();
    // What, and whether one who may only start may do it.
    let calls = [
        ("PUT", path("pause"), "", false),
        ("PUT", path("resume"), "", false),
        ("POST", path("jobs/abcd/approve"), "", true),
        ("POST", path("jobs/abcd/reject"), "", true),
        ("POST", path("retry"), "", true),
        ("POST", "/cluster/v1/requests?dry_run".to_owned(), dry.as_str(), true),
    ];
    for (method, path, body, may_deploy) in calls {
        for (token, may) in [(&operator, false), (&deploy, may_deploy), (&oncall, true)] {
            let answer = guarded.call(method, &path, Some(&token.bearer()), body).await;
            assert_eq!(answer.status() != StatusCode::FORBIDDEN, may, "{method} {path}: {answer:?}");
        }
    }
    let paused = guarded.call("PUT", &path("pause"), Some(&oncall.bearer()), "").await;
    assert_eq!(json_of(&paused)["paused"]["by"], "bob", "{paused:?}");
}

#[tokio::test]
async fn without_required_only_specs_keep_callers_out() {
    let node = TestNode::start().await;
    let start = |kind: &str| json!({ "type": kind, "args": {} }).to_string();
    let answer = call(&node, "POST", "/api/v1/requests", None, &start("one")).await;
    assert_eq!((answer.status(), &json_of(&answer)["user"]), (StatusCode::CREATED, &json!("")));
    let answer = call(&node, "POST", "/api/v1/requests", None, &start("kept")).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    // Who brings a token is somebody all the same; who brings a wrong one is told so.
    let token = make_token(&node, None, "ann", "deploy").await;
    let answer = call(&node, "POST", "/api/v1/requests", Some(&token.bearer()), &start("kept")).await;
    assert_eq!((answer.status(), &json_of(&answer)["user"]), (StatusCode::CREATED, &json!("ann")));
    let answer = call(&node, "GET", "/cluster/v1/status", Some("Bearer x.y"), "").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    // Diego's clients may send what they like where he asks for nothing.
    let answer = call(&node, "GET", "/v1/cells", Some("Basic dTpw"), "").await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn nothing_that_a_caller_says_of_himself_counts() {
    let guarded = Guarded::start(Access::default()).await;
    let ann = guarded.token("ann", "dba").await;
    let forged =
        ["x-capstan-caller", "x-capstan-author", "x-capstan-roles", "x-forwarded-user", "x-remote-user"];
    for authorization in [None, Some(ann.bearer())] {
        let mut put = request("PUT", "/cluster/v1/variables/a", authorization.as_deref(), "x");
        for name in forged {
            put.headers_mut().insert(name, "root".parse().unwrap());
        }
        put.headers_mut()
            .insert("cookie", format!("receptor_authorization={}", guarded.root.basic()).parse().unwrap());
        let answer = guarded.node.api.call(put).await;
        assert!(answer.status().is_client_error(), "{answer:?}");
    }
    let body = json!({ "type": "one", "args": {}, "user": "root", "author": { "name": "root" } }).to_string();
    let started = guarded.call("POST", "/api/v1/requests", Some(&ann.bearer()), &body).await;
    assert_eq!((started.status(), &json_of(&started)["user"]), (StatusCode::CREATED, &json!("ann")));
    let mut get = request("GET", "/cluster/v1/status", Some(&ann.bearer()), "");
    get.headers_mut().append(AUTHORIZATION, guarded.root.bearer().parse().unwrap());
    assert_eq!(guarded.node.api.call(get).await.status(), StatusCode::UNAUTHORIZED);
    let variables = guarded.as_root("GET", "/cluster/v1/variables", "").await;
    assert_eq!(json_of(&variables)["variables"], json!([]));
}

#[tokio::test]
async fn the_configured_name_and_password_open_what_is_under_v1_and_no_more() {
    let credentials = Credentials { username: "u".to_owned(), password: "p".to_owned() };
    let guarded = Guarded::start(Access { credentials: Some(credentials), cors: false }).await;
    let diego = Some("Basic dTpw");
    let domain = guarded.call("PUT", "/v1/domains/d", diego, "").await;
    assert_eq!(domain.status(), StatusCode::NO_CONTENT);
    assert_eq!(guarded.call("GET", "/v1/cells", diego, "").await.status(), StatusCode::OK);
    assert_eq!(guarded.call("POST", "/v1/auth_cookie", diego, "").await.status(), StatusCode::NO_CONTENT);
    for path in ["/cluster/v1/status", "/api/v1/requests", "/version", "/metrics"] {
        assert_eq!(guarded.call("GET", path, diego, "").await.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let token = guarded.token("ann", "lrps:write").await;
    let domain = guarded.call("PUT", "/v1/domains/e", Some(&token.basic()), "").await;
    assert_eq!(domain.status(), StatusCode::NO_CONTENT);
    let mut by_cookie = request("GET", "/v1/domains", None, "");
    let cookie = format!("receptor_authorization=\"{}\"", guarded.root.basic());
    by_cookie.headers_mut().insert("cookie", cookie.parse().unwrap());
    assert_eq!(guarded.node.api.call(by_cookie).await.status(), StatusCode::OK);
    let audit = guarded.as_root("GET", "/cluster/v1/audit?operation=lrps:write", "").await;
    let records = json_of(&audit)["records"].as_array().unwrap().clone();
    let told: Vec<_> = records.iter().map(|r| (r["caller"].clone(), r["what"].clone())).collect();
    assert_eq!(
        told,
        [(json!("ann"), json!("made domain e fresh")), (json!("u"), json!("made domain d fresh"))]
    );
}

#[tokio::test]
async fn an_export_is_broken_off_when_its_token_is_revoked() {
    let guarded = Guarded::start(Access::default()).await;
    for _ in 0..120 {
        let started = guarded.start_request("one", Some(&guarded.root.bearer())).await;
        assert_eq!(started.status(), StatusCode::CREATED);
    }
    let reader = guarded.token("ann", "dba").await;
    let path = "/cluster/v1/requests/export";
    let opened = guarded.node.api.open(request("GET", path, Some(&reader.bearer()), "")).await;
    let mut body = opened.into_body();
    assert!(body.next().await.unwrap().is_ok(), "it may read requests");
    let revoke = format!("/cluster/v1/auth/tokens/{}", reader.id);
    assert_eq!(guarded.as_root("DELETE", &revoke, "").await.status(), StatusCode::NO_CONTENT);
    assert!(body.next().await.unwrap().is_err(), "there was more to read");
}

#[tokio::test]
async fn a_stream_is_broken_off_when_its_token_is_revoked() {
    let guarded = Guarded::start(Access::default()).await;
    let reader = guarded.token("ann", "reader").await;
    let opened =
        guarded.node.api.open(request("GET", "/cluster/v1/events", Some(&reader.bearer()), "")).await;
    assert_eq!(opened.status(), StatusCode::OK);
    let mut stream = Blocks::new(opened.into_body());
    let put = guarded.as_root("PUT", "/cluster/v1/variables/a", "x").await;
    assert_eq!(put.status(), StatusCode::CREATED);
    assert_eq!(stream.event().await.name, "variable_set");
    let path = format!("/cluster/v1/auth/tokens/{}", reader.id);
    guarded.as_root("DELETE", &path, "").await;
    assert_eq!(stream.any().await, Next::Broken);
}
