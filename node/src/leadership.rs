//! Starts the leader's actors for one term and stops them with it.
//!
//! What they propose late, under a term that has ended, is refused by apply or by the log.

use actix::{Actor, Addr};

use crate::actors::{
    Tools,
    auctioneer::{Auctioneer, AuctioneerMessage},
    converger::{Converger, ConvergerMessage},
    liveness::{Liveness, LivenessMessage},
    resolver::{Resolver, ResolverMessage},
};

/// The actors of one term.
struct Reign {
    term: u64,
    liveness: Addr<Liveness>,
    auctioneer: Addr<Auctioneer>,
    converger: Addr<Converger>,
    resolver: Addr<Resolver>,
}

impl Reign {
    fn start(term: u64, tools: &Tools) -> Self {
        tracing::info!(term, "leading");
        Self {
            term,
            liveness: Liveness::new(term, tools.clone()).start(),
            auctioneer: Auctioneer::new(tools.clone()).start(),
            converger: Converger::new(tools.clone()).start(),
            resolver: Resolver::new(tools.clone()).start(),
        }
    }

    fn end(self) {
        tracing::info!(term = self.term, "no longer leading");
        self.liveness.do_send(LivenessMessage::TermEnded);
        self.auctioneer.do_send(AuctioneerMessage::TermEnded);
        self.converger.do_send(ConvergerMessage::TermEnded);
        self.resolver.do_send(ResolverMessage::TermEnded);
    }
}

/// Follows this node's leadership for as long as it lives. Runs on the node's actor thread.
pub async fn run(tools: Tools) {
    let mut leadership = tools.cluster.leadership();
    let mut reign: Option<Reign> = None;
    loop {
        let term = *leadership.borrow_and_update();
        if reign.as_ref().map(|reign| reign.term) != term {
            if let Some(ended) = reign.take() {
                ended.end();
            }
            reign = term.map(|term| Reign::start(term, &tools));
        }
        if leadership.changed().await.is_err() {
            break;
        }
    }
    if let Some(ended) = reign {
        ended.end();
    }
}
