//! `capstan __relay`: passes connections to host ports on to the ports inside an instance's network.
//!
//! One process for each instance that has ports: it ends with the instance, like every other, and lives on while the node stands still.
//! It listens in the network of the machine, then moves into that of the instance: whatever it connects to from then on is there.
//! Whoever started it is told when it listens.

use std::{
    convert::Infallible,
    env,
    fs::OpenOptions,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use futures::future::select_all;
use nix::sys::{
    prctl,
    resource::{Resource, getrlimit, setrlimit},
    socket::{setsockopt, sockopt},
};
use tokio::{io::copy_bidirectional_with_sizes, net, sync::Semaphore, time::sleep};

use super::namespace;
use crate::instance::ports::PortMapping;

/// The first argument of this program that makes it a relay.
pub const ARGUMENT: &str = "__relay";

/// The most connections to one instance at a time; more wait until others end.
const CONNECTIONS_MAX: usize = 1_024;
/// Descriptors for everything but connections.
const OTHER_DESCRIPTORS: u64 = 64;
/// What is read from one side before it is written to the other.
const BUFFER_BYTES: usize = 16 * 1024;
/// How long nothing is accepted after that failed: mostly for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a caller may be silent before is looked whether it is still there.
const KEEP_ALIVE_SECS: u32 = 60;

/// What to relay.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Where the network of the instance is found.
    pub(crate) network: PathBuf,
    /// The address to listen on, in the network of the machine.
    pub(crate) listen: IpAddr,
    /// A pipe to which a byte is written once it listens.
    pub(crate) ready: PathBuf,
    /// From which ports to which.
    pub(crate) ports: Vec<PortMapping>,
}

impl Order {
    /// The arguments behind [`ARGUMENT`] that say this.
    pub(crate) fn to_args(&self) -> Vec<String> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let place = [path(&self.network), self.listen.to_string(), path(&self.ready)];
        let ports = self.ports.iter().map(|port| format!("{}:{}", port.host, port.container));
        place.into_iter().chain(ports).collect()
    }

    fn from_args(mut args: impl Iterator<Item = String>) -> Option<Self> {
        let (network, listen, ready) = (args.next()?.into(), args.next()?.parse().ok()?, args.next()?.into());
        let port = |arg: String| {
            let (host, container) = arg.split_once(':')?;
            Some(PortMapping { host: host.parse().ok()?, container: container.parse().ok()? })
        };
        let ports: Vec<_> = args.map(port).collect::<Option<_>>()?;
        (!ports.is_empty()).then_some(Self { network, listen, ready, ports })
    }
}

/// Runs `capstan __relay`. Returns only when nothing is relayed, and says why on standard output.
pub fn main() -> ExitCode {
    let failed = match Order::from_args(env::args().skip(2)) {
        Some(order) => match relay(&order) {
            Ok(never) => match never {},
            Err((attempt, error)) => format!("{attempt}: {error}"),
        },
        None => format!("capstan {ARGUMENT} is for capstan's own use"),
    };
    println!("{failed}");
    ExitCode::FAILURE
}

/// What was attempted, and what came of it.
type Failed = (String, io::Error);

fn relay(order: &Order) -> Result<Infallible, Failed> {
    let failed = |attempt: &'static str| move |error| (attempt.to_owned(), error);
    // Executed by way of /proc/self/exe it would be listed as "exe". Nothing depends on it.
    let _ = prctl::set_name(c"capstan-relay");
    let connections = allow_connections().map_err(failed("allowing descriptors"))?;
    let listeners = listen(order)?;
    // One thread, so that all of this process is in the instance's network from here on.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed("starting"))?;
    namespace::enter(&order.network).map_err(failed("entering the network of the instance"))?;
    tell_ready(&order.ready).map_err(failed("telling that it listens"))?;
    runtime.block_on(serve(listeners, connections)).map_err(failed("listening"))
}

/// Allows itself as many descriptors as it may; returns how many connections that is.
fn allow_connections() -> io::Result<usize> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let pairs = usize::try_from(most.saturating_sub(OTHER_DESCRIPTORS) / 2).unwrap_or(usize::MAX);
    Ok(pairs.clamp(1, CONNECTIONS_MAX))
}

/// Listens on all host ports; returns each with the port inside.
fn listen(order: &Order) -> Result<Vec<(TcpListener, u16)>, Failed> {
    let one = |port: &PortMapping| {
        let address = SocketAddr::new(order.listen, port.host);
        let listening = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok((listener, port.container))
        });
        listening.map_err(|error| (format!("listening on {address}"), error))
    };
    order.ports.iter().map(one).collect()
}

fn tell_ready(pipe: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(pipe)?.write_all(b"!")
}

