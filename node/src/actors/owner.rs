//! Looks which requests this node runs, and keeps an actor for each that has something to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use capstan_model::{
    buggify, failpoint,
    ids::{Incarnation, RequestId},
    sometimes,
    state::State,
};
use capstan_raft_store::hints::Touched;
use tokio::sync::broadcast::error::RecvError;

use super::{
    Tools, deliver, is_full,
    request::{Request, RequestMessage},
};
use crate::executor::{ExecEvent, Outcome, ProcessKey, Standing, TryKey};

/// How often the owner looks without being told to. Hints are dropped at a full mailbox, and in an idle cluster no other follows.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How late ends are heard that are heard late, in simulations.
const HEARD_LATE: Duration = Duration::from_millis(50);

/// Everything that can wake the owner.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum OwnerMessage {
    /// Something happened to requests; a hint, and losing one is harmless.
    Changed(Touched),
    /// A try has ended.
    Ended(TryKey, Arc<Outcome>),
}

/// The one actor of a node that starts request actors. Holds nothing that the next look would not find.
pub struct Owner {
    tools: Tools,
    requests: BTreeMap<RequestId, Addr<Request>>,
}

/// Runs the owner and tells it what happens, for as long as the node lives.
pub async fn run(tools: Tools) {
    let owner = Owner { tools: tools.clone(), requests: BTreeMap::new() }.start();
    let mut hints = tools.cluster.request_hints();
    let mut events = tools.executor.events();
    loop {
        tokio::select! {
            touched = hints.next() => {
                let Some(touched) = touched else { return };
                // Waiting for the look to end makes any number of changes meanwhile into one.
                if owner.send(OwnerMessage::Changed(touched)).await.is_err() {
                    return;
                }
            }
            event = events.recv() => {
                if buggify!("buggify: ends of processes are heard late") {
                    tokio::time::sleep(HEARD_LATE).await;
                }
                let ended = match event {
                    Ok(ExecEvent::Ended { key: ProcessKey::Try(key), outcome }) => vec![(key, outcome)],
                    Ok(ExecEvent::Ended { key: ProcessKey::Call(_), .. }) => vec![],
                    Err(RecvError::Lagged(_)) if capstan_model::mutant!("missed-ends-ignored") => vec![],
                    Err(RecvError::Lagged(missed)) => {
                        sometimes!("ends of processes are missed");
                        tracing::warn!(missed, "ends of processes were missed; looking at the register");
                        ended_tries(&tools).await
                    }
                    Ok(ExecEvent::Gone) | Err(RecvError::Closed) => return,
                };
                for (key, outcome) in ended {
                    if owner.send(OwnerMessage::Ended(key, outcome)).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

async fn ended_tries(tools: &Tools) -> Vec<(TryKey, Arc<Outcome>)> {
    let register = tools.executor.register().await.unwrap_or_default();
    let ended = register.into_iter().filter_map(|entry| match (entry.key, entry.standing) {
        (ProcessKey::Try(key), Standing::Ended(outcome)) => Some((key, outcome)),
        _ => None,
    });
    ended.collect()
}

/// Those requests of which a life has tries to run or retries to wake, from the indexes alone.
fn requests_with_work(state: &State, me: Incarnation, touched: &Touched) -> BTreeSet<RequestId> {
    let waiting = state.requests.retries_under(me).map(|waiting| waiting.id.request);
    let waiting = waiting.filter(|request| touched.contains(request));
    match touched {
        Touched::Some(requests) => {
            let is_running = |request: &RequestId| state.running_of(me, *request).next().is_some();
            requests.iter().copied().filter(is_running).chain(waiting).collect()
        }
        Touched::All => state.running_under(me).map(|running| running.id.request).chain(waiting).collect(),
    }
}

impl Owner {
    fn look(&mut self, touched: &Touched) {
        failpoint!("actor: the owner looks");
        let view = self.tools.cluster.view();
        let wanted = requests_with_work(view.state(), self.tools.cluster.incarnation(), touched);
        // Those without work hear it once more, so that they stop what State no longer wants.
        self.requests.retain(|id, actor| {
            if !touched.contains(id) {
                return true;
            }
            let keep = wanted.contains(id);
            let told =
                actor.try_send(if keep { RequestMessage::StateChanged } else { RequestMessage::NothingLeft });
            keep || is_full(&told)
        });
        for id in wanted {
            self.requests.entry(id).or_insert_with(|| Request::new(id, self.tools.clone()).start());
        }
    }
}

impl Actor for Owner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.look(&Touched::All);
        ctx.run_interval(LOOK_EVERY, |owner, _ctx| owner.look(&Touched::All));
    }
}

impl Handler<OwnerMessage> for Owner {
    type Result = ();

    fn handle(&mut self, message: OwnerMessage, _ctx: &mut Self::Context) {
        match message {
            OwnerMessage::Changed(touched) => self.look(&touched),
            OwnerMessage::Ended(key, outcome) => {
                match self.requests.get(&key.request) {
                    Some(request) => deliver(request, RequestMessage::Ended(key, outcome)),
                    // State wants nothing of it any more; its report would be refused.
                    None => self.tools.executor.forget(ProcessKey::Try(key)),
                }
            }
        }
    }
}
