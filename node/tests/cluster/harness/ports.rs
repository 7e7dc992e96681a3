//! Ports that nobody listens on.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::RangeInclusive,
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// Below what the kernel gives to outgoing connections, so that none of those takes a port while its node restarts.
const FIRST: u16 = 20_000;
/// How many ports a test program has for itself, so that no other takes one while its node restarts, either: those of its nodes, then
/// a range for the instances on each of them.
const SLICE: u16 = OF_NODES + 3 * OF_INSTANCES;
const SLICES: u16 = 80;
const OF_NODES: u16 = 60;
const OF_INSTANCES: u16 = 30;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// The first port of this program's slice, which is its own for as long as the file is locked.
fn slice() -> u16 {
    static OWN: OnceLock<(u16, File)> = OnceLock::new();
    let begin = u16::try_from(process::id() % u32::from(SLICES)).expect("below the number of slices");
    let (first, _) = OWN.get_or_init(|| {
        let own = (0..SLICES).find_map(|more| {
            let number = (begin + more) % SLICES;
            let file =
                File::create(std::env::temp_dir().join(format!("capstan-test-ports-{number}"))).unwrap();
            file.try_lock().is_ok().then_some((FIRST + number * SLICE, file))
        });
        own.expect("fewer test programs run than there are slices")
    });
    *first
}

/// An address on loopback that nobody listens on, and that this process gives out once.
pub(crate) fn free_address() -> SocketAddr {
    for _ in 0..OF_NODES {
        let port = slice() + TAKEN.fetch_add(1, Ordering::Relaxed) % OF_NODES;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port from {} on", slice());
}

/// The ports for the instances on a node, 1 to 3. A port that was found free is bound by its instance a little later: a range that
/// two programs share would now and then give one port to both.
pub(crate) fn of_instances(node: u64) -> RangeInclusive<u16> {
    let before = u16::try_from(node - 1).expect("a cluster has three nodes") * OF_INSTANCES;
    let first = slice() + OF_NODES + before;
    first..=first + OF_INSTANCES - 1
}
