//! Job types that are processes: plugins, HTTP calls and `lrp/…`, run by a real guardian.

#![allow(clippy::unwrap_used, reason = "all of it is tests")]

mod guardian_world;

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    sync::Arc,
    thread,
};

use capstan_model::workflow::{
    command::TryEnd,
    graph::CreateError,
    json::{JsonMap, JsonText},
};
use capstan_node::{
    executor::{Executor, Outcome},
    guardian::output::STREAM_BYTES_MAX,
    jobs::{JobTypes, Run, RunInput, lrp::Surface, plugin::discover},
};
use guardian_world::{World, key};
use serde_json::Value;

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn args(object: &str) -> JsonMap {
    let object: serde_json::Map<String, Value> = serde_json::from_str(object).unwrap();
    object.iter().map(|(name, value)| (name.as_str().into(), JsonText::from(value))).collect()
}

fn executor_of(world: &World) -> Arc<dyn Executor> {
    Arc::clone(&world.executor) as Arc<dyn Executor>
}

async fn run(world: &mut World, types: &JobTypes, name: &str, bytes: bytes::Bytes) -> Arc<Outcome> {
    let job_data = Arc::new(args(r#"{"before":[1, 2.50]}"#));
    let Run::Process(spec) = types.get(name).unwrap().run(RunInput { key: key(1), bytes, job_data }) else {
        panic!("{name} is no process")
    };
    world.run(spec).await
}

const ECHO: &str = r#"#!/bin/sh
case $1 in
describe) echo '{"create":"run","idempotent":true,"args":["host"],"sets":["port"]}' ;;
create)
  input=$(cat)
  case $input in *'"host":"bad"'*) echo 'no such host' >&2; exit 3 ;; esac
  printf '{"args":{"port":"80"},"bytes":"%s"}' "$(printf %s "$input" | base64 -w0)" >"$CAPSTAN_RESULT" ;;
run) cat; echo working >>"$CAPSTAN_STATUS"; printf '{"jobData":{"seen":true}}' >"$CAPSTAN_RESULT" ;;
esac
"#;