/// Passes on whoever comes to one of at least one listener.
async fn serve(listeners: Vec<(TcpListener, u16)>, connections: usize) -> io::Result<Infallible> {
    let permits = Arc::new(Semaphore::new(connections));
    let accepting = listeners.into_iter().map(|(listener, container)| {
        let listener = net::TcpListener::from_std(listener)?;
        Ok(Box::pin(accept_all(listener, container, Arc::clone(&permits))))
    });
    let (never, ..) = select_all(accepting.collect::<io::Result<Vec<_>>>()?).await;
    Ok(never)
}

/// Passes on whoever comes. A caller beyond the bound waits until another has gone, and those behind it in the kernel's queue.
async fn accept_all(listener: net::TcpListener, container: u16, permits: Arc<Semaphore>) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((outside, _)) => {
                let permit =
                    Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
                tokio::spawn(async move {
                    pass(outside, container).await;
                    drop(permit);
                });
            }
            // The listener is as good as before: it was the caller, or a want that passes.
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Passes bytes both ways until both sides have ended their own; the end of one is passed on while the other goes on.
async fn pass(mut outside: net::TcpStream, container: u16) {
    watch(&outside);
    let Ok(mut inside) = net::TcpStream::connect((Ipv4Addr::LOCALHOST, container)).await else {
        // Told as what it is: nobody listens.
        return reset(&outside);
    };
    let _ = inside.set_nodelay(true);
    if copy_bidirectional_with_sizes(&mut outside, &mut inside, BUFFER_BYTES, BUFFER_BYTES).await.is_err() {
        // One of them was cut off, which the other must not take for an end.
        reset(&outside);
        reset(&inside);
    }
}

/// A caller that has vanished must not hold its place for ever. Options that cannot be set are not worth the connection.
fn watch(outside: &net::TcpStream) {
    let _ = outside.set_nodelay(true);
    let _ = setsockopt(outside, sockopt::TcpKeepIdle, &KEEP_ALIVE_SECS);
    let _ = setsockopt(outside, sockopt::KeepAlive, &true);
}

/// Has a connection end with a reset when it is dropped.
fn reset(stream: &net::TcpStream) {
    // If it cannot be, it ends as one without more to say.
    let _ = stream.set_zero_linger();
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    #[test]
    fn orders_survive_as_arguments() {
        let order = Order {
            network: "/proc/7/fd/9".into(),
            listen: Ipv4Addr::UNSPECIFIED.into(),
            ready: "/proc/7/fd/10".into(),
            ports: vec![PortMapping { container: 8080, host: 61_001 }],
        };
        assert_eq!(Order::from_args(order.to_args().into_iter()), Some(order));
        for line in ["", "/n", "/n somewhere /r 1:2", "/n ::1 /r", "/n ::1 /r 1", "/n ::1 /r 1:x"] {
            let args = line.split_ascii_whitespace().map(str::to_owned);
            assert_eq!(Order::from_args(args), None, "{line}");
        }
    }

    /// A relay without a network of its own, for so many connections; returns its address, and where the other ends arrive.
    async fn relayed(connections: usize) -> (SocketAddr, net::TcpListener) {
        let inside = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let outside = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, container) = (outside.local_addr().unwrap(), inside.local_addr().unwrap().port());
        tokio::spawn(accept_all(outside, container, Arc::new(Semaphore::new(connections))));
        (address, inside)
    }

    #[tokio::test]
    async fn the_end_of_one_side_leaves_the_other_open() {
        let (address, inside) = relayed(1).await;
        let mut caller = TcpStream::connect(address).await.unwrap();
        let (mut server, _) = inside.accept().await.unwrap();
        caller.write_all(b"ask").await.unwrap();
        caller.shutdown().await.unwrap();
        let mut asked = String::new();
        server.read_to_string(&mut asked).await.unwrap();
        assert_eq!(asked, "ask");
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    }

    #[tokio::test]
    async fn whoever_is_cut_off_cuts_off_the_other() {
        let (address, inside) = relayed(1).await;
        let mut caller = TcpStream::connect(address).await.unwrap();
        let (server, _) = inside.accept().await.unwrap();
        server.set_zero_linger().unwrap();
        drop(server);
        let error = caller.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

        drop(inside);
        let mut caller = TcpStream::connect(address).await.unwrap();
        let error = caller.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "nobody listens inside");
    }

    #[tokio::test]
    async fn a_caller_beyond_the_bound_waits_for_its_turn() {
        let (address, inside) = relayed(1).await;
        let first = TcpStream::connect(address).await.unwrap();
        let (server, _) = inside.accept().await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(b"second").await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(100), inside.accept()).await;
        assert!(early.is_err(), "two at a time");
        drop((first, server));
        let (mut server, _) = inside.accept().await.unwrap();
        let mut said = [0; 6];
        server.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"second");
    }
}
