//! Several instances of one container port on one cell: in networks of their own, and on that of the machine.

use std::{collections::BTreeMap, fs, path::Path};

use capstan_client::receptor::ActualLrp;
use nix::unistd::geteuid;
use serde_json::{Value, json};

use crate::harness::{
    Cluster, Plan,
    lrps::{GUID, all_dead, desire, node_of, running, script},
    until,
    wire::Wire,
};

/// Serves its folder, in which it says who and where it is.
const SERVES: &str = "echo $$ $CAPSTAN_PORT_8080 $(readlink /proc/self/ns/net) > me; \
    exec python3 -m http.server $CAPSTAN_PORT_8080";

/// More than there are cells.
const INSTANCES: usize = 4;

fn lrp() -> Value {
    json!({
        "process_guid": GUID,
        "domain": "tests",
        "rootfs": "preloaded:host",
        "instances": INSTANCES,
        "memory_mb": 64,
        "ports": [8080],
        "action": script(SERVES),
    })
}

/// What an instance says of itself to whoever calls the address that it is shown with.
#[derive(Debug)]
struct Me {
    pid: i32,
    /// The port it listens on.
    port: u16,
    network: String,
}

async fn ask(lrp: &ActualLrp) -> Me {
    let address = format!("{}:{}", lrp.address, lrp.ports[0].host_port).parse().unwrap();
    until("an instance's answer", async || {
        let answer = Wire::to(address).call("GET", "/me", &[], b"").await.ok()?;
        let text = answer.text();
        let mut words = text.split_ascii_whitespace();
        let [pid, port, network] = [words.next()?, words.next()?, words.next()?];
        Some(Me { pid: pid.parse().ok()?, port: port.parse().ok()?, network: network.to_owned() })
    })
    .await
}

/// All instances, and two of them that are on one cell.
async fn instances(cluster: &mut Cluster) -> (Vec<(ActualLrp, Me)>, [usize; 2]) {
    desire(cluster, &lrp()).await;
    let mut all = Vec::new();
    for lrp in running(cluster, INSTANCES, |_| true).await {
        let me = ask(&lrp).await;
        all.push((lrp, me));
    }
    let mut cells = BTreeMap::new();
    let pair = all.iter().enumerate().find_map(|(second, (lrp, _))| {
        let first = cells.insert(lrp.cell_id.clone(), second)?;
        Some([first, second])
    });
    (all, pair.expect("more instances than cells"))
}

fn network_of_the_machine() -> String {
    fs::read_link("/proc/self/ns/net").unwrap().display().to_string()
}

/// Whether a process is in a network, or holds it by a descriptor.
fn is_held(network: &str) -> bool {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_it = |path: &Path| fs::read_link(path).is_ok_and(|link| link == Path::new(network));
    entries(Path::new("/proc")).any(|process| {
        is_it(&process.join("ns/net")) || entries(&process.join("fd")).any(|path| is_it(&path))
    })
}

async fn nobody_holds(networks: &[String]) {
    until("the end of networks", async || (!networks.iter().any(|network| is_held(network))).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_on_one_cell_listen_on_one_port_in_networks_of_their_own() {
    if !geteuid().is_root() {
        return println!("NOT RUN: making a network takes root");
    }
    let mut cluster = Cluster::start_as(Plan { cell: ", netns = true", ..Plan::default() }).await;
    let (all, [first, second]) = instances(&mut cluster).await;
    assert!(all.iter().all(|(_, me)| me.port == 8080), "{all:?}");
    let ((first, one), (second, other)) = (&all[first], &all[second]);
    assert_ne!(first.ports[0].host_port, second.ports[0].host_port);
    assert_ne!(one.pid, other.pid);
    assert_ne!(one.network, other.network);
    assert!(all.iter().all(|(_, me)| me.network != network_of_the_machine()), "{all:?}");
    println!(
        "{} has {}:{} -> 8080 in {} and {}:{} -> 8080 in {}",
        first.cell_id,
        first.address,
        first.ports[0].host_port,
        one.network,
        second.address,
        second.ports[0].host_port,
        other.network
    );
    let shown: Value = show(&mut cluster, &first.cell_id).await;
    assert_eq!(shown["own_network"], json!(true), "{shown}");

    // Whatever happens to its node, nothing of an instance stays.
    let (killed, cell) = (node_of(first), first.cell_id.clone());
    cluster.node(killed).kill();
    let here: Vec<&Me> = all.iter().filter(|(lrp, _)| lrp.cell_id == cell).map(|(_, me)| me).collect();
    all_dead(&here.iter().map(|me| me.pid).collect::<Vec<_>>()).await;
    nobody_holds(&here.iter().map(|me| me.network.clone()).collect::<Vec<_>>()).await;
    let again = running(&mut cluster, INSTANCES, |lrp| lrp.cell_id != cell).await;
    for lrp in &again {
        ask(lrp).await;
    }
    cluster.end().await;
    nobody_holds(&all.into_iter().map(|(_, me)| me.network).collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_on_one_cell_listen_on_host_ports_in_the_network_of_the_machine() {
    let mut cluster = Cluster::start().await;
    let (all, [first, second]) = instances(&mut cluster).await;
    assert!(all.iter().all(|(lrp, me)| me.port == lrp.ports[0].host_port), "{all:?}");
    assert!(all.iter().all(|(_, me)| me.network == network_of_the_machine()), "{all:?}");
    assert_ne!(all[first].1.port, all[second].1.port);
    assert_ne!(all[first].1.pid, all[second].1.pid);
    let shown = show(&mut cluster, &all[first].0.cell_id).await;
    assert_eq!(shown["own_network"], json!(false), "{shown}");
    cluster.end().await;
}

/// What is shown of a cell.
async fn show(cluster: &mut Cluster, cell: &str) -> Value {
    let path = format!("/cluster/v1/cells/{cell}");
    let answer = Wire::to(cluster.running().http).call("GET", &path, &[], b"").await.unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}
