//! Ports that nobody listens on.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below what the kernel gives to outgoing connections, so that none of those takes a port while its node restarts.
const FIRST: u16 = 29_000;
const COUNT: u16 = 900;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// An address on loopback that nobody listens on, and that this process gives out once.
pub(crate) fn free_address() -> SocketAddr {
    // Test programs that run at the same time begin at different places.
    let offset = u16::try_from(process::id() % 30).expect("below 30") * 30;
    for _ in 0..COUNT {
        let port = FIRST + (offset + TAKEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port from {FIRST} on");
}