#[tokio::test]
async fn a_plugin_is_described_creates_and_runs() {
    let mut world = World::new().await;
    let jobs = world.file("jobs-dir");
    put(&jobs.join("host/echo"), ECHO);
    let mut types = JobTypes::built_in();
    discover(&jobs, &executor_of(&world), &mut types).unwrap();
    let plugin = Arc::clone(types.get("host/echo").unwrap());

    let created = plugin.create(args(r#"{"host":"db7","n":2.50}"#)).await.unwrap();
    assert_eq!(created.args, args(r#"{"port":"80"}"#));
    assert_eq!(created.bytes, &br#"{"args":{"host":"db7","n":2.5}}"#[..]);
    assert!(plugin.describe().idempotent);

    let outcome = run(&mut world, &types, "host/echo", created.bytes).await;
    assert_eq!((outcome.end, &*outcome.error), (TryEnd::Complete, ""));
    assert_eq!(outcome.job_data, args(r#"{"seen":true}"#));
    let given: Value = serde_json::from_slice(&outcome.stdout.bytes).unwrap();
    assert_eq!(given["jobData"], serde_json::json!({"before": [1, 2.5]}));
    assert_eq!(given["jobId"], "jobA");
    assert_eq!((&given["try"], &given["epoch"]), (&1.into(), &3.into()));

    let failed = |reason: &str| Err(CreateError::Failed(reason.to_owned()));
    assert_eq!(plugin.create(args("{}")).await, failed("required arg host is not set"));
    let refused = plugin.create(args(r#"{"host":"bad"}"#)).await;
    assert_eq!(refused, failed("plugin host/echo create: exit status 3: no such host"));
}

#[tokio::test]
async fn a_plugin_without_create_is_given_its_args() {
    let mut world = World::new().await;
    let jobs = world.file("jobs-dir");
    put(
        &jobs.join("plain"),
        "#!/bin/sh\n[ \"$1\" = describe ] && echo '{}' && exit\ncat >/dev/null; echo \"$1\"; exit 4\n",
    );
    let mut types = JobTypes::built_in();
    discover(&jobs, &executor_of(&world), &mut types).unwrap();
    let created = types.get("plain").unwrap().create(args(r#"{"a":"b"}"#)).await.unwrap();
    assert_eq!(created.bytes, &br#"{"a":"b"}"#[..]);
    let outcome = run(&mut world, &types, "plain", created.bytes).await;
    assert_eq!((outcome.end, outcome.exit, &*outcome.error), (TryEnd::Failed, 4, "exit status 4"));
    assert_eq!(outcome.stdout.bytes, b"run\n");
}

#[tokio::test]
async fn a_plugin_that_describes_itself_wrongly_is_asked_again() {
    let world = World::new().await;
    let jobs = world.file("jobs-dir");
    put(&jobs.join("odd"), "#!/bin/sh\necho '{\"idempotentt\":true}'\n");
    let mut types = JobTypes::built_in();
    discover(&jobs, &executor_of(&world), &mut types).unwrap();
    let plugin = types.get("odd").unwrap();
    let error = plugin.create(args("{}")).await.unwrap_err().to_string();
    assert!(error.starts_with("plugin odd describe: ") && error.contains("idempotentt"), "{error}");
    put(&jobs.join("odd"), "#!/bin/sh\necho '{}'\n");
    assert!(plugin.create(args("{}")).await.is_ok());
}

#[tokio::test]
async fn a_plugin_that_cannot_be_asked_just_now_says_so() {
    let world = World::unbegun();
    let jobs = world.file("jobs-dir");
    put(&jobs.join("host/echo"), ECHO);
    let mut types = JobTypes::built_in();
    discover(&jobs, &executor_of(&world), &mut types).unwrap();
    let plugin = types.get("host/echo").unwrap();
    let reason = "plugin host/echo describe: no incarnation of this node has begun";
    assert_eq!(plugin.create(args("{}")).await, Err(CreateError::Unavailable(reason.to_owned())));
}

#[tokio::test]
async fn a_plugin_must_set_what_it_says_it_sets() {
    let world = World::new().await;
    let jobs = world.file("jobs-dir");
    let describe = r#"{"create":"run","sets":["port"]}"#;
    put(&jobs.join("idle"), &format!("#!/bin/sh\n[ \"$1\" = describe ] && echo '{describe}'\nexit 0\n"));
    let mut types = JobTypes::built_in();
    discover(&jobs, &executor_of(&world), &mut types).unwrap();
    let created = types.get("idle").unwrap().create(args(r#"{"port":"1"}"#)).await;
    assert_eq!(created, Err(CreateError::Failed("plugin idle create: did not set port".to_owned())));
}

#[tokio::test]
async fn a_description_is_kept_although_its_caller_gave_up() {
    let world = World::new().await;
    let (jobs, asked, gate) = (world.file("jobs-dir"), world.file("asked"), world.file("gate"));
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (told, gate_path) = (asked.display(), gate.display());
    put(
        &jobs.join("slow"),
        &format!("#!/bin/sh\necho asked >>{told}\ncat {gate_path} >/dev/null\necho '{{}}'\n"),
    );
    let mut types = JobTypes::built_in();
    discover(&jobs, &executor_of(&world), &mut types).unwrap();
    let plugin = Arc::clone(types.get("slow").unwrap());
    let impatient = tokio::spawn(plugin.create(args("{}")));
    // Opens once the plugin reads from it: then it is being described.
    let opened = tokio::task::spawn_blocking(move || fs::OpenOptions::new().write(true).open(gate));
    let opened = opened.await.unwrap().unwrap();
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());
    drop(opened);
    assert!(plugin.create(args("{}")).await.is_ok());
    assert_eq!(fs::read_to_string(asked).unwrap(), "asked\n");
}

#[tokio::test]
async fn only_executables_below_the_directory_are_plugins() {
    let world = World::unbegun();
    let jobs = world.file("jobs-dir");
    put(&jobs.join("a"), "");
    put(&jobs.join("deep/er/b"), "");
    put(&jobs.join(".hidden"), "");
    fs::write(jobs.join("README"), "").unwrap();
    symlink(jobs.join("a"), jobs.join("alias")).unwrap();
    symlink(&jobs, jobs.join("circle")).unwrap();
    let found = |jobs: &Path| {
        let mut types = JobTypes::default();
        discover(jobs, &executor_of(&world), &mut types)
            .map(|()| types.names().map(str::to_owned).collect::<Vec<_>>())
            .map_err(|error| error.to_string())
    };
    assert_eq!(found(&jobs).unwrap(), ["a", "alias", "deep/er/b"]);

    symlink("/bin/sh", jobs.join("escape")).unwrap();
    let error = found(&jobs).unwrap_err();
    assert!(error.contains("escape") && error.contains("leads out"), "{error}");
    assert!(found(&world.file("none")).unwrap_err().contains("none"));
}

#[tokio::test]
async fn a_plugin_does_not_hide_a_built_in_type() {
    let world = World::unbegun();
    let jobs = world.file("jobs-dir");
    put(&jobs.join("sleep"), "");
    let error = discover(&jobs, &executor_of(&world), &mut JobTypes::built_in()).unwrap_err().to_string();
    assert!(error.contains("built-in"), "{error}");
}

#[tokio::test]
async fn names_of_built_in_types_to_come_are_reserved() {
    let world = World::unbegun();
    let jobs = world.file("jobs-dir");
    put(&jobs.join("lrp/start"), "");
    let error = discover(&jobs, &executor_of(&world), &mut JobTypes::built_in()).unwrap_err().to_string();
    assert!(error.contains("reserved for built-in types"), "{error}");
}

/// Answers one call with `answer` and returns what was asked.
fn serve_once(answer: &'static str) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/path", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        let mut buffer = [0; 4096];
        while !is_whole(&asked) {
            let count = stream.read(&mut buffer).unwrap();
            asked.extend_from_slice(&buffer[..count]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(asked).unwrap()
    });
    (url, served)
}

fn is_whole(asked: &[u8]) -> bool {
    let text = String::from_utf8_lossy(asked).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

async fn call(object: &str) -> Arc<Outcome> {
    let mut world = World::new().await;
    let types = JobTypes::built_in();
    let created = types.get("http-request").unwrap().create(args(object)).await.unwrap();
    run(&mut world, &types, "http-request", created.bytes).await
}

fn stderr(outcome: &Outcome) -> String {
    outcome.to_report(STREAM_BYTES_MAX).stderr.text()
}

#[tokio::test]
async fn an_expected_answer_completes() {
    let (url, served) =
        serve_once("HTTP/1.1 201 Created\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmade");
    let outcome =
        call(&format!(r#"{{"url":"{url}","method":"PUT","headers":{{"X-A":"b"}},"body":"x"}}"#)).await;
    assert_eq!((outcome.end, &*outcome.error), (TryEnd::Complete, ""), "{}", stderr(&outcome));
    assert_eq!(outcome.stdout.bytes, b"made");
    assert!(stderr(&outcome).contains("201 Created"));
    let asked = served.join().unwrap();
    assert!(asked.starts_with("PUT /path HTTP/1.1\r\n") && asked.ends_with("\r\n\r\nx"), "{asked}");
    assert!(asked.to_lowercase().contains("x-a: b\r\n"), "{asked}");
}

#[tokio::test]
async fn another_status_fails_and_its_body_is_logged() {
    let (url, _served) =
        serve_once("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy");
    let outcome = call(&format!(r#"{{"url":"{url}","expectedStatus":"200-204"}}"#)).await;
    assert_eq!((outcome.end, outcome.exit), (TryEnd::Failed, 1));
    assert_eq!(&*outcome.error, format!("GET {url}: got 503 Service Unavailable, expected 200-204"));
    assert_eq!(outcome.stdout.bytes, b"busy");
}

#[tokio::test]
async fn an_expected_redirection_is_not_followed() {
    let (url, _served) = serve_once(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhere",
    );
    let outcome = call(&format!(r#"{{"url":"{url}","expectedStatus":"302"}}"#)).await;
    assert_eq!((outcome.end, &*outcome.error), (TryEnd::Complete, ""), "{}", stderr(&outcome));
    assert_eq!(outcome.stdout.bytes, b"here");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let outcome = call(&format!(r#"{{"url":"{url}","timeout":"200ms"}}"#)).await;
    assert_eq!(outcome.end, TryEnd::Failed);
    assert!(outcome.error.contains("timeout"), "{}", outcome.error);
    drop(listener);
    let outcome = call(&format!(r#"{{"url":"{url}"}}"#)).await;
    assert!(outcome.error.contains("refused"), "{}", outcome.error);
}

/// Runs an `lrp/…` job against a node that answers one call, and returns what it was asked.
async fn lrp(name: &str, object: &str, answer: &'static str) -> (Arc<Outcome>, String) {
    let (url, served) = serve_once(answer);
    let address = url.trim_start_matches("http://").trim_end_matches("/path").to_owned();
    let credentials = (Some("u".to_owned()), Some("p".to_owned()));
    let mut types = JobTypes::built_in();
    types.reach_lrps(Surface {
        addresses: vec![address],
        token: None,
        username: credentials.0,
        password: credentials.1,
    });
    let created = types.get(name).unwrap().create(args(object)).await.unwrap();
    let outcome = run(&mut World::new().await, &types, name, created.bytes).await;
    (outcome, served.join().unwrap())
}

#[tokio::test]
async fn an_lrp_job_calls_a_node_with_its_credentials() {
    let answer = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    let (outcome, asked) = lrp("lrp/scale", r#"{"processGuid":"p","instances":2}"#, answer).await;
    assert_eq!((outcome.end, &*outcome.error), (TryEnd::Complete, ""), "{}", stderr(&outcome));
    assert_eq!(outcome.stdout.bytes, b"updated p: {\"instances\":2}\n");
    assert!(
        asked.starts_with("PUT /v1/desired_lrps/p HTTP/1.1\r\n") && asked.ends_with("{\"instances\":2}"),
        "{asked}"
    );
    assert!(asked.contains("authorization: Basic dTpw\r\n"), "{asked}");
}

#[tokio::test]
async fn an_lrp_job_that_is_refused_fails_with_the_nodes_words() {
    let answer = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 36\r\n\r\n\
        {\"name\":\"x\",\"message\":\"no such LRP\"}";
    let (outcome, _) = lrp("lrp/wait-running", r#"{"processGuid":"p","onFailure":"delete"}"#, answer).await;
    assert_eq!((outcome.end, outcome.exit), (TryEnd::Failed, 1));
    assert!(outcome.error.starts_with("no such LRP (HTTP 404 from "), "{}", outcome.error);
}
