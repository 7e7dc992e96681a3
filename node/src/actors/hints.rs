//! How an actor hears that the state has moved.

use actix::{Actor, Addr, Context, Handler, Message, dev::ToEnvelope};
use capstan_raft_store::handle::ClusterHandle;

/// Tells an actor whenever the state has moved, until the actor or the store has ended. Whatever happens while it looks is one
/// message more.
pub(super) fn follow<A, M>(cluster: &ClusterHandle, actor: Addr<A>, changed: impl Fn() -> M + 'static)
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message + Send + 'static,
    M::Result: Send,
    A::Context: ToEnvelope<A, M>,
{
    let mut applied = cluster.watch();
    actix::spawn(
        async move { while applied.changed().await.is_ok() && actor.send(changed()).await.is_ok() {} },
    );
}
