//! The client commands of long-running processes, against real nodes: what people and scripts read.

use std::{fs, path::Path};

use capstan_client::receptor::ActualLrpState;
use serde_json::{Value, json};

use crate::harness::{
    Cluster, Plan,
    cli::User,
    lrps::{GUID, actual, desire, node_of, running, script, serving},
    until,
    wire::Wire,
};

/// An LRP whose process writes a line whenever the file of that line appears.
fn writing(folder: &Path) -> Value {
    let text = format!(
        "i=0; while :; do i=$((i+1)); while [ ! -e {}/go-$i ]; do sleep 0.05; done; echo line $i; done",
        folder.display()
    );
    let mut lrp = serving(1);
    lrp["action"] = script(&text);
    lrp
}

/// Writes a manifest, and returns where.
fn manifest(cluster: &Cluster, body: &Value) -> String {
    let path = cluster.directory.path().join("manifest.json");
    fs::write(&path, body.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_lrp_is_desired_looked_at_changed_and_removed() {
    let cluster = Cluster::start().await;
    let user = User::of(&cluster.addresses(&[2, 3]));
    assert_eq!(user.run(&["lrp", "ls"]).await.err, "nothing is desired\n");
    let file = manifest(&cluster, &serving(2));
    assert_eq!(user.done(&["lrp", "desire", &file]).await, format!("{GUID}: 2 of 2 running\n"));
    let again = user.run(&["lrp", "desire", &file]).await;
    assert_eq!(again.code, 1);
    assert!(again.err.contains("already exists (HTTP 409"), "{}", again.err);

    let listed = user.done(&["lrp", "ls"]).await;
    let expected = "\
GUID      DOMAIN  RUNNING  TROUBLE  MEMORY  ROOTFS
some-app  tests   2 of 2   -        64 MiB  preloaded:host
";
    assert_eq!(listed, expected);
    let shown = user.json(&["lrp", "show", GUID]).await;
    assert_eq!(shown["desired"]["process_guid"], GUID);
    let cells: Vec<_> = (0..2).map(|index| shown["actual"][index]["cell_id"].as_str().unwrap()).collect();
    assert_ne!(cells[0], cells[1]);
    let table = user.done(&["lrp", "show", GUID]).await;
    assert!(table.contains(&format!("    1  RUNNING  {}  127.0.0.1  8080→", cells[1])), "{table}");

    assert_eq!(user.done(&["lrp", "scale", GUID, "3"]).await, format!("{GUID}: 3 of 3 running\n"));
    let route = r#"r={"a":[1, 2]}"#;
    let line = ["lrp", "update", GUID, "--annotation", "mine", "--route", route];
    assert_eq!(user.done(&line).await, format!("updated {GUID}\n"));
    let shown = user.json(&["lrp", "show", GUID]).await;
    assert_eq!(shown["desired"]["annotation"], "mine");
    assert_eq!(shown["desired"]["routes"], json!({ "r": { "a": [1, 2] } }));

    let before = shown["actual"][0]["instance_guid"].clone();
    let killed = user.done(&["lrp", "kill", GUID, "0"]).await;
    assert_eq!(killed, format!("{GUID}/0 is being stopped; another takes its place\n"));
    until("another instance", async || {
        let found = user.json(&["lrp", "show", GUID]).await["actual"][0].clone();
        (found["state"] == "RUNNING" && found["instance_guid"] != before).then_some(())
    })
    .await;

    assert_eq!(user.done(&["lrp", "scale", GUID, "1"]).await, format!("{GUID}: 1 of 1 running\n"));
    assert_eq!(
        user.done(&["lrp", "rm", GUID]).await,
        format!("removed {GUID}; its instances have stopped\n")
    );
    for line in [&["lrp", "rm", GUID][..], &["lrp", "show", GUID], &["lrp", "explain", GUID]] {
        let ran = user.run(line).await;
        assert_eq!(ran.code, 3, "{line:?}");
        assert!(ran.err.ends_with("next: capstan lrp ls shows what is desired\n"), "{}", ran.err);
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_instance_writes_is_followed_through_another_node() {
    let mut cluster = Cluster::start().await;
    let folder = cluster.directory.path().to_owned();
    let go = |line: u32| fs::write(folder.join(format!("go-{line}")), "").unwrap();
    desire(&mut cluster, &writing(&folder)).await;
    let instance = running(&mut cluster, 1, |_| true).await.remove(0);
    let other = cluster.others(node_of(&instance))[0];
    let user = User::of(&cluster.addresses(&[other]));
    let mut texts = user.follow(&["lrp", "logs", GUID, "--follow"]);
    let mut objects = user.follow(&["lrp", "logs", GUID, "-f", "--stream", "stdout", "-o", "json"]);
    for line in 1..=3 {
        go(line);
        // Each is there before the next is written.
        texts.until(&format!("line {line}")).await;
        loop {
            let object: Value = serde_json::from_str(&objects.line().await).unwrap();
            assert_eq!(object["stream"], "stdout");
            if object["text"] == format!("line {line}") {
                break;
            }
        }
    }
    let last = user.done(&["lrp", "logs", GUID, "--tail", "2"]).await;
    assert_eq!(last, "line 2\nline 3\n");
    assert_eq!(user.run(&["lrp", "logs", GUID, "--index", "4"]).await.code, 3);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_tell_what_becomes_of_an_lrp_in_order() {
    let mut cluster = Cluster::start().await;
    let user = [1, 2].map(|node| User::of(&cluster.addresses(&[node])));
    let mut lines = user[0].follow(&["lrp", "events", "--after", "1-0"]);
    let mut objects = user[1].follow(&["lrp", "events", "--after", "1-0", "--guid", GUID, "-o", "json"]);
    desire(&mut cluster, &serving(1)).await;
    let instance = running(&mut cluster, 1, |_| true).await.remove(0);
    user[0].done(&["lrp", "rm", GUID]).await;

    let (cell, ports) = (&instance.cell_id, format!("8080→{}", instance.ports[0].host_port));
    let expected = [
        ("desired_lrp_created", "some-app × 1".to_owned()),
        ("actual_lrp_created", "some-app/0 UNCLAIMED".to_owned()),
        ("actual_lrp_changed", format!("some-app/0 UNCLAIMED → CLAIMED on {cell}")),
        ("actual_lrp_changed", format!("some-app/0 CLAIMED → RUNNING on {cell} at 127.0.0.1 {ports}")),
        ("desired_lrp_removed", "some-app × 1".to_owned()),
        ("actual_lrp_removed", format!("some-app/0 RUNNING on {cell} at 127.0.0.1 {ports}")),
    ];
    let mut ids = Vec::new();
    for (name, text) in &expected {
        let line = lines.line().await;
        let object: Value = serde_json::from_str(&objects.line().await).unwrap();
        let id = object["id"].as_str().unwrap().to_owned();
        assert_eq!(line, format!("{id:<10} {name:<20} {text}"));
        assert_eq!(object["event"], *name);
        ids.push(id);
    }
    let behind_fourth = user[1].follow(&["lrp", "events", "--after", &ids[3]]).line().await;
    assert!(behind_fourth.starts_with(&ids[4]), "{behind_fourth}");
    let ran = user[1].run(&["lrp", "events", "--after", "none"]).await;
    assert_eq!(ran.code, 1);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_run_is_explained() {
    let mut cluster = Cluster::start().await;
    let user = User::of(&cluster.addresses(&[1, 2, 3]));
    let mut body = serving(1);
    body["memory_mb"] = json!(1 << 30);
    let ran = user.run(&["lrp", "desire", &manifest(&cluster, &body), "--wait-max", "5s"]).await;
    assert_eq!(ran.code, 5, "{}", ran.err);
    assert!(ran.err.contains("index 0 finds no cell: insufficient resources: memory\n"), "{}", ran.err);
    assert!(ran.err.ends_with("next: capstan lrp explain some-app\n"), "{}", ran.err);
    let explained = user.done(&["lrp", "explain", GUID]).await;
    let expected = [
        "some-app wants 1 instance with a container and 1073741824 MiB of memory, from preloaded:host\n",
        "\nindex 0 found no cell ",
        ": insufficient resources: memory; it is tried again when a cell joins or gets room back, and every 30 s\n",
        "\nOne more instance would find no cell: insufficient resources: memory.\n",
        "\ncell-3  default        0        0  has too little left: memory\n",
    ];
    for part in expected {
        assert!(explained.contains(part), "{part} is not in {explained}");
    }
    let explanation = user.json(&["lrp", "explain", GUID]).await;
    assert_eq!(explanation["one_more"]["cells"][0]["verdict"], "full");
    user.done(&["lrp", "rm", GUID]).await;

    let mut body = serving(1);
    body["action"] = script("exit 17");
    user.done(&["lrp", "desire", &manifest(&cluster, &body), "--no-wait"]).await;
    until("the third crash", async || {
        actual(&mut cluster).await.into_iter().find(|lrp| lrp.state == ActualLrpState::Crashed)
    })
    .await;
    let explained = user.done(&["lrp", "explain", GUID]).await;
    let crashed =
        "index 0 has crashed 3 times in a row, last: Exited with status 17; it is started again in ";
    assert!(explained.contains(crashed), "{explained}");
    // Neither needs an instance that runs.
    user.done(&["lrp", "update", GUID, "--annotation", "known"]).await;
    let scaled = user.run(&["lrp", "scale", GUID, "1"]).await;
    let expected = "\
error: some-app/0 has crashed 3 times in a row: Exited with status 17
next: capstan lrp logs some-app --index 0
";
    assert_eq!((scaled.code, &*scaled.err), (1, expected));
    let logs = user.done(&["lrp", "logs", GUID, "--index", "0"]).await;
    assert_eq!(logs.matches("Exit status 17\n").count(), 3, "{logs}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_cells_and_domains_are_told_of() {
    let cluster = Cluster::start().await;
    let user = User::of(&cluster.addresses(&[3]));
    let result = cluster.directory.path().join("result");
    let task = |guid: &str, text: &str| {
        let mut task =
            json!({ "task_guid": guid, "domain": "tests", "rootfs": "preloaded:host", "memory_mb": 8 });
        (task["action"], task["result_file"]) = (script(text), json!(result));
        manifest(&cluster, &task)
    };
    let works = format!("printf 42 > {}", result.display());
    assert_eq!(
        user.done(&["task", "create", &task("works", &works), "--wait"]).await,
        "works COMPLETED: 42\n"
    );
    let fails = user.run(&["task", "create", &task("fails", "exit 3"), "-w"]).await;
    assert_eq!((&*fails.out, fails.code), ("fails FAILED: Exited with status 3\n", 1));

    user.done(&["task", "create", &task("waits", "sleep 1000")]).await;
    let cell = until("the task to run", async || {
        let shown = user.json(&["task", "show", "waits"]).await;
        (shown["state"] == "RUNNING").then(|| shown["cell_id"].as_str().unwrap().to_owned())
    })
    .await;
    let detail = user.json(&["cell", "show", &cell]).await;
    assert_eq!((&detail["task_guids"], &detail["used"]["memory_mb"]), (&json!(["waits"]), &json!(8)));
    assert_eq!(user.run(&["task", "rm", "waits"]).await.code, 1, "it runs");
    assert_eq!(user.done(&["task", "cancel", "waits"]).await, "waits is cancelled\n");
    let again = user.run(&["task", "cancel", "waits"]).await;
    assert!(again.err.ends_with("next: capstan task show waits says how it ended\n"), "{}", again.err);
    let listed = user.done(&["task", "ls"]).await;
    let states: Vec<Vec<&str>> =
        listed.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    let expected = [
        ["GUID", "DOMAIN", "STATE"],
        ["fails", "tests", "FAILED"],
        ["waits", "tests", "FAILED"],
        ["works", "tests", "COMPLETED"],
    ];
    assert_eq!(states, expected);
    assert_eq!(user.done(&["task", "rm", "works"]).await, "removed works\n");
    assert_eq!(user.run(&["task", "show", "works"]).await.code, 3);

    let cells = user.json(&["cell", "ls"]).await;
    let ids: Vec<_> =
        cells.as_array().unwrap().iter().map(|cell| cell["cell_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["cell-1", "cell-2", "cell-3"]);
    assert_eq!(user.run(&["cell", "show", "cell-9"]).await.code, 3);
    assert_eq!(user.done(&["domain", "set", "apps", "--ttl", "1h"]).await, "apps is fresh for 3600 s\n");
    assert_eq!(user.done(&["domain", "ls"]).await, "apps\n");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_brings_the_password_may_call() {
    let tables = "receptor = { username = \"operator\", password = \"pass:word\" }\n";
    let mut cluster = Cluster::start_as(Plan { tables, ..Plan::default() }).await;
    let stranger = User::of(&cluster.addresses(&[2]));
    let refused = stranger.run(&["lrp", "ls"]).await;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("HTTP 401"), "{}", refused.err);
    let wrong = stranger.with_credentials("operator", "password").run(&["lrp", "ls"]).await;
    assert!(wrong.err.contains("HTTP 401"), "{}", wrong.err);
    let user = stranger.with_credentials("operator", "pass:word");
    user.done(&["lrp", "ls"]).await;
    stranger.done(&["cell", "ls"]).await;

    // A browser logs in once.
    let mut wire = Wire::to(cluster.node(1).http);
    let basic = [("Authorization", "Basic b3BlcmF0b3I6cGFzczp3b3Jk")];
    let answer = wire.call("POST", "/v1/auth_cookie", &basic, b"").await.unwrap();
    let cookie = answer.header("set-cookie").expect("a cookie").split(';').next().unwrap().to_owned();
    for (headers, status) in [(&[("Cookie", &*cookie)][..], 200), (&basic, 200), (&[], 401)] {
        let answer = Wire::to(cluster.node(3).http).call("GET", "/v1/domains", headers, b"").await.unwrap();
        assert_eq!(answer.status, status, "{headers:?}");
    }

    // Jobs bring what their node was configured with.
    let file = manifest(&cluster, &serving(1));
    user.done(&["lrp", "desire", &file]).await;
    let line = ["request", "start", "scale", &format!("guid={GUID}"), "instances=2", "--wait"];
    stranger.done(&line).await;
    assert_eq!(user.json(&["lrp", "show", GUID]).await["desired"]["instances"], 2);
    cluster.end().await;
}
