//! Everything that acts on the replicated state. Actors are dull: they look, plan with a pure function, perform.
//!
//! On every node an [`owner::Owner`] keeps a [`request::Request`] actor for each request of its own that has something to do, and
//! that one a [`sequence::Sequence`] actor for each of its sequences with running or waiting tries. A node that is a cell has a `cell` actor
//! for its instances and tasks. What leads has
//! [`liveness::Liveness`], an [`auctioneer::Auctioneer`], a [`converger::Converger`] and a [`resolver::Resolver`] beside them, started by
//! [`crate::leadership`].

mod alarm;
pub mod auctioneer;
mod cell;
pub mod converger;
mod hints;
pub mod liveness;
mod log_clock;
pub mod owner;
mod proposals;
pub mod request;
pub mod resolver;
pub mod sequence;

use std::{sync::Arc, time::Duration};

use actix::{Actor, Addr, Context, Handler, Message, dev::ToEnvelope, prelude::SendError};
use capstan_raft_store::{
    handle::ClusterHandle,
    ports::{Clock, Entropy},
};

pub use self::alarm::Alarm;

use crate::{callbacks::Callbacks, cell::CellTools, executor::Executor, jobs::JobTypes};

/// What the actors of a node work with.
#[derive(Clone)]
pub struct Tools {
    /// The replicated state.
    pub cluster: ClusterHandle,
    /// What runs processes.
    pub executor: Arc<dyn Executor>,
    /// What jobs can be.
    pub jobs: JobTypes,
    /// The clock of the times in reports.
    pub clock: Arc<dyn Clock>,
    /// What a node that is a cell works with beside.
    pub cell: Option<CellTools>,
    /// Calls those who asked to be told of the end of a task.
    pub callbacks: Arc<dyn Callbacks>,
    /// Where new ids and epochs are drawn from.
    pub entropy: Arc<dyn Entropy>,
    /// Silence after which a node's requests are given to others; see `Timing::owner_lost_after`.
    pub owner_lost_after: Duration,
    /// Silence after which what runs on a cell is placed elsewhere; see [`liveness::cell_silent_after`].
    pub cell_silent_after: Duration,
    /// Ends all actors when one of them panics.
    pub alarm: Alarm,
}

/// Runs the actors of a node for as long as it lives, or until one of them panics: others would wait for it. The caller is inside the
/// node's `LocalSet`, and the executor has begun the node's incarnation.
pub async fn run(tools: Tools) {
    let alarm = tools.alarm.clone();
    let leadership = crate::leadership::run(tools.clone());
    let cell = tools.cell.clone().map(|cell| cell::Cell::new(tools.clone(), cell).start());
    let all = futures::future::join(leadership, owner::run(tools));
    tokio::select! {
        _ = all => {}
        () = alarm.rings() => tracing::error!("bug: an actor panicked, so all of this node's end"),
    }
    drop(cell);
}

/// Whether a message was not delivered because the mailbox is full: it has to be said again at the next look.
fn is_full<M>(told: &Result<(), SendError<M>>) -> bool {
    matches!(told, Err(SendError::Full(_)))
}

/// Sends what must not be lost: when the mailbox is full it waits for room, beside the caller.
///
/// Ends of tries are sent so, and there are no more of them than tries that run; and the last word to a sequence.
fn deliver<A, M>(to: &Addr<A>, message: M)
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message + Send + 'static,
    M::Result: Send,
    A::Context: ToEnvelope<A, M>,
{
    if let Err(SendError::Full(message)) = to.try_send(message) {
        let to = to.clone();
        actix::spawn(async move {
            // An actor that is gone left its tries to the register, where the next one finds them.
            drop(to.send(message).await);
        });
    }
}
