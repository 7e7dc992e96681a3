//! Deployments as requests: a new version of a long-running process takes the place of the old one, or is taken back.

use serde_json::{Value, json};

use crate::harness::{
    Cluster,
    cli::User,
    lrps::{GUID, actual, desire, running, script, serving},
};

/// The guid of the new version.
const GREEN: &str = "green-app";

const ROUTES: &str = r#"{"cf-router":[{"hostnames":["a.example.com"],"port":8080}]}"#;

/// The old version, running and with the routes.
async fn blue(cluster: &mut Cluster, user: &User) -> Vec<String> {
    let mut body = serving(2);
    body["routes"] = serde_json::from_str(ROUTES).unwrap();
    desire(cluster, &body).await;
    assert_eq!(routes(user, GUID).await, serde_json::from_str::<Value>(ROUTES).unwrap());
    running(cluster, 2, |_| true).await.into_iter().map(|lrp| lrp.instance_guid).collect()
}

async fn routes(user: &User, guid: &str) -> Value {
    user.json(&["lrp", "show", guid]).await["desired"]["routes"].clone()
}

/// Healthy once its port answers.
fn monitored() -> Value {
    let mut lrp = serving(2);
    lrp["monitor"] = script(
        "exec python3 -c \"import os, socket; \
        socket.create_connection(('127.0.0.1', int(os.environ['CAPSTAN_PORT_8080'])))\"",
    );
    lrp["start_timeout"] = json!(60);
    lrp
}

/// Deploys, and returns what the command said and the exit code.
async fn deploy(user: &User, lrp: &Value) -> (String, i32) {
    let (blue, green) = (format!("blue={GUID}"), format!("green={GREEN}"));
    let (lrp, routes) = (format!("lrp:={lrp}"), format!("routes:={ROUTES}"));
    let line =
        ["request", "start", "deploy-blue-green", &blue, &green, &lrp, &routes, "drainTime=0", "--wait"];
    let ran = user.run(&line).await;
    (format!("{}{}", ran.out, ran.err), ran.code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_takes_the_place_of_the_old_one() {
    let mut cluster = Cluster::start().await;
    let user = User::of(&cluster.addresses(&[2, 3]));
    blue(&mut cluster, &user).await;
    let (said, code) = deploy(&user, &monitored()).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("COMPLETE, 10 of 10 jobs"), "{said}");
    let shown = user.json(&["lrp", "show", GREEN]).await;
    assert_eq!(shown["desired"]["routes"], serde_json::from_str::<Value>(ROUTES).unwrap());
    let states: Vec<_> = shown["actual"].as_array().unwrap().iter().map(|lrp| &lrp["state"]).collect();
    assert_eq!(states, ["RUNNING", "RUNNING"]);
    assert_eq!(user.run(&["lrp", "show", GUID]).await.code, 3, "the old version is gone");
    assert!(actual(&mut cluster).await.is_empty());

    let scaled =
        user.done(&["request", "start", "scale", &format!("guid={GREEN}"), "instances=1", "-w"]).await;
    assert!(scaled.contains("COMPLETE"), "{scaled}");
    assert_eq!(user.json(&["lrp", "show", GREEN]).await["actual"].as_array().unwrap().len(), 1);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_that_never_gets_healthy_is_taken_back() {
    let mut cluster = Cluster::start().await;
    let user = User::of(&cluster.addresses(&[2, 3]));
    let instances = blue(&mut cluster, &user).await;
    let mut unhealthy = monitored();
    (unhealthy["monitor"], unhealthy["start_timeout"]) = (script("exit 1"), json!(1));
    let mut dying = serving(2);
    dying["action"] = script("exit 17");
    let cases = [
        (unhealthy, "has crashed 3 times"),
        // Without a monitor it runs as soon as it is started, for a moment.
        (dying, "has crashed 3 times: Exited with status 17"),
    ];
    for (lrp, reason) in cases {
        let (said, code) = deploy(&user, &lrp).await;
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("job green-runs"), "{said}");
        assert!(said.contains(reason) && said.contains(&format!("{GREEN} was taken back")), "{said}");
        assert_eq!(user.run(&["lrp", "show", GREEN]).await.code, 3, "nothing is left of it");
        assert_eq!(routes(&user, GUID).await, serde_json::from_str::<Value>(ROUTES).unwrap());
        let left: Vec<_> = actual(&mut cluster).await.into_iter().map(|lrp| lrp.instance_guid).collect();
        assert_eq!(left, instances, "the old version was not touched");
    }
    cluster.end().await;
}
