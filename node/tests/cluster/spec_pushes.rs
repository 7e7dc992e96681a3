//! Request specs that become others while requests are started through every node, and leaders die with a push under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use capstan_client::{
    ReadOptions,
    cluster::{ExportedRequest, SpecsVersion},
    spin_cycle::{CreateRequest, Request, RequestFilter, State},
};
use serde_json::{Value, json};

use crate::{
    harness::{Cluster, Plan, cli::User, until, wire::Wire},
    starters::{Started, Starters},
};

/// Short periods, so that what a dead node owned is soon taken over.
const SHORT: &str = "node_heartbeat = \"100ms\"\nack_age_max = \"400ms\"\nlease = \"1s\"\nkill = \"500ms\"\nowner_lost_after = \"2600ms\"\n";
/// How many starts of a version are acknowledged before the next one is pushed.
const STARTS: usize = 25;

/// A version that was pushed.
#[derive(Debug, Clone)]
struct Pushed {
    /// What its jobs say.
    release: u32,
    /// Its content.
    specs: String,
    begun: Instant,
    acknowledged: Instant,
}

/// What is done to the cluster while it runs under load.
struct Pushing {
    cluster: Cluster,
    starters: Starters,
    pushed: Vec<Pushed>,
    /// Requests that are held until the end, with what they were built from.
    staying: BTreeMap<String, String>,
    /// Requests whose owner was killed.
    taken_over: BTreeSet<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_keeps_the_version_it_was_built_from_while_leaders_die_with_a_push() {
    let begun = Instant::now();
    let mut cluster = Cluster::start_as(Plan { timing: SHORT, ..Plan::default() }).await;
    let first = push_by_command(&mut cluster, 1).await;
    let starters = Starters::start(&cluster, 2, "passing", || rand::random_range(50..1_500));
    let mut pushing = Pushing {
        cluster,
        starters,
        pushed: vec![first],
        staying: BTreeMap::new(),
        taken_over: BTreeSet::new(),
    };
    pushing.run().await;
    pushing.kill_the_leader_under_a_command().await;
    pushing.run().await;
    pushing.kill_the_leader_under_a_push_that_is_sent_again().await;
    pushing.run().await;
    pushing.verify().await;
    println!("in {} ms", begun.elapsed().as_millis());
}

impl Pushing {
    /// Pushes the next version once the last one is at work.
    async fn run(&mut self) {
        self.load().await;
        let release = self.next_release();
        let pushed = push_by_command(&mut self.cluster, release).await;
        self.pushed.push(pushed);
    }

    /// `capstan spec push` has said what it is about to do when the leader dies; the command comes to its end by itself.
    async fn kill_the_leader_under_a_command(&mut self) {
        self.load().await;
        let leader = self.cluster.leader().await;
        let release = self.next_release();
        let user = User::of(&self.cluster.addresses(&self.cluster.others(leader)));
        let folder = write(&self.cluster, release);
        let begun = Instant::now();
        let mut command = user.follow(&["spec", "push", folder.to_str().unwrap(), "--yes"]);
        command.line().await;
        self.cluster.node(leader).kill();
        let told = until("the end of the push", async || {
            Some(command.line().await).filter(|line| line.starts_with("the specs are at version"))
        })
        .await;
        let acknowledged = Instant::now();
        let specs = current(&mut self.cluster, leader).await;
        assert!(told.contains(&specs[..12]), "{told} at {specs}");
        self.pushed.push(Pushed { release, specs, begun, acknowledged });
        self.take_over(leader).await;
    }

