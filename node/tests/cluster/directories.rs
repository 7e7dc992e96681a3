//! Data directories that are not what their node takes them for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use capstan_client::cluster::Role;

use crate::{
    harness::{Cluster, Node, free_address, server, until, wire::Wire},
    writers::Writers,
};

/// The exit code of a node that was configured for another directory.
const EXIT_CONFIG: i32 = 78;
/// The exit code of a node that cannot have its storage.
const EXIT_STORAGE: i32 = 74;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_directory_under_an_old_id_is_refused_and_the_cluster_goes_on() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let victim = cluster.others(leader)[1];
    wiped_node_stays_outside(&mut cluster, victim).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_founder_founds_no_second_cluster() {
    let mut cluster = Cluster::start().await;
    // The lowest id founds; it comes back to peers that still have their data.
    wiped_node_stays_outside(&mut cluster, 1).await;
    cluster.end().await;
}

/// Wipes a node, starts it again, and sees that the others refuse it, say so, and lose nothing.
async fn wiped_node_stays_outside(cluster: &mut Cluster, victim: u64) {
    let writers = Writers::start(cluster, 4);
    writers.progress(20).await;
    let before = cluster.node(victim).status().await.unwrap();
    let kept = cluster.directory.path().join("kept");
    let node = cluster.node(victim);
    node.kill();
    fs::rename(&node.data, &kept).unwrap();
    fs::create_dir(&node.data).unwrap();
    node.start();

    until("the refusal in the log", async || (node.logged("is recorded with disk") > 0).then_some(())).await;
    writers.progress(200).await;
    let alone = cluster.node(victim).status().await.unwrap();
    assert_eq!((alone.cluster_id, alone.applied, alone.ready), (None, 0, false), "it has nothing to say");
    assert!(alone.state != Role::Leader && alone.leader_id.is_none(), "{:?}", alone.state);
    for other in cluster.others(victim) {
        let status = cluster.node(other).status().await.unwrap();
        assert_eq!(status.cluster_id, before.cluster_id);
        assert!(status.ready && status.leader_id.is_some_and(|id| id != victim), "{status:?}");
    }
    let mut wire = Wire::to(cluster.node(victim).http);
    let refused = wire.call("PUT", "/cluster/v1/variables/lost", &[], b"value").await.unwrap();
    assert_eq!(refused.status, 503, "a node outside the cluster took a write: {refused:?}");

    // Its own directory makes it a member again.
    let node = cluster.node(victim);
    node.kill();
    fs::remove_dir_all(&node.data).unwrap();
    fs::rename(&kept, &node.data).unwrap();
    node.start();
    cluster.all_ready().await;
    let summary = writers.stop_and_verify().await;
    println!("node {victim} wiped: refused, back with its own directory; {summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_another_node_is_refused_at_start() {
    let mut cluster = Cluster::start().await;
    let foreign = cluster.node(3).data.clone();
    cluster.node(2).kill();
    cluster.node(3).kill();
    let other = other_config(cluster.node(2), &foreign);
    let output = run_to_its_end(&other);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(EXIT_CONFIG), "{text}");
    assert!(text.contains("belongs to node 3, not to node 2"), "{text}");
    println!("directory of another node: exit {EXIT_CONFIG}, {:?}", text.lines().last().unwrap_or_default());

    cluster.node(2).start();
    cluster.node(3).start();
    cluster.all_ready().await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_one_directory_fails_and_harms_nothing() {
    let mut cluster = Cluster::start().await;
    let writers = Writers::start(&cluster, 4);
    let (config, pid) = (cluster.node(1).config.clone(), cluster.node(1).pid());

    let same_ports = run_to_its_end(&config);
    let text = String::from_utf8_lossy(&same_ports.stderr);
    assert_eq!(same_ports.status.code(), Some(EXIT_CONFIG), "{text}");
    assert!(text.contains("cannot listen on"), "{text}");
    println!("same configuration: exit {EXIT_CONFIG}, {:?}", text.lines().last().unwrap_or_default());

    let data = cluster.node(1).data.clone();
    let elsewhere = other_config(cluster.node(1), &data);
    let other_ports = run_to_its_end(&elsewhere);
    let text = String::from_utf8_lossy(&other_ports.stderr);
    assert_eq!(other_ports.status.code(), Some(EXIT_STORAGE), "{text}");
    assert!(text.contains("in use"), "{text}");
    println!(
        "other ports, same directory: exit {EXIT_STORAGE}, {:?}",
        text.lines().last().unwrap_or_default()
    );

    writers.progress(100).await;
    writers.stop_and_verify().await;
    assert!(cluster.node(1).is_running() && cluster.node(1).pid() == pid, "the first process lives on");
    cluster.end().await;
}

/// A node's configuration with another data directory, and ports of its own.
fn other_config(node: &Node, data: &Path) -> PathBuf {
    let path = node.config.with_extension("other.toml");
    let text = fs::read_to_string(&node.config).unwrap();
    let text = text.replace(&format!("{:?}", node.data), &format!("{data:?}"));
    let (http, peer) = (free_address(), free_address());
    let listen = format!("http = {{ listen = \"{http}\" }}\npeer = {{ listen = \"{peer}\" }}\n");
    fs::write(&path, format!("{listen}{text}")).unwrap();
    path
}

fn run_to_its_end(config: &Path) -> Output {
    server(config).stdin(Stdio::null()).output().unwrap()
}
