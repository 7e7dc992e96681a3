//! A network of an instance's own.
//!
//! * [`namespace`]: the network itself. Nothing is in it but its loopback, so its processes reach each other and nobody else.
//! * [`relay`]: the process that passes connections from host ports on to the ports inside.
//!
//! A namespace has no name: it lasts as long as something holds it, which is the driver in the node, the relay, and the processes of the
//! instance. The latter end with the node and with its guardian, and so does the namespace, however they end.

mod loopback;
pub mod namespace;
pub mod relay;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which network the instances and tasks of a cell have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Networks {
    /// That of the machine: a process listens on the host ports that its instance was given.
    Machine,
    /// Each one of its own: a process listens on the ports of the definition.
    Own {
        /// Where the machine listens on the host ports for them.
        listen: IpAddr,
    },
}

impl Networks {
    /// One for each, reached at `address`, which need not be the machine's own: others may translate it. What is reached from this
    /// machine only stays so.
    pub fn own(address: IpAddr) -> Self {
        let listen = match address {
            _ if address.is_loopback() => address,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self::Own { listen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_this_machine_reaches_stays_so() {
        let cases =
            [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("10.0.0.7", "0.0.0.0"), ("2001:db8::7", "::")];
        for (address, listen) in cases {
            let own = Networks::Own { listen: listen.parse().unwrap() };
            assert_eq!(Networks::own(address.parse().unwrap()), own, "{address}");
        }
    }
}