    /// The push has been sent to a node whose leader stands still, so that it is neither done nor refused when the leader dies. Its sender
    /// hangs up, and sends it again to the other node.
    async fn kill_the_leader_under_a_push_that_is_sent_again(&mut self) {
        self.load().await;
        let leader = self.cluster.leader().await;
        let release = self.next_release();
        let nodes = self.cluster.addresses(&self.cluster.others(leader));
        let before = format!("\"{}\"", self.pushed.last().unwrap().specs);
        let files = texts(release).map(|(path, text)| json!({ "path": path, "text": text }));
        let body = json!({ "files": files }).to_string();
        let headers = [("If-Match", &*before), ("Idempotency-Key", "pushed-once")];
        let begun = Instant::now();
        self.cluster.node(leader).pause();
        let head = headers.map(|(name, value)| format!("{name}: {value}\r\n")).concat();
        let call = format!(
            "PUT /cluster/v1/specs HTTP/1.1\r\nHost: a\r\n{head}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut lost = Wire::to(nodes[0]);
        lost.send(call.as_bytes()).await.unwrap();
        self.cluster.node(leader).kill();
        let mut answers = Vec::new();
        // Once to be acknowledged, and once more although it was.
        for node in [nodes[1], nodes[0]] {
            let answered = until("the push to be acknowledged", async || {
                let mut wire = Wire::to(node);
                let answer = wire.call("PUT", "/cluster/v1/specs", &headers, body.as_bytes()).await.ok()?;
                assert!(matches!(answer.status, 200 | 503 | 504), "{answer:?} {}", answer.text());
                (answer.status == 200).then_some(answer)
            })
            .await;
            let told: Value = serde_json::from_slice(&answered.body).unwrap();
            assert_eq!(told["changed"], true, "{told}");
            answers.push(told["version"].as_str().unwrap().to_owned());
        }
        let acknowledged = Instant::now();
        assert_eq!(answers[0], answers[1], "both are answered as the first was");
        drop(lost);
        self.pushed.push(Pushed { release, specs: answers.remove(0), begun, acknowledged });
        self.take_over(leader).await;
    }

    /// Starts requests that stay through each node, and lets others be started.
    async fn load(&mut self) {
        let last = self.pushed.last().unwrap().specs.clone();
        let folder = self.cluster.directory.path().to_owned();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/stay.sh");
        let hold = format!("{} {}", script.display(), folder.join("done").display());
        for node in 1..=3 {
            let create = CreateRequest {
                kind: "staying".to_owned(),
                args: json!({ "hold": hold }).as_object().cloned(),
            };
            let client = self.cluster.node(node).client();
            let id = client.create_request(&create).await.unwrap().id;
            let built_from = client.request_detail(&id, ReadOptions::default()).await.unwrap().specs;
            assert_eq!(built_from.as_deref(), Some(&*last), "through node {node}");
            self.staying.insert(id, last.clone());
        }
        self.starters.progress(STARTS, &last).await;
    }

    /// Waits until other nodes own what a dead one owned, and has it back.
    async fn take_over(&mut self, dead: u64) {
        let other = self.cluster.others(dead)[0];
        let url = self.cluster.node(dead).http.to_string();
        let client = self.cluster.node(other).client();
        until("others to own what the dead node owned", async || {
            let filter = RequestFilter { states: vec![State::Running], ..RequestFilter::default() };
            let running = client.requests(&filter, ReadOptions::default()).await.ok()?;
            let of_dead = |request: &&Request| request.jr_url.contains(&url);
            let left: Vec<_> = running.iter().filter(of_dead).map(|request| request.id.clone()).collect();
            let is_over = left.is_empty();
            self.taken_over.extend(left);
            is_over.then_some(())
        })
        .await;
        self.cluster.node(dead).start();
        self.cluster.all_ready().await;
    }

    fn next_release(&self) -> u32 {
        self.pushed.last().unwrap().release + 1
    }

    async fn verify(mut self) {
        let last = self.pushed.last().unwrap().specs.clone();
        self.starters.progress(STARTS, &last).await;
        let started = self.starters.stop().await;
        fs::write(self.cluster.directory.path().join("done"), "").unwrap();
        let versions = self.cluster.node(1).client().specs(ReadOptions::default()).await.unwrap().versions;
        // The oldest is what the directory held.
        let in_order: Vec<_> = versions.iter().rev().skip(1).map(|version| &version.version).collect();
        let expected: Vec<_> = self.pushed.iter().map(|pushed| &pushed.specs).collect();
        assert_eq!(in_order, expected, "each push was applied once");
        counted_in_order(&started, &self.pushed);

        let requests = ended(&mut self.cluster).await;
        let known: BTreeMap<_, _> = started.iter().map(|start| (&*start.id, &*start.specs)).collect();
        assert_eq!(known.len(), started.len(), "no two starts made one request");
        let known: BTreeMap<_, _> =
            known.into_iter().chain(self.staying.iter().map(|(id, specs)| (&**id, &**specs))).collect();
        let found: BTreeMap<_, _> =
            requests.iter().map(|found| (&*found.request.id, found.specs.as_deref().unwrap())).collect();
        assert_eq!(found, known, "there is what was acknowledged, built from what the answer said");
        for request in &requests {
            let specs = request.specs.as_ref().unwrap();
            let pushed = self.pushed.iter().find(|pushed| pushed.specs == *specs).unwrap();
            built_and_run_as(pushed.release, request);
        }
        let id = self.staying.keys().next().unwrap();
        let shown = User::of(&self.cluster.addresses(&[3])).done(&["request", "show", id]).await;
        let line = format!("specs     version {}\n", &self.staying[id][..12]);
        assert!(shown.contains(&line), "{shown}");
        self.tell(&started, &requests, &versions);
        self.cluster.end().await;
    }

    fn tell(&self, started: &[Started], requests: &[ExportedRequest], versions: &[SpecsVersion]) {
        for pushed in &self.pushed {
            let at = versions.iter().find(|version| version.version == pushed.specs).unwrap().pushed_at;
            let is_across = |request: &&ExportedRequest| {
                request.request.created_at < at
                    && request.request.finished_at.is_some_and(|finished| finished > at)
            };
            println!(
                "release {}: {} requests built from it, {} others ran across its push, which took {} ms",
                pushed.release,
                requests.iter().filter(|request| request.specs.as_ref() == Some(&pushed.specs)).count(),
                requests.iter().filter(is_across).count(),
                (pushed.acknowledged - pushed.begun).as_millis(),
            );
        }
        println!(
            "{} starts acknowledged ({} attempts at first unknown), {} requests held through all later pushes, {} taken over \
             from killed leaders, all complete as built",
            started.len(),
            started.iter().map(|start| start.unknown).sum::<usize>(),
            self.staying.len(),
            self.taken_over.len()
        );
        let of_staying = self.taken_over.iter().filter(|id| self.staying.contains_key(*id)).count();
        assert!(of_staying > 0, "a killed leader owned a request that was held");
    }
}

/// A start that was sent after a push was acknowledged is of that version or a later one, on every node; one that was answered before a
/// push began is of an earlier one.
fn counted_in_order(started: &[Started], pushed: &[Pushed]) {
    let mut nodes_after: BTreeMap<u32, BTreeSet<_>> = BTreeMap::new();
    for start in started {
        let built_from = pushed.iter().find(|pushed| pushed.specs == start.specs).unwrap().release;
        for push in pushed {
            if start.sent > push.acknowledged {
                assert!(built_from >= push.release, "{start:?} came after {push:?}");
                nodes_after.entry(push.release).or_default().insert(start.node);
            }
            if start.answered < push.begun {
                assert!(built_from < push.release, "{start:?} came before {push:?}");
            }
        }
    }
    assert!(nodes_after.values().all(|nodes| nodes.len() == 3), "{nodes_after:?}");
}

/// The graph names one release, and each job that told what it is told the same.
fn built_and_run_as(release: u32, request: &ExportedRequest) {
    let ExportedRequest { request, log, .. } = request;
    let log = log.as_ref().unwrap();
    assert_eq!(request.state, State::Complete, "{request:?} {log:?}");
    let chain = request.job_chain.as_ref().unwrap();
    let telling: Vec<_> = chain.jobs.values().filter(|job| job.name.contains("-tells-")).collect();
    let named: BTreeSet<_> = telling.iter().map(|job| job.name.as_str()).collect();
    let expected = [format!("first-tells-{release}"), format!("last-tells-{release}")];
    assert_eq!(named, expected.iter().map(String::as_str).collect(), "{request:?}");
    for job in telling {
        let complete = log.iter().filter(|entry| entry.job_id == job.id && entry.state == State::Complete);
        let told: Vec<_> = complete.map(|entry| entry.stdout.trim().to_owned()).collect();
        assert_eq!(told, [format!("release {release}")], "{} of {request:?}", job.name);
    }
}

/// All requests with their logs, once they have ended.
async fn ended(cluster: &mut Cluster) -> Vec<ExportedRequest> {
    let client = cluster.node(2).client();
    until("all requests to end", async || {
        let states = vec![State::Pending, State::Running, State::Suspended];
        let filter = RequestFilter { states, limit: 1, ..RequestFilter::default() };
        client.requests(&filter, ReadOptions::default()).await.ok()?.is_empty().then_some(())
    })
    .await;
    let all = RequestFilter::default();
    let mut export = client.export_requests(&all, true, ReadOptions::default()).await.unwrap();
    let mut requests = Vec::new();
    while let Some(line) = export.next().await.unwrap() {
        requests.push(serde_json::from_slice(&line).unwrap());
    }
    requests
}

/// `capstan spec push` through a node that does not lead.
async fn push_by_command(cluster: &mut Cluster, release: u32) -> Pushed {
    let leader = cluster.leader().await;
    let user = User::of(&cluster.addresses(&cluster.others(leader)[..1]));
    let folder = write(cluster, release);
    let begun = Instant::now();
    let told = user.json(&["spec", "push", folder.to_str().unwrap(), "--yes"]).await;
    let acknowledged = Instant::now();
    assert_eq!(told["changed"], true, "{told}");
    Pushed { release, specs: told["version"].as_str().unwrap().to_owned(), begun, acknowledged }
}

/// What is in use, as a node that lives says.
async fn current(cluster: &mut Cluster, dead: u64) -> String {
    let other = cluster.others(dead)[0];
    let client = cluster.node(other).client();
    until("the current version", async || client.specs(ReadOptions::default()).await.ok()?.current).await
}

/// Puts the specs of a release into a folder of their own.
fn write(cluster: &Cluster, release: u32) -> PathBuf {
    let folder = cluster.directory.path().join(format!("release-{release}"));
    fs::create_dir(&folder).unwrap();
    for (path, text) in texts(release) {
        fs::write(folder.join(path), text).unwrap();
    }
    folder
}

/// The specs of a release. What one file says and what the other says belong together.
fn texts(release: u32) -> [(&'static str, String); 2] {
    let of = |template: &str| template.replace("RELEASE", &release.to_string());
    [
        ("requests.yaml", of(include_str!("pushed/requests.yaml"))),
        ("rest.yaml", of(include_str!("pushed/rest.yaml"))),
    ]
}
