//! Instances and tasks as processes of this machine.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use capstan_model::{
    lrp::{
        action::EnvVar,
        actual::{self, ActualKey, InstanceKey, NetInfo},
        cell::RootfsProviders,
        definition::Definition,
        isolation::{Isolation, Unlimited},
    },
    task::Task,
};

use super::{CellTools, Driven, Drivers, capacity};
use crate::{
    config::CellConfig,
    executor::instances::InstanceHost,
    guardian::instance_spec::{InstanceId, Resources},
    instance::{
        driver::Driver,
        environment::{Environment, Identity},
        host::{Folders, HostCell, HostDriver, Instance, output_name, task_output_name},
        monitor::check_permits,
        network::Networks,
        ports::{HostPorts, PortLease, PortMapping},
    },
};

/// Output of an index to which nobody has written for so long is removed when the node starts.
const OUTPUT_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Makes processes of this machine.
struct HostDrivers {
    cell: Arc<HostCell>,
    ports: HostPorts,
    address: IpAddr,
    networks: Networks,
}

/// Makes a cell of this machine, and removes what instances of earlier lives left in `data`, of which nothing runs any more. `data` is the
/// node's data directory, absolute, and `unlimited` what its guardian does not limit. Blocks.
///
/// # Errors
/// What is left cannot be removed, or the machine does not tell what it has.
pub fn tools(
    config: &CellConfig,
    data: &Path,
    host: InstanceHost,
    unlimited: Vec<Unlimited>,
) -> io::Result<CellTools> {
    let folders = Folders::of(data);
    folders.clear_leftovers(OUTPUT_AGE_MAX)?;
    let capacity = capacity::detect(config, data)?;
    let address = resolve(&config.address)?;
    // They may listen on any of its addresses.
    let listened_on: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let networks = if config.netns { Networks::own(address) } else { Networks::Machine };
    let drivers = HostDrivers {
        cell: Arc::new(HostCell::new(host, folders, config.allow_root, networks)),
        ports: HostPorts::new(listened_on, config.ports.clone()),
        address,
        networks,
    };
    let preloaded = config.rootfs.iter().map(|name| name.as_str().into()).collect();
    Ok(CellTools {
        zone: config.zone.as_str().into(),
        capacity,
        rootfs: RootfsProviders { preloaded, schemes: vec![] },
        isolation: Isolation { own_network: config.netns, unlimited },
        drivers: Arc::new(drivers),
        checks: check_permits(),
    })
}

impl Drivers for HostDrivers {
    fn instance(
        &self,
        key: &ActualKey,
        instance: InstanceKey,
        definition: &Definition,
    ) -> Result<Driven, String> {
        let id = InstanceId(instance.instance_guid);
        let ports = self.ports.lease(&definition.ports).map_err(|error| error.to_string())?;
        let net = self.net(ports.ports());
        let made = Made {
            output: output_name(key.guid.as_str(), key.index),
            identity: Some(Identity { guid: id.to_string(), index: key.index }),
            env: definition.env.clone(),
            resources: resources(definition.memory_mb, definition.cpu_weight),
            ports,
        };
        Ok(Driven { driver: self.driver(id, made), net: Arc::new(net) })
    }

    fn task(&self, task: &Task, id: u128) -> Result<Arc<dyn Driver>, String> {
        let definition = &task.definition;
        let made = Made {
            output: task_output_name(task.guid.as_str()),
            identity: None,
            env: definition.env.clone(),
            resources: resources(definition.memory_mb, definition.cpu_weight),
            ports: self.ports.lease(&[]).map_err(|error| error.to_string())?,
        };
        Ok(self.driver(InstanceId(id), made))
    }
}

/// The address behind a name, and an address itself.
fn resolve(host: &str) -> io::Result<IpAddr> {
    let wrapped =
        |error: io::Error| io::Error::new(error.kind(), format!("cell.address = {host:?}: {error}"));
    let mut found = (host, 0).to_socket_addrs().map_err(wrapped)?;
    let unknown = || wrapped(io::ErrorKind::NotFound.into());
    found.next().map(|address| address.ip()).ok_or_else(unknown)
}

/// What differs between what is driven.
struct Made {
    output: PathBuf,
    identity: Option<Identity>,
    env: Vec<EnvVar>,
    resources: Resources,
    ports: PortLease,
}

impl HostDrivers {
    fn driver(&self, id: InstanceId, made: Made) -> Arc<dyn Driver> {
        let Made { output, identity, env, resources, ports } = made;
        let environment = Environment {
            identity,
            env,
            address: self.address,
            ports: ports.ports().to_vec(),
            own_network: self.networks != Networks::Machine,
        };
        let instance = Instance { id, output, environment, resources, ports };
        Arc::new(HostDriver::new(Arc::clone(&self.cell), instance))
    }

    fn net(&self, ports: &[PortMapping]) -> NetInfo {
        let shown =
            |port: &PortMapping| actual::PortMapping { container_port: port.container, host_port: port.host };
        NetInfo { address: self.address.to_string().into(), ports: ports.iter().map(shown).collect() }
    }
}

fn resources(memory_mb: u32, cpu_weight: u32) -> Resources {
    Resources { memory_bytes: u64::from(memory_mb) * 1024 * 1024, cpu_weight }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_or_has_a_name() {
        assert_eq!(resolve("10.0.0.7").unwrap(), Ipv4Addr::new(10, 0, 0, 7));
        assert_eq!(resolve("::1").unwrap(), Ipv6Addr::LOCALHOST);
        assert!(resolve("localhost").unwrap().is_loopback());
        let told = resolve("no such host").unwrap_err().to_string();
        assert!(told.starts_with("cell.address = \"no such host\": "), "{told}");
    }
}
