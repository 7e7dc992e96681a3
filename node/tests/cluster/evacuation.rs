//! Cells that are to be emptied while others have no room: what runs goes on, and its operator is told.

use capstan_client::receptor::ActualLrpState;
use nix::{sys::signal::kill, unistd::Pid};
use serde_json::json;

use crate::harness::{
    Cluster, Plan,
    cli::User,
    lrps::{GUID, actual, all_dead, desire, node_of, pids, running, script, serving},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finds_no_other_cell_goes_on() {
    // Room for one instance each.
    let mut cluster = Cluster::start_as(Plan { cell: ", memory_mb = 100", ..Plan::default() }).await;
    desire(&mut cluster, &serving(2)).await;
    let before = running(&mut cluster, 2, |_| true).await;
    let pids_before = pids(&before).await;
    let mut filler = serving(1);
    (filler["process_guid"], filler["action"]) = (json!("filler"), script("sleep 1000"));
    desire(&mut cluster, &filler).await;

    let user = User::of(&cluster.addresses(&[1, 2, 3]));
    let (node, cell) = (node_of(&before[0]), before[0].cell_id.clone());
    let ran = user.run(&["cell", "evacuate", &cell, "--wait", "--wait-max", "5s"]).await;
    let expected = format!(
        "\
{GUID}/0 goes on, without another cell: insufficient resources: memory
error: {cell} still has 1 instance after 5s; no other cell takes {GUID}/0 (insufficient resources: memory); \
nothing of it is stopped, and the evacuation goes on
next: make room (capstan lrp explain {GUID} says what each cell lacks), or capstan node undrain {node} lets {cell} take work again
"
    );
    assert!(ran.err.ends_with(&expected), "{}", ran.err);
    assert_eq!(ran.code, 5);
    let drained = user.run(&["node", "drain", &node.to_string(), "--wait", "--wait-max", "3s"]).await;
    assert_eq!(drained.code, 5);
    assert!(drained.err.contains(&format!("no other cell takes {GUID}/0")), "{}", drained.err);
    let shown = user.done(&["cell", "show", &cell]).await;
    assert!(shown.contains("no other cell: insufficient resources: memory\n"), "{shown}");
    let explained = user.done(&["lrp", "explain", GUID]).await;
    let still =
        format!("index 0 still runs on {cell} in zone default, until another one runs in its stead\n");
    assert!(explained.contains(&still), "{explained}");

    let now = actual(&mut cluster).await;
    for (before, now) in before.iter().zip(&now) {
        assert_eq!((now.state, &now.instance_guid), (ActualLrpState::Running, &before.instance_guid));
    }
    for process in &pids_before {
        assert_eq!(kill(Pid::from_raw(*process), None), Ok(()), "nothing healthy is destroyed");
    }

    // Once there is room the rest goes by itself.
    user.done(&["lrp", "rm", "filler"]).await;
    let emptied = user.done(&["cell", "evacuate", &cell, "--wait"]).await;
    assert_eq!(emptied, format!("{cell} is empty\n"));
    let after = running(&mut cluster, 2, |lrp| lrp.cell_id != cell).await;
    assert_eq!(after[1].instance_guid, before[1].instance_guid);
    all_dead(&pids_before[..1]).await;
    cluster.end().await;
}
