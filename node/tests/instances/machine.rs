//! A cell with one instance.

use std::{net::Ipv4Addr, path::PathBuf, sync::Arc};

use capstan_model::lrp::{
    action::{Action, Kind, Run},
    definition::Definition,
};
use capstan_node::{
    guardian::instance_spec::{InstanceId, Resources},
    instance::{
        driver::Driver,
        environment::{Environment, Identity},
        host::{Folders, HostCell, HostDriver, Instance, output_name},
        life::{Life, Observation},
        monitor::check_permits,
        network::Networks,
        output::{Cursor, read_from},
        ports::HostPorts,
    },
};
use nix::unistd::geteuid;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::guardian_world::{PATIENCE, World};

/// The instance all tests run.
pub(crate) const ID: InstanceId = InstanceId(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);

/// A cell of a world, with one instance under way.
pub(crate) struct Machine {
    pub(crate) world: World,
    pub(crate) stop: CancellationToken,
    observations: mpsc::UnboundedReceiver<Observation>,
}

/// Runs a script for /bin/sh as whoever may.
pub(crate) fn script(text: &str) -> Action {
    script_of(if geteuid().is_root() { "root" } else { "anybody" }, text)
}

pub(crate) fn script_of(user: &str, text: &str) -> Action {
    action(Kind::Run(Run {
        path: "/bin/sh".into(),
        args: vec!["-c".into(), text.into()],
        user: user.into(),
        ..Run::default()
    }))
}

pub(crate) fn action(kind: Kind) -> Action {
    Action { kinds: vec![kind] }
}

pub(crate) fn unwatched(action: Action) -> Definition {
    Definition { action, log_source: "APP".into(), ports: vec![8080], ..Definition::default() }
}

impl Machine {
    /// Starts an instance on a new cell.
    pub(crate) async fn new(definition: Definition) -> Self {
        Self::on(World::new().await, definition)
    }

    /// Starts an instance on a cell.
    pub(crate) fn on(world: World, definition: Definition) -> Self {
        Self::in_networks(Networks::Machine, world, definition)
    }

    /// The same on a cell whose instances have these networks.
    pub(crate) fn in_networks(networks: Networks, world: World, definition: Definition) -> Self {
        let (stop, driver) = (CancellationToken::new(), driver(networks, &world, &definition));
        let (sender, observations) = mpsc::unbounded_channel();
        let definition = Arc::new(definition);
        let life =
            Life { definition, driver, checks: check_permits(), stop: stop.clone(), observations: sender };
        tokio::spawn(life.live());
        Self { world, stop, observations }
    }

    pub(crate) async fn next(&mut self) -> Observation {
        let seen = timeout(PATIENCE, self.observations.recv()).await.expect("nothing was seen");
        seen.expect("the last observation was made")
    }

    /// Waits until it is running.
    pub(crate) async fn running(&mut self) {
        assert_eq!(self.next().await, Observation::Running);
    }

    /// Waits until it has crashed, and tells why.
    pub(crate) async fn crashed(&mut self) -> String {
        match self.next().await {
            Observation::Crashed { reason } => reason.unwrap_or_default(),
            other => panic!("{other:?}"),
        }
    }

    /// The lines of its output, as `SOURCE TEXT`, once the guardian has exited and so has written all.
    pub(crate) async fn output(self) -> Vec<String> {
        self.world.executor.shut_down().await.unwrap();
        let records = read_from(&output_folder(&self.world), Cursor::default(), u64::MAX).unwrap().records;
        records.into_iter().map(|record| format!("{} {}", record.source, record.text)).collect()
    }
}

pub(crate) fn output_folder(world: &World) -> PathBuf {
    world.file("outputs").join(output_name("some-app", 3))
}

/// What drives the instance of a definition.
fn driver(networks: Networks, world: &World, definition: &Definition) -> Arc<dyn Driver> {
    let folders = Folders {
        instances: world.file("instances"),
        outputs: world.file("outputs"),
        downloads: world.file("downloads"),
    };
    let cell = Arc::new(HostCell::new(world.executor.instances(), folders, true, networks));
    let address = Ipv4Addr::LOCALHOST.into();
    let ports = HostPorts::new(address, 20_300..=20_400).lease(&definition.ports).unwrap();
    let environment = Environment {
        identity: Some(Identity { guid: ID.to_string(), index: 3 }),
        env: definition.env.clone(),
        address,
        ports: ports.ports().to_vec(),
        own_network: networks != Networks::Machine,
    };
    let resources = Resources {
        memory_bytes: u64::from(definition.memory_mb) * 1024 * 1024,
        cpu_weight: definition.cpu_weight,
    };
    let output = output_name("some-app", 3);
    Arc::new(HostDriver::new(cell, Instance { id: ID, output, environment, resources, ports }))
}
