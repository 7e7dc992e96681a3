//! A leader that hears no quorum gives its leadership up.
//!
//! A leader that is heard and hears nobody (a link that is cut one way) keeps the others from electing one that could commit: its
//! heartbeats renew their patience. openraft pauses those heartbeats now and then, which is enough when whoever stands first can win; where the
//! first lacks entries, the next stands only after the pause; and what it replicates renews their patience too. So the leader ends its term.
//! openraft has no call for that and ignores one to stand for election, but a leader without a quorum grants its vote like anybody: it
//! is asked for it, for the term after its own, in another's name. (With a vote in its own it would go on as a leader of nobody.)

use std::time::Duration;

use openraft::{Instant as _, ServerState, async_runtime::WatchReceiver as _, raft::VoteRequest};
use tokio::time::Instant;

use crate::{
    timing::Timing,
    type_config::{Raft, Vote},
};

/// Looks for as long as Raft runs.
pub(crate) async fn step_down(raft: Raft, timing: Timing) {
    // Much longer than acknowledgements are late on a bad day: whoever gives up early starts elections that nobody needs.
    let silence_max = 10 * timing.election_max;
    let mut led: Option<(u64, Instant)> = None;
    loop {
        tokio::time::sleep(timing.election_max).await;
        let (term, silence) = {
            let metrics = raft.metrics();
            let metrics = metrics.borrow_watched();
            if metrics.running_state.is_err() {
                return;
            }
            let is_alone = metrics.membership_config.voter_ids().count() == 1;
            if metrics.state != ServerState::Leader || is_alone {
                led = None;
                continue;
            }
            let since = match led {
                Some((term, since)) if term == metrics.current_term => since,
                _ => led.insert((metrics.current_term, Instant::now())).1,
            };
            let silence = metrics.last_quorum_acked.map_or(Duration::MAX, |at| at.elapsed());
            // Before the first acknowledgement, and after a loss of leadership that went unseen, the term's own age counts.
            (metrics.current_term, silence.min(since.elapsed()))
        };
        if silence <= silence_max {
            continue;
        }
        tracing::warn!(term, ?silence, "this leader hears no quorum: giving leadership up");
        if let Err(error) = end_term(&raft, term).await {
            tracing::debug!(%error, "leadership was not given up");
        }
    }
}

/// Has the node vote for another in the next term, as it would if that one stood.
async fn end_term(raft: &Raft, term: u64) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let me = *raft.node_id();
    let (last, other) = raft
        .with_raft_state(move |state| {
            let mut voters = state.membership_state.effective().voter_ids();
            (state.log_ids.last().copied(), voters.find(|voter| *voter != me))
        })
        .await?;
    if let Some(other) = other {
        raft.vote(VoteRequest::new(Vote::new(term + 1, other), last)).await?;
    }
    Ok(())
}
