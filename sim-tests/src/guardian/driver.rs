//! What drives instances and tasks on a simulated cell: the node's end of the line to its guardian.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use capstan_model::{
    lrp::{
        action::{Download, Upload},
        actual::{ActualKey, InstanceKey, NetInfo, PortMapping},
        definition::Definition,
    },
    task::Task,
};
use capstan_node::{
    cell::{Driven, Drivers},
    instance::{
        driver::{
            Driver, Fetched, OpenError, Process, ProcessEnd, ProcessNo, Running, Signal, Stream, UploadError,
        },
        ports::{HostPorts, PortLease},
    },
};
use futures::future::{BoxFuture, FutureExt, ready};
use tokio::sync::{mpsc, oneshot};

use super::{executor::Message, units::UnitStart};
use crate::{instances::Unit, net::Place};

/// The ports of a machine that are handed out; more than instances ask for.
const PORTS: std::ops::RangeInclusive<u16> = 61_000..=61_199;

/// Makes what drives the instances and tasks of one life of a node.
pub(crate) struct SimDrivers {
    node: Place,
    line: mpsc::UnboundedSender<Message>,
    ports: HostPorts,
}

/// One instance or task on a simulated machine.
struct SimDriver {
    unit: Unit,
    driven: u128,
    line: mpsc::UnboundedSender<Message>,
    /// Given back when the instance is forgotten.
    ports: PortLease,
    numbers: AtomicU32,
}

impl SimDrivers {
    pub(super) fn new(node: Place, line: mpsc::UnboundedSender<Message>) -> Self {
        // Nobody else listens on a simulated machine.
        let ports = HostPorts::where_free(Ipv4Addr::UNSPECIFIED.into(), PORTS, |_| true);
        Self { node, line, ports }
    }

    fn driver(&self, unit: Unit, driven: u128, ports: PortLease) -> Arc<SimDriver> {
        Arc::new(SimDriver { unit, driven, line: self.line.clone(), ports, numbers: AtomicU32::new(1) })
    }

    fn address(&self) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, u8::try_from(self.node).unwrap_or(u8::MAX)).into()
    }
}

impl Drivers for SimDrivers {
    fn instance(
        &self,
        key: &ActualKey,
        instance: InstanceKey,
        definition: &Definition,
    ) -> Result<Driven, String> {
        let ports = self.ports.lease(&definition.ports).map_err(|error| error.to_string())?;
        let shown =
            ports.ports().iter().map(|it| PortMapping { container_port: it.container, host_port: it.host });
        let net = NetInfo { address: self.address().to_string().into(), ports: shown.collect() };
        let unit = Unit::Instance { key: key.clone(), instance };
        Ok(Driven { driver: self.driver(unit, instance.instance_guid, ports), net: Arc::new(net) })
    }

    fn task(&self, task: &Task, id: u128) -> Result<Arc<dyn Driver>, String> {
        let ports = self.ports.lease(&[]).map_err(|error| error.to_string())?;
        let unit = Unit::Task { guid: task.guid.clone(), created_at: task.created_at };
        Ok(self.driver(unit, id, ports))
    }
}

impl SimDriver {
    fn tell(&self, message: Message) {
        // A guardian that is gone has lost its machine, and this node with it.
        drop(self.line.send(message));
    }
}

impl Driver for SimDriver {
    fn open(&self) -> BoxFuture<'_, Result<(), OpenError>> {
        ready(Ok(())).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let (sender, gone) = oneshot::channel();
        self.tell(Message::EndUnit(self.driven, sender));
        // Without a guardian nothing is left either.
        gone.map(drop).boxed()
    }

    fn start(&self, process: Process) -> BoxFuture<'_, Result<Running, String>> {
        let number = ProcessNo(self.numbers.fetch_add(1, Ordering::Relaxed));
        let (sender, ended) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let ports = self.ports.ports().iter().map(|port| port.host).collect();
        let (unit, driven) = (self.unit.clone(), self.driven);
        self.tell(Message::StartUnit(
            Box::new(UnitStart { unit, driven, number, process, ports, end: sender }),
            answer,
        ));
        async move {
            answered.await.map_err(|_| lost())??;
            let end = ended.map(|end| end.unwrap_or_else(|_| ProcessEnd::Failed(lost()))).boxed();
            Ok(Running { process: number, end })
        }
        .boxed()
    }

    fn signal(&self, process: ProcessNo, signal: Signal) {
        self.tell(Message::SignalUnit(self.driven, process, signal));
    }

    fn fetch<'a>(&'a self, _: &'a Download) -> BoxFuture<'a, Result<Fetched, String>> {
        ready(Err("nothing can be fetched".to_owned())).boxed()
    }

    fn unpack<'a>(&'a self, _: Fetched, _: &'a Download) -> BoxFuture<'a, Result<(), String>> {
        ready(Err("nothing was fetched".to_owned())).boxed()
    }

    fn upload<'a>(&'a self, _: &'a Upload) -> BoxFuture<'a, Result<u64, UploadError>> {
        ready(Err(UploadError::NoFile)).boxed()
    }

    /// Nobody reads it.
    fn say(&self, _: &str, _: Stream, _: &str) {}
}

fn lost() -> String {
    "the guardian is gone".to_owned()
}
