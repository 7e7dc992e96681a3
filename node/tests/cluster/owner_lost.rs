//! Owners that are lost while their jobs run: another node goes on, after the last of the old try is over.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::{Cluster, Plan, Rounds, beats::Beats, until};

/// Short periods, so that a test is over soon; a proof keeps the real ones.
const SHORT: &str = "node_heartbeat = \"100ms\"\nack_age_max = \"400ms\"\nlease = \"1s\"\nkill = \"500ms\"\nowner_lost_after = \"2600ms\"\n";

/// How an owner is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Nothing reaches it any more, nor comes from it.
    Cut,
    /// The node's process stands still; its guardian does not.
    Paused,
    /// The node's process is killed; its guardian is not.
    Killed,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_is_cut_off_is_replaced_after_its_try_is_dead() {
    lose(Loss::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_stands_still_is_replaced_after_its_try_is_dead() {
    lose(Loss::Paused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_is_killed_is_replaced_after_its_try_is_dead() {
    lose(Loss::Killed).await;
}

async fn lose(loss: Loss) {
    let is_proof = Rounds::or(1).is_proof;
    let plan = Plan { timing: if is_proof { "" } else { SHORT }, cables: true, ..Plan::default() };
    // Until well after the others took over.
    let away = if is_proof { Duration::from_secs(20) } else { Duration::from_secs(6) };
    let mut cluster = Cluster::start_as(plan).await;
    let beats = Beats::start(&mut cluster, "0.1", 1).await;
    let id = beats.ids[0].clone();
    let (first_no, first) = beats.newest(&id).expect("it has started");
    let owner = first.node;

    let lost = Instant::now();
    match loss {
        Loss::Cut => cluster.cables.set_whole(owner, false),
        Loss::Paused => cluster.node(owner).pause(),
        Loss::Killed => cluster.node(owner).kill(),
    }
    let (second_no, second) =
        until("the next try", async || beats.newest(&id).filter(|(try_no, _)| *try_no > first_no)).await;
    let taken_over = lost.elapsed();
    assert_ne!(second.node, owner, "another node goes on");
    let gap = Duration::from_nanos(second.first - beats.tries()[&(id.clone(), first_no)].last);

    if loss != Loss::Killed {
        tokio::time::sleep_until((lost + away).into()).await;
        match loss {
            Loss::Cut => cluster.cables.set_whole(owner, true),
            Loss::Paused => cluster.node(owner).signal(Signal::SIGCONT),
            Loss::Killed => unreachable!("it has no process to come back"),
        }
        let pid = cluster.node(owner).pid();
        until("the new life of the lost node", async || {
            (cluster.node(owner).logged("beginning a new life") > 0).then_some(())
        })
        .await;
        cluster.node(owner).ready().await;
        assert_eq!(cluster.node(owner).pid(), pid, "its supervisor has seen no end");
    }
    beats.finish();
    let failed = beats.complete(&mut cluster).await;
    let log = beats.log(&mut cluster, &id).await;
    assert_eq!((first_no, second_no, failed), (1, 2, 1), "{log:?}");
    assert_eq!(log[0].error, format!("node {owner} was lost while the job ran"));
    println!(
        "{loss:?}: the next try began {} ms after the loss, {} ms after the last line of the one before",
        taken_over.as_millis(),
        gap.as_millis()
    );
    cluster.end().await;
}
