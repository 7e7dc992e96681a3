//! The guardian's side of instances, for what runs them on a real node.

use std::sync::Arc;

use capstan_model::lrp::isolation::Unlimited;
use tokio::sync::oneshot;

use super::{
    ExecutorGone, StartRefused,
    host::{Answer, Shared, encode},
};
use crate::guardian::{
    instance_spec::{InstanceEnd, InstanceId, InstanceProcess, InstanceSignal, InstanceSpec, Said},
    protocol::{StartAnswer, ToGuardian},
};

/// Starts and ends processes of instances through the guardian.
#[derive(Debug, Clone)]
pub struct InstanceHost(pub(super) Arc<Shared>);

/// Why no process of an instance was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstanceRefused {
    /// Its number was used, or its instance is being ended.
    #[error("process {} of instance {} was started before, or its instance is being ended", process.number, process.instance)]
    Over {
        /// Which.
        process: InstanceProcess,
    },
    /// As for any other process.
    #[error(transparent)]
    Refused(#[from] StartRefused),
}

impl InstanceHost {
    /// Starts a process. How it ends comes through the receiver, also that it could not be executed; the receiver fails when
    /// the guardian is gone or begins another incarnation.
    ///
    /// # Errors
    /// Nothing was started.
    pub async fn start(&self, spec: InstanceSpec) -> Result<oneshot::Receiver<InstanceEnd>, InstanceRefused> {
        let process = spec.process;
        let id = self.0.draw();
        let frame = encode(&ToGuardian::StartInInstance { id, spec })?;
        let (sender, receiver) = oneshot::channel();
        // Before the answer: the end may come first.
        self.0.known().instance_ends.insert(process, sender);
        let refused = match self.0.await_answer(id, frame).await {
            Ok(Answer::Start(StartAnswer::Started)) => return Ok(receiver),
            Ok(Answer::Start(answer)) => refusal(answer, process),
            Ok(other) => unreachable!("asked to start, answered {other:?}"),
            Err(gone) => StartRefused::from(gone).into(),
        };
        self.0.known().instance_ends.remove(&process);
        Err(refused)
    }

    /// Signals a process and its group; an unknown or ended one changes nothing.
    pub fn signal(&self, process: InstanceProcess, signal: InstanceSignal) {
        self.0.tell(&ToGuardian::SignalInInstance { process, signal });
    }

    /// Ends whatever is left of an instance, and returns when nothing is.
    ///
    /// # Errors
    /// The guardian is gone, and with it every instance.
    pub async fn end(&self, instance: InstanceId) -> Result<(), ExecutorGone> {
        match self.0.ask(|id| ToGuardian::EndInstance { id, instance }).await? {
            Answer::InstanceGone => Ok(()),
            other => unreachable!("asked to end an instance, answered {other:?}"),
        }
    }

    /// The limits of instances that are not set on this machine.
    ///
    /// # Errors
    /// The guardian is gone.
    pub async fn unlimited(&self) -> Result<Vec<Unlimited>, ExecutorGone> {
        match self.0.ask(|id| ToGuardian::Limits { id }).await? {
            Answer::Unlimited(unlimited) => Ok(unlimited),
            other => unreachable!("asked about limits, answered {other:?}"),
        }
    }

    /// Adds lines to an output.
    pub fn say(&self, said: Said) {
        self.0.tell(&ToGuardian::Say(said));
    }

    /// Whether the guardian is gone.
    pub fn is_gone(&self) -> bool {
        self.0.known().gone
    }
}

fn refusal(answer: StartAnswer, process: InstanceProcess) -> InstanceRefused {
    match answer {
        StartAnswer::NotBegun => StartRefused::NotBegun.into(),
        StartAnswer::LeaseOver => StartRefused::LeaseOver.into(),
        StartAnswer::LeftoversAlive => StartRefused::LeftoversAlive.into(),
        StartAnswer::Registered(_) | StartAnswer::Settled => InstanceRefused::Over { process },
        StartAnswer::Started => unreachable!("it was started"),
    }
}
