//! One request that this node owns: keeps an actor for each of its sequences that has something to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use actix::{Actor, ActorContext, Addr, Context, Handler, Message};
use capstan_model::{
    failpoint,
    ids::{Incarnation, JobId, RequestId},
    state::State,
};

use super::{
    Tools, deliver, is_full,
    sequence::{Sequence, SequenceMessage},
};
use crate::executor::{Outcome, TryKey};

/// Everything that can wake a request actor.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum RequestMessage {
    /// The state has moved; a hint.
    StateChanged,
    /// A try of it has ended.
    Ended(TryKey, Arc<Outcome>),
    /// State wants nothing of this node for it any more.
    NothingLeft,
}

/// The actor of one request.
pub struct Request {
    id: RequestId,
    tools: Tools,
    /// By the id of the sequence, which is that of its first job.
    sequences: BTreeMap<JobId, Addr<Sequence>>,
}

/// The sequences of a request in which a life has tries to run or retries to wake.
fn sequences_with_work(state: &State, me: Incarnation, request: RequestId) -> BTreeSet<JobId> {
    let Some(live) = state.requests.get(&request) else { return BTreeSet::new() };
    let running = state.running_of(me, request).map(|running| running.id.job);
    let waiting = state.requests.retries_under(me).filter(|w| w.id.request == request).map(|w| w.id.job);
    let sequence = |job| live.job(job).map(|(spec, _)| live.chain().sequence_id(spec));
    running.chain(waiting).filter_map(sequence).collect()
}

impl Request {
    /// An actor for a request this node owns.
    pub fn new(id: RequestId, tools: Tools) -> Self {
        Self { id, tools, sequences: BTreeMap::new() }
    }

    fn look(&mut self) {
        failpoint!("actor: a request looks");
        let view = self.tools.cluster.view();
        let wanted = sequences_with_work(view.state(), self.tools.cluster.incarnation(), self.id);
        self.sequences.retain(|id, actor| {
            let keep = wanted.contains(id);
            let told = actor.try_send(if keep {
                SequenceMessage::StateChanged
            } else {
                SequenceMessage::NothingLeft
            });
            keep || is_full(&told)
        });
        for id in wanted {
            let start = || Sequence::new(self.id, id, self.tools.clone()).start();
            self.sequences.entry(id).or_insert_with(start);
        }
    }

    /// Passes an end on to the sequence of its job.
    fn ended(&self, key: TryKey, outcome: Arc<Outcome>) {
        let view = self.tools.cluster.view();
        let sequence = view.state().requests.get(&self.id).and_then(|live| {
            let (spec, _) = live.job(key.job)?;
            self.sequences.get(&live.chain().sequence_id(spec))
        });
        if let Some(sequence) = sequence {
            deliver(sequence, SequenceMessage::Ended(key, outcome));
        }
    }
}

impl Actor for Request {
    type Context = Context<Self>;

    fn started(&mut self, _ctx: &mut Self::Context) {
        self.look();
    }
}

impl Handler<RequestMessage> for Request {
    type Result = ();

    fn handle(&mut self, message: RequestMessage, ctx: &mut Self::Context) {
        match message {
            RequestMessage::StateChanged => self.look(),
            RequestMessage::Ended(key, outcome) => self.ended(key, outcome),
            RequestMessage::NothingLeft => {
                for sequence in self.sequences.values() {
                    deliver(sequence, SequenceMessage::NothingLeft);
                }
                ctx.stop();
            }
        }
    }
}
