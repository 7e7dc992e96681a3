//! Nodes whose disks fill up. Each has a small file system of its own, which takes the right to mount one.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::statvfs::statvfs,
};

use crate::{
    harness::{Cluster, Plan, until, wire::Wire},
    writers::Writers,
};

/// The size of a node's file system: a new node's data take a quarter of it.
const DISK_MIB: u64 = 192;
/// What a file system of this size is to keep free: a twentieth.
const RESERVE_BYTES: u64 = DISK_MIB * 1024 * 1024 / 20;
/// The exit code of a node whose storage failed.
const EXIT_STORAGE: i32 = 74;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_fills_up_gives_way_and_comes_back_when_there_is_room() {
    if !may_mount() {
        return println!("NOT RUN: filling a disk takes the right to mount a file system");
    }
    // Small snapshots, so that the other nodes need little space however much is written.
    let plan = Plan { disk_mib: Some(DISK_MIB), timing: "snapshot_bytes = \"4MiB\"", ..Plan::default() };
    let mut cluster = Cluster::start_as(plan).await;
    let writers = Writers::start_with_values_of(16 * 1024, &cluster, 8);
    writers.progress(50).await;

    let leader = cluster.leader().await;
    let ballast = Ballast::leaving(&cluster.node(leader).data, RESERVE_BYTES / 2);
    let successor = cluster.leader_other_than(Some(leader)).await;
    let status = cluster.node(leader).status().await.unwrap();
    println!(
        "node {leader} led with less than its reserve free: node {successor} leads, {:?}",
        status.not_ready
    );
    assert!(status.not_ready.iter().any(|reason| reason.contains("disk")), "{status:?}");
    writers.progress(100).await;

    drop(ballast);
    cluster.all_ready().await;
    let ballast = Ballast::leaving(&cluster.node(leader).data, 0);
    let status = cluster.node(leader).exit().await;
    let log = cluster.node(leader).log();
    let said = log.lines().rfind(|line| line.contains("stopping at once"));
    println!("nothing free: node {leader} ended with {status}, {said:?}");
    assert_eq!(status.code(), Some(EXIT_STORAGE));
    writers.progress(200).await;

    cluster.node(leader).start();
    writers.progress(50).await;
    drop(ballast);
    cluster.all_ready().await;
    let summary = writers.stop_and_verify().await;
    println!("freed: node {leader} is back; {summary}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_are_refused_while_every_disk_is_nearly_full_and_taken_again_after() {
    if !may_mount() {
        return println!("NOT RUN: filling a disk takes the right to mount a file system");
    }
    let mut cluster = Cluster::start_as(Plan { disk_mib: Some(DISK_MIB), ..Plan::default() }).await;
    let mut wire = Wire::to(cluster.node(1).http);
    let answer = wire.call("PUT", "/cluster/v1/variables/a", &[], b"before").await.unwrap();
    assert_eq!(answer.status, 201);
    let ballasts: Vec<_> =
        cluster.nodes.iter().map(|node| Ballast::leaving(&node.data, RESERVE_BYTES / 2)).collect();
    let refused = until("a write to be refused", async || {
        let answer = wire.call("PUT", "/cluster/v1/variables/a", &[], b"during").await.ok()?;
        (answer.status == 507).then_some(answer)
    })
    .await;
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    println!("every disk nearly full: 507 {}", refused.text().trim_end());
    until("a read", async || {
        wire.call("GET", "/cluster/v1/variables/a", &[], b"").await.ok().filter(|answer| answer.status == 200)
    })
    .await;

    drop(ballasts);
    cluster.all_ready().await;
    until("a write to succeed", async || {
        let answer = wire.call("PUT", "/cluster/v1/variables/a", &[], b"after").await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
    println!("freed: writes are taken again");
    cluster.end().await;
}

/// A file that takes space until it is dropped.
struct Ballast(PathBuf);

impl Ballast {
    /// Leaves so many bytes of the file system free, or none.
    fn leaving(folder: &Path, bytes: u64) -> Self {
        let ballast = Self(folder.join("ballast"));
        let mut file = File::create(&ballast.0).unwrap();
        let page = [1; 4096];
        loop {
            let space = statvfs(folder).unwrap();
            let free = space.blocks_available() * space.fragment_size();
            if free <= bytes || file.write_all(&page).is_err() {
                return ballast;
            }
        }
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

fn may_mount() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let mounted = mount(Some("capstan-test"), folder.path(), Some("tmpfs"), MsFlags::empty(), None::<&str>);
    mounted.is_ok() && umount2(folder.path(), MntFlags::empty()).is_ok()
}
