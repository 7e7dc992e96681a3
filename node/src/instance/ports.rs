//! The host ports of a cell's instances.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard},
};

/// Hands out ports of a range, each to one instance at a time.
#[derive(Debug, Clone)]
pub struct HostPorts(Arc<Mutex<Pool>>);

#[derive(Debug)]
struct Pool {
    address: IpAddr,
    is_free: fn(SocketAddr) -> bool,
    range: RangeInclusive<u16>,
    taken: BTreeSet<u16>,
    /// Where to look next: a port just given back is given out last, when nobody still connects to it.
    next: u16,
}

/// Ports of one instance, given back when dropped.
#[derive(Debug)]
pub struct PortLease {
    pool: HostPorts,
    ports: Vec<PortMapping>,
}

/// A port as the instance names it, and as others reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortMapping {
    /// In the definition of the LRP.
    pub container: u16,
    /// On the host.
    pub host: u16,
}

/// Not as many ports are free as are wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} host ports wanted; of {first} to {last} only {free} are free")]
pub struct NoPorts {
    /// How many were asked for.
    pub wanted: usize,
    /// How many there are.
    pub free: usize,
    /// The first of the range.
    pub first: u16,
    /// The last of the range.
    pub last: u16,
}

impl HostPorts {
    /// Hands out the ports of `range` that are free on `address`, the one instances listen on; the unspecified one is all of them.
    pub fn new(address: IpAddr, range: RangeInclusive<u16>) -> Self {
        Self::where_free(address, range, is_free)
    }

    /// The same on a machine that is asked in another way whether anybody listens somewhere.
    pub fn where_free(address: IpAddr, range: RangeInclusive<u16>, is_free: fn(SocketAddr) -> bool) -> Self {
        let next = *range.start();
        Self(Arc::new(Mutex::new(Pool { address, is_free, range, taken: BTreeSet::new(), next })))
    }

    /// A host port for each container port, in their order. Each was free just now; that nobody else takes it before
    /// the instance does is up to the operator, who keeps the range out of the system's own.
    ///
    /// # Errors
    /// Too few are free; none is taken then.
    pub fn lease(&self, containers: &[u16]) -> Result<PortLease, NoPorts> {
        let mut pool = self.pool();
        let mut hosts = Vec::with_capacity(containers.len());
        // Every port of the range once, however many have to be passed over.
        for _ in 0..pool.range.len() {
            if hosts.len() == containers.len() {
                break;
            }
            hosts.extend(pool.look_at_next());
        }
        if hosts.len() < containers.len() {
            let (first, last) = (*pool.range.start(), *pool.range.end());
            return Err(NoPorts { wanted: containers.len(), free: hosts.len(), first, last });
        }
        pool.taken.extend(&hosts);
        let pairs = containers.iter().zip(hosts);
        let ports = pairs.map(|(container, host)| PortMapping { container: *container, host }).collect();
        Ok(PortLease { pool: self.clone(), ports })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.0.lock().expect("no holder panics")
    }
}

impl Pool {
    /// The next port of the range, if it is free.
    fn look_at_next(&mut self) -> Option<u16> {
        let port = self.next;
        self.next = if port == *self.range.end() { *self.range.start() } else { port + 1 };
        let is_free = !self.taken.contains(&port) && (self.is_free)(SocketAddr::new(self.address, port));
        is_free.then_some(port)
    }
}

/// Whether somebody could listen there. Whatever else is wrong with it, it is of no use to an instance.
fn is_free(address: SocketAddr) -> bool {
    let listening: io::Result<_> = TcpListener::bind(address);
    listening.is_ok()
}

impl PortLease {
    /// In the order of the container ports.
    pub fn ports(&self) -> &[PortMapping] {
        &self.ports
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        let mut pool = self.pool.pool();
        for mapping in &self.ports {
            pool.taken.remove(&mapping.host);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77));

    fn hosts(lease: &PortLease) -> Vec<u16> {
        lease.ports().iter().map(|mapping| mapping.host).collect()
    }

    #[test]
    fn a_port_is_given_to_one_instance_at_a_time() {
        let ports = HostPorts::new(ADDRESS, 20_100..=20_103);
        let first = ports.lease(&[8080, 22]).unwrap();
        assert_eq!(first.ports()[0], PortMapping { container: 8080, host: 20_100 });
        assert_eq!(hosts(&first), [20_100, 20_101]);
        let second = ports.lease(&[8080]).unwrap();
        assert_eq!(hosts(&second), [20_102]);
        drop(first);
        assert_eq!(hosts(&ports.lease(&[1]).unwrap()), [20_103], "what was given back comes last");
        let refused = ports.lease(&[1, 2, 3, 4]).unwrap_err();
        assert_eq!(refused.to_string(), "4 host ports wanted; of 20100 to 20103 only 3 are free");
        assert_eq!(ports.lease(&[1, 2, 3]).unwrap().ports().len(), 3);
        assert_eq!(hosts(&ports.lease(&[]).unwrap()), [0; 0]);
        drop(second);
    }

    #[test]
    fn a_port_somebody_listens_on_is_passed_over() {
        let holder = TcpListener::bind((ADDRESS, 0)).unwrap();
        let held = holder.local_addr().unwrap().port();
        let ports = HostPorts::new(ADDRESS, held..=held);
        assert_eq!(ports.lease(&[1]).unwrap_err().free, 0);
        drop(holder);
        assert_eq!(hosts(&ports.lease(&[1]).unwrap()), [held]);
    }
}
