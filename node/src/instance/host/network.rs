//! The network of an instance, where its cell gives it one of its own.

use std::{io, net::IpAddr};

use futures::future::{BoxFuture, FutureExt, Shared};
use tokio::{io::AsyncReadExt, net::unix::pipe, sync::oneshot, task::spawn_blocking};

use super::{HostDriver, ended, lost, own};
use crate::{
    guardian::instance_spec::{InstanceEnd, InstanceSpec, Output, Place},
    instance::{
        driver::ProcessEnd,
        network::{
            Networks,
            namespace::{Namespace, path_of},
            relay::{self, Order},
        },
    },
};

/// What is executed as a relay.
const PROGRAM: &str = "/proc/self/exe";

/// A network of one instance, and who passes its ports on.
#[derive(Debug)]
pub(super) struct OwnNetwork {
    namespace: Namespace,
    /// `None` of an instance without ports.
    relay: Option<RelayEnd>,
}

/// Is ready once nobody passes the ports of an instance on any more, and says why.
type RelayEnd = Shared<BoxFuture<'static, String>>;

impl HostDriver {
    /// Makes the network of the instance and has its ports passed on, unless it has that of the machine. Called once. Whoever
    /// connects to the host ports is heard when this returns.
    ///
    /// # Errors
    /// The text is for the owner of the instance.
    pub(super) async fn open_network(&self) -> Result<(), String> {
        let Networks::Own { listen } = self.cell.networks else { return Ok(()) };
        let made = spawn_blocking(Namespace::make).await.map_err(io::Error::other).flatten();
        let namespace = made.map_err(|error| format!("making its network: {error}"))?;
        let relay = match self.ports.ports() {
            [] => None,
            _ => Some(self.start_relay(&namespace, listen).await?),
        };
        self.network.set(OwnNetwork { namespace, relay }).expect("an instance is opened once");
        Ok(())
    }

    /// Starts a relay, and waits until it listens.
    async fn start_relay(&self, network: &Namespace, listen: IpAddr) -> Result<RelayEnd, String> {
        let (ready, mut told) = pipe::pipe().map_err(|error| format!("making a pipe: {error}"))?;
        let order = Order {
            network: network.path(),
            listen,
            ready: path_of(&ready),
            ports: self.ports.ports().to_vec(),
        };
        let args = [relay::ARGUMENT.to_owned()].into_iter().chain(order.to_args()).collect();
        let spec = InstanceSpec { place: Place::Beside, ..self.spec(PROGRAM, args, None, Output::Held) };
        let end = self.cell.host.start(spec).await.map_err(|refused| refused.to_string())?;
        let end = why_ended(end).boxed().shared();
        tokio::select! {
            biased;
            read = told.read_u8() => read.map(drop).map_err(|error| format!("waiting for its relay: {error}"))?,
            reason = end.clone() => return Err(reason),
        }
        // Until here, so that the relay finds it.
        drop(ready);
        Ok(end)
    }

    /// Where its processes are.
    pub(super) fn place(&self) -> Place {
        Place::Inside { network: self.network.get().map(|network| network.namespace.path()) }
    }

    /// Is ready once nobody reaches the instance any more, with a text for its owner; never for one that has the machine's network.
    pub(super) fn cut_off(&self) -> BoxFuture<'static, String> {
        match self.network.get().and_then(|network| network.relay.clone()) {
            Some(relay) => relay.boxed(),
            None => std::future::pending().boxed(),
        }
    }
}

async fn why_ended(end: oneshot::Receiver<InstanceEnd>) -> String {
    let reason = match end.await.map_or_else(|_| lost(), |end| ended(end, &own(PROGRAM))) {
        ProcessEnd::Failed(reason) => reason,
        ProcessEnd::Exited { status, held, .. } => match String::from_utf8_lossy(&held).trim() {
            "" => format!("exit status {status}"),
            said => said.to_owned(),
        },
    };
    format!("the ports of the instance are not passed on: {reason}")
}
