//! The events of a cluster, as far as they say that an instance runs.

use std::net::SocketAddr;

use anyhow::Context;
use capstan_client::{
    Client, EventStream,
    receptor::{ACTUAL_LRP_CHANGED, ActualLrp, ActualLrpChange, ActualLrpState},
};
use tokio::time::timeout;

use super::PATIENCE;

/// Hears of everything from its start on.
pub(crate) struct Follower(EventStream);

impl Follower {
    /// Listens to the first of these nodes that answers.
    pub(crate) async fn start(nodes: &[SocketAddr]) -> anyhow::Result<Self> {
        let client = Client::new(nodes.iter().map(ToString::to_string).collect())?;
        Ok(Self(client.lrp_events(None).await?))
    }

    /// The next instance that began to run.
    pub(crate) async fn running(&mut self) -> anyhow::Result<ActualLrp> {
        timeout(PATIENCE, self.next()).await.context("nothing began to run any more")?
    }

    async fn next(&mut self) -> anyhow::Result<ActualLrp> {
        loop {
            let notice = self.0.next().await?;
            if notice.name != ACTUAL_LRP_CHANGED {
                continue;
            }
            let change: ActualLrpChange = serde_json::from_str(&notice.data)?;
            let (before, after) = (change.actual_lrp_before, change.actual_lrp_after);
            if after.state == ActualLrpState::Running && before.state != ActualLrpState::Running {
                return Ok(after);
            }
        }
    }
}
