//! A network without a name, of Linux's namespaces.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd},
    path::{Path, PathBuf},
    process, thread,
};

use nix::sched::{CloneFlags, setns, unshare};

use super::loopback;

/// A network with nothing in it but its loopback. It lasts as long as this, or a process or a socket in it.
#[derive(Debug)]
pub struct Namespace(File);

impl Namespace {
    /// Makes a network. The caller's own stays what it is. Blocks for some milliseconds.
    ///
    /// # Errors
    /// The kernel refuses: this process is not root, or there are too many.
    pub fn make() -> io::Result<Self> {
        // In a thread that ends in its new network: there is no way back that could fail.
        let made = thread::Builder::new().name("network".to_owned()).spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            loopback::raise()?;
            File::open("/proc/thread-self/ns/net")
        })?;
        made.join().expect("making a network does not panic").map(Self)
    }

    /// Where other processes of this machine find it, as long as this value is there.
    pub fn path(&self) -> PathBuf {
        path_of(&self.0)
    }
}

/// Where other processes of this machine find an open file of this one, as long as it is open here.
pub(crate) fn path_of(file: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{}", process::id(), file.as_fd().as_raw_fd()))
}

/// Moves the calling thread into the network at `path`. Sockets that it has stay where they were made.
///
/// # Errors
/// There is none, or the kernel refuses.
pub fn enter(path: &Path) -> io::Result<()> {
    Ok(setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream},
    };

    use nix::unistd::geteuid;

    use super::*;

    fn network_of_this_thread() -> PathBuf {
        fs::read_link("/proc/thread-self/ns/net").unwrap()
    }

    #[test]
    fn a_network_is_apart_and_its_loopback_works() {
        if !geteuid().is_root() {
            return println!("NOT RUN: making a network takes root");
        }
        let outside = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let before = network_of_this_thread();
        let network = Namespace::make().unwrap();
        assert_eq!(network_of_this_thread(), before, "the caller stays where it was");
        let path = network.path();
        let inside = thread::spawn(move || {
            enter(&path).unwrap();
            let taken_outside = outside.local_addr().unwrap();
            assert!(TcpStream::connect(taken_outside).is_err(), "nobody listens there in this one");
            TcpListener::bind(taken_outside).unwrap();
            let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
            TcpStream::connect(v6.local_addr().unwrap()).unwrap();
            network_of_this_thread()
        });
        assert_ne!(inside.join().unwrap(), before);
        let path = network.path();
        drop(network);
        assert!(enter(&path).is_err(), "it went with its last holder");
    }
}
