//! The leader's resolver: has those told who asked to be when a task is done, after which the task goes.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};
use capstan_model::{
    command::Command,
    lrp::guid::Guid,
    task::{Task, command::TaskCommand},
};
use capstan_raft_store::handle::{ClusterHandle, ProposeOptions};

use super::{Tools, hints};
use crate::callbacks::{self, Callbacks};

/// How many are called at once.
const CALLS_MAX: usize = 32;
/// How often somebody is called at once who says that he is busy.
const CALLS_EACH: usize = 3;
/// How long to wait before what was not committed is looked at again.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Everything that can wake the resolver.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum ResolverMessage {
    /// The state has moved; a hint.
    StateChanged,
    /// The call about this task is over, well or not.
    Over(Guid),
    /// This node leads no longer.
    TermEnded,
}

/// Has callbacks called. That one is being called is in State; one that was not by its time is called again.
pub struct Resolver {
    tools: Tools,
    calling: BTreeSet<Guid>,
}

impl Resolver {
    /// An actor for the present term.
    pub fn new(tools: Tools) -> Self {
        Self { tools, calling: BTreeSet::new() }
    }

    fn look(&mut self, ctx: &Context<Self>) {
        let view = self.tools.cluster.view();
        let room = CALLS_MAX - self.calling.len();
        let waiting = view.state().tasks.callbacks().filter(|task| !self.calling.contains(&task.guid));
        let next: Vec<Arc<Task>> = waiting.take(room).cloned().collect();
        for task in next {
            self.calling.insert(task.guid.clone());
            let (tools, actor) = (self.tools.clone(), ctx.address());
            actix::spawn(async move {
                let _alarm = tools.alarm;
                resolve(&tools.cluster, &*tools.callbacks, &task).await;
                // A stopped actor needs no answer.
                let _ = actor.send(ResolverMessage::Over(task.guid.clone())).await;
            });
        }
    }
}

/// Calls, between two commands: one that says so, and one that removes the task. Without the second the task is called about again.
async fn resolve(cluster: &ClusterHandle, callbacks: &dyn Callbacks, task: &Arc<Task>) {
    let guid = || task.guid.clone();
    if commit(cluster, TaskCommand::Resolving { guid: guid() }).await
        && tell(callbacks, task).await
        && !commit(cluster, TaskCommand::Resolved { guid: guid() }).await
    {
        tracing::debug!(task = %task.guid, "its callback was called, which is not committed yet");
    }
}

/// Says whether the owner of a task has heard of its end.
async fn tell(callbacks: &dyn Callbacks, task: &Arc<Task>) -> bool {
    let Some(body) = callbacks::body(task) else { return false };
    for _ in 0..CALLS_EACH {
        match callbacks.post(&task.definition.completion_callback_url, body.clone()).await {
            Ok(503 | 504) => {}
            Ok(status) => {
                tracing::debug!(task = %task.guid, status, "called back");
                return true;
            }
            Err(_) => {
                tracing::info!(task = %task.guid, "nobody answers its callback");
                return false;
            }
        }
    }
    tracing::info!(task = %task.guid, "whoever answers its callback is busy");
    true
}

async fn commit(cluster: &ClusterHandle, command: TaskCommand) -> bool {
    match cluster.propose(Command::Task(command), ProposeOptions::progress()).await {
        Ok(committed) => committed.reply.is_ok(),
        Err(error) => {
            tracing::debug!(%error, "a callback is not committed yet");
            tokio::time::sleep(TRY_AGAIN).await;
            false
        }
    }
}

impl Actor for Resolver {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        hints::follow(&self.tools.cluster, ctx.address(), || ResolverMessage::StateChanged);
        self.look(ctx);
    }
}

impl Handler<ResolverMessage> for Resolver {
    type Result = ();

    fn handle(&mut self, message: ResolverMessage, ctx: &mut Self::Context) {
        match message {
            ResolverMessage::StateChanged => self.look(ctx),
            ResolverMessage::Over(guid) => {
                self.calling.remove(&guid);
                self.look(ctx);
            }
            ResolverMessage::TermEnded => ctx.stop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use capstan_model::{
        task::{Completed, Outcome, Phase, definition::TaskDefinition},
        time::Timestamp,
    };
    use futures::future::{BoxFuture, FutureExt};

    use super::*;

    /// Answers in this order, and keeps what it was told.
    struct Answers {
        statuses: Mutex<Vec<Result<u16, String>>>,
        told: Mutex<Vec<(String, String)>>,
    }

    impl Callbacks for Answers {
        fn post(&self, url: &str, body: String) -> BoxFuture<'static, Result<u16, String>> {
            self.told.lock().unwrap().push((url.to_owned(), body));
            let status = self.statuses.lock().unwrap().remove(0);
            async move { status }.boxed()
        }
    }

    #[tokio::test]
    async fn whoever_is_busy_is_called_three_times_and_whoever_is_not_there_once() {
        let outcome = Outcome { failed: true, failure_reason: "why".into(), result: "".into() };
        let task = Arc::new(Task {
            guid: "some-task".parse().unwrap(),
            definition: Arc::new(TaskDefinition {
                completion_callback_url: "http://there/".into(),
                annotation: "note".into(),
                ..TaskDefinition::default()
            }),
            created_at: Timestamp(7),
            updated_at: Timestamp(8),
            phase: Phase::Resolving(Completed { cell: None, at: Timestamp(8), outcome }),
        });
        let nobody = || Err("refused".to_owned());
        let cases = [
            (vec![Ok(200)], true, 1),
            (vec![Ok(404)], true, 1),
            (vec![Ok(503), Ok(504), Ok(200)], true, 3),
            (vec![Ok(503), Ok(503), Ok(503), Ok(200)], true, 3),
            (vec![nobody(), Ok(200)], false, 1),
            (vec![Ok(503), nobody(), Ok(200)], false, 2),
        ];
        for (statuses, is_told, calls) in cases {
            let answers = Answers { statuses: Mutex::new(statuses.clone()), told: Mutex::default() };
            assert_eq!(tell(&answers, &task).await, is_told, "{statuses:?}");
            let told = answers.told.into_inner().unwrap();
            assert_eq!(told.len(), calls, "{statuses:?}");
            let body = r#"{"annotation":"note","created_at":7,"failed":true,"failure_reason":"why","result":"","task_guid":"some-task"}"#;
            assert!(told.iter().all(|(url, sent)| url == "http://there/" && sent == body), "{told:?}");
        }
    }
}
