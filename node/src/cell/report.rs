//! How what runs on this cell becomes known: as reports that are repeated until they are committed, or refused as stale.

use std::{sync::Arc, time::Duration};

use capstan_model::{
    command::Command,
    failpoint,
    ids::Incarnation,
    lrp::{
        actual::{ActualKey, InstanceKey, NetInfo},
        command::LrpCommand,
        guid::Guid,
    },
    mutant, sometimes,
    task::{Outcome, Phase, command::TaskCommand},
    time::Timestamp,
};
use capstan_raft_store::{
    handle::{ClusterHandle, ProposeError, ProposeOptions},
    ports::Entropy,
};
use tokio::{sync::mpsc, time::sleep};

use super::counted::Counted;
use crate::instance::life::Observation;

/// How long to wait before a report that found no leader is sent again.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Reports what is seen of one thing. Whoever drops it in the middle gives up.
#[derive(Clone)]
pub(crate) struct Reporter {
    pub(crate) cluster: ClusterHandle,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) counted: Counted,
}

/// The instance that is reported about.
pub(crate) struct Subject {
    pub(crate) key: ActualKey,
    pub(crate) instance: InstanceKey,
    pub(crate) net: Arc<NetInfo>,
}

impl Reporter {
    /// Reports what is seen of an instance, in its order, until nothing more can be.
    pub(crate) async fn follow(
        &self,
        subject: &Subject,
        mut observations: mpsc::UnboundedReceiver<Observation>,
    ) {
        while let Some(seen) = observations.recv().await {
            self.counted.observe(&seen);
            if seen != Observation::Running {
                failpoint!("instance: ended, not reported");
            }
            let command = subject.report(seen, self.entropy.u128());
            self.commit(Command::Lrp(command), || true).await;
        }
    }

    /// Reports that an instance could not even be made.
    pub(crate) async fn failed(&self, key: ActualKey, instance: InstanceKey, reason: &str) {
        self.counted.crashes.increment(1);
        let draw = self.entropy.u128();
        let crashed = LrpCommand::Crashed { key, instance, reason: reason.into(), draw };
        self.commit(Command::Lrp(crashed), || true).await;
    }

    /// Reports that an instance is not here.
    pub(crate) async fn disown(&self, key: ActualKey, instance: InstanceKey) {
        let stopped = LrpCommand::Stopped { key, instance, draw: self.entropy.u128() };
        self.commit(Command::Lrp(stopped), || true).await;
    }

    /// Reports how a task went, as long as it is the one that was desired then.
    pub(crate) async fn task_ended(&self, guid: &Guid, created_at: Timestamp, outcome: Outcome) {
        if outcome.failed { &self.counted.tasks_failed } else { &self.counted.tasks_done }.increment(1);
        let cell = self.cluster.incarnation();
        let command = TaskCommand::Ended { guid: guid.clone(), cell, outcome };
        self.commit(Command::Task(command), || self.runs(guid, created_at, cell)).await;
    }

    /// A report names only the guid and the cell: it must not be taken for one of a later task of the same guid.
    fn runs(&self, guid: &Guid, created_at: Timestamp, cell: Incarnation) -> bool {
        let view = self.cluster.view();
        let task = view.state().tasks.get(guid.as_str());
        task.is_some_and(|task| task.created_at == created_at && task.phase == Phase::Running { cell })
    }

    async fn commit(&self, command: Command, is_current: impl Fn() -> bool) {
        while is_current() {
            match self.cluster.propose(command.clone(), ProposeOptions::progress()).await {
                Ok(committed) => {
                    if let Err(rejection) = committed.reply {
                        sometimes!("a report of a cell is refused");
                        tracing::debug!(%rejection, "a report of this cell was refused");
                    }
                    return;
                }
                Err(error @ (ProposeError::ShuttingDown | ProposeError::TooLarge { .. })) => {
                    return tracing::debug!(%error, "a report of this cell is given up");
                }
                Err(error) => {
                    tracing::debug!(%error, "a report of this cell is not committed yet");
                    sometimes!("a report of a cell finds no leader");
                    if mutant!("cell-reports-once") {
                        return;
                    }
                    sleep(TRY_AGAIN).await;
                }
            }
        }
    }
}

impl Subject {
    fn report(&self, seen: Observation, draw: u128) -> LrpCommand {
        let (key, instance) = (self.key.clone(), self.instance);
        match seen {
            Observation::Running => LrpCommand::Running { key, instance, net: Arc::clone(&self.net) },
            Observation::Crashed { reason } => {
                LrpCommand::Crashed { key, instance, reason: reason.unwrap_or_default().into(), draw }
            }
            // As a stop it would be placed again at once, here perhaps, and again and again.
            Observation::Refused { reason } => {
                LrpCommand::Crashed { key, instance, reason: reason.into(), draw }
            }
            Observation::Stopped => LrpCommand::Stopped { key, instance, draw },
        }
    }
}
