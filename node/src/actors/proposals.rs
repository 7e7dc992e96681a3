//! How the leader's actors propose what they have planned.

use std::time::Duration;

use capstan_model::command::Command;
use capstan_raft_store::handle::{ClusterHandle, ProposeOptions};
use futures::future::join_all;

/// How long to wait before what was not committed is planned anew.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Proposes commands side by side and waits until all are settled: committed, refused, or left to the next plan. `what` names one of them in the log.
pub(super) async fn commit(cluster: &ClusterHandle, commands: Vec<Command>, what: &'static str) {
    let proposed = commands.into_iter().map(|command| cluster.propose(command, ProposeOptions::progress()));
    let mut all_went_well = true;
    for outcome in join_all(proposed).await {
        match outcome {
            Ok(committed) => match committed.reply {
                Ok(_) => tracing::debug!(what, index = committed.index, "committed"),
                Err(rejection) => {
                    tracing::warn!(what, %rejection, "refused");
                    all_went_well = false;
                }
            },
            Err(error) => {
                tracing::debug!(what, %error, "not committed yet");
                all_went_well = false;
            }
        }
    }
    if !all_went_well {
        tokio::time::sleep(TRY_AGAIN).await;
    }
}
