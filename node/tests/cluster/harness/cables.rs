//! Cables between the nodes that can be cut: then what is sent into them stays there, and nobody is told.

use std::{collections::BTreeMap, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};

use super::ports::free_address;

/// One cable each way between any two nodes.
#[derive(Debug, Default)]
pub(crate) struct Cables(BTreeMap<(u64, u64), Cable>);

/// What the calls of one node to another go through.
#[derive(Debug)]
struct Cable {
    /// Where the node dials.
    address: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Cables {
    /// Lays cables from each node to each other. Called within a runtime, whose end cuts them all.
    pub(crate) async fn lay(peers: &BTreeMap<u64, SocketAddr>) -> Self {
        let mut cables = BTreeMap::new();
        for from in peers.keys() {
            for (to, there) in peers.iter().filter(|(to, _)| *to != from) {
                let address = free_address();
                let listener = TcpListener::bind(address).await.unwrap();
                let (whole, state) = watch::channel(true);
                tokio::spawn(accept(listener, *there, state));
                cables.insert((*from, *to), Cable { address, whole });
            }
        }
        Self(cables)
    }

    /// Where `from` dials its peers.
    pub(crate) fn of(&self, from: u64) -> BTreeMap<u64, SocketAddr> {
        let own = self.0.range((from, 0)..=(from, u64::MAX));
        own.map(|((_, to), cable)| (*to, cable.address)).collect()
    }

    /// Cuts a node off from all others, or mends its cables.
    pub(crate) fn set_whole(&self, node: u64, whole: bool) {
        for ((from, to), cable) in &self.0 {
            if *from == node || *to == node {
                cable.whole.send_replace(whole);
            }
        }
    }
}

async fn accept(listener: TcpListener, there: SocketAddr, whole: watch::Receiver<bool>) {
    while let Ok((near, _)) = listener.accept().await {
        let whole = whole.clone();
        tokio::spawn(async move {
            let Ok(far) = TcpStream::connect(there).await else { return };
            let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
            tokio::join!(carry(near_read, far_write, whole.clone()), carry(far_read, near_write, whole));
        });
    }
}

/// Carries bytes one way; while the cable is cut they wait.
async fn carry(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, mut whole: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if whole.wait_for(|whole| *whole).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
