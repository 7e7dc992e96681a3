//! Ports that nobody listens on.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// Below what the kernel gives to outgoing connections, so that none of those takes a port while its node restarts.
const FIRST: u16 = 20_000;
/// How many ports a test program has for itself, so that no other takes one while its node restarts, either.
const SLICE: u16 = 60;
const SLICES: u16 = 200;

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
    for _ in 0..SLICE {
        let port = slice() + TAKEN.fetch_add(1, Ordering::Relaxed) % SLICE;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port from {} on", slice());
}
