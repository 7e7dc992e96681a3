//! Two nodes' ends of the peer protocol on loopback, around a made-up service.

#![expect(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for production code")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use capstan_model::ids::{ClusterId, DiskId, Incarnation, NodeId};
use capstan_node::peer_net::PeerNet;
use capstan_raft_store::peer::{
    Channel, PeerError, PeerIdentity, PeerReply, PeerRequest, PeerService, SnapshotStep, Transport,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
};

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers appends with their own bytes; the first byte says how.
struct Echo {
    node: NodeId,
    enemies: Mutex<Vec<NodeId>>,
    seen: mpsc::UnboundedSender<(NodeId, PeerRequest)>,
    /// Holds back the appends that start with `h`.
    held: Arc<Notify>,
    /// Told when such an append is answered.
    released: mpsc::UnboundedSender<()>,
}

impl PeerService for Echo {
    fn identity(&self) -> PeerIdentity {
        PeerIdentity {
            cluster: Some(ClusterId(1)),
            node: self.node,
            disk: DiskId(u128::from(self.node.0)),
            incarnation: Incarnation { node: self.node, boot: 1, nonce: 0 },
            cluster_version: 1,
        }
    }

    fn admit(&self, peer: &PeerIdentity) -> Result<(), String> {
        let refused = self.enemies.lock().unwrap().contains(&peer.node);
        if refused { Err(format!("node {} is no friend", peer.node)) } else { Ok(()) }
    }

    fn handle(&self, from: NodeId, request: PeerRequest) -> BoxFuture<'static, PeerReply> {
        let (seen, held, released) = (self.seen.clone(), Arc::clone(&self.held), self.released.clone());
        async move {
            let _ = seen.send((from, request.clone()));
            match request {
                PeerRequest::Append(bytes) if bytes.starts_with(b"h") => {
                    held.notified().await;
                    let _ = released.send(());
                    PeerReply::Raft(bytes)
                }
                PeerRequest::Append(bytes) if bytes.starts_with(b"p") => panic!("as asked"),
                PeerRequest::Append(bytes) => PeerReply::Raft(bytes),
                other => PeerReply::Failed(format!("{other:?}")),
            }
        }
        .boxed()
    }
}

struct End {
    net: PeerNet,
    service: Arc<Echo>,
    seen: mpsc::UnboundedReceiver<(NodeId, PeerRequest)>,
    released: mpsc::UnboundedReceiver<()>,
    address: SocketAddr,
}

impl End {
    /// A node that listens on `listen` and dials `peer` at `peer_address`.
    async fn start(node: NodeId, listen: &str, peers: &[(NodeId, SocketAddr)]) -> Self {
        let listener = TcpListener::bind(listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let peers: BTreeMap<_, _> = peers.iter().map(|(id, address)| (*id, address.to_string())).collect();
        let ((seen, seen_here), (released, released_here)) =
            (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let service =
            Arc::new(Echo { node, enemies: Mutex::default(), seen, held: Arc::default(), released });
        let net = PeerNet::new(&peers);
        net.serve(listener, Arc::clone(&service) as Arc<dyn PeerService>);
        Self { net, service, seen: seen_here, released: released_here, address }
    }

    fn append(
        &self,
        to: NodeId,
        bytes: impl Into<Bytes>,
    ) -> BoxFuture<'static, Result<PeerReply, PeerError>> {
        self.net.call(to, Channel::Raft, PeerRequest::Append(bytes.into()), PATIENCE)
    }

    /// Waits until such an append has come.
    async fn see(&mut self, bytes: &'static [u8]) {
        while self.seen.recv().await.unwrap().1 != PeerRequest::Append(bytes.into()) {}
    }

    /// Repeats a call until it is answered.
    async fn append_until_answered(&self, to: NodeId, bytes: &'static [u8]) -> PeerReply {
        let start = Instant::now();
        loop {
            match self.append(to, bytes).await {
                Ok(reply) => return reply,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
            }
            tokio::task::yield_now().await;
        }
    }
}

/// A calls B.
async fn pair() -> (End, End) {
    let b = End::start(B, "127.0.0.1:0", &[]).await;
    let a = End::start(A, "127.0.0.1:0", &[(B, b.address)]).await;
    (a, b)
}

fn raft(bytes: &'static [u8]) -> Result<PeerReply, PeerError> {
    Ok(PeerReply::Raft(bytes.into()))
}

fn is_unreachable(answer: &Result<PeerReply, PeerError>, part: &str) -> bool {
    matches!(answer, Err(PeerError::Unreachable { reason, .. }) if reason.contains(part))
}

fn is_no_answer(answer: &Result<PeerReply, PeerError>) -> bool {
    matches!(answer, Err(PeerError::NoAnswer { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_answered_on_every_channel() {
    let (a, _b) = pair().await;
    for channel in Channel::ALL {
        let answer = a.net.call(B, channel, PeerRequest::Append("x".into()), PATIENCE).await;
        assert_eq!(answer, raft(b"x"), "{channel:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raft_calls_arrive_in_the_order_they_were_first_polled() {
    const CALLS: u32 = 5_000;
    let (a, mut b) = pair().await;
    // Every third is held back at the other end: it must not delay those behind it.
    let payload = |i: u32| [if i.is_multiple_of(3) { b"h" } else { b"x" }, &i.to_be_bytes()[..]].concat();
    let mut calls: FuturesOrdered<_> = (0..CALLS).map(|i| a.append(B, payload(i))).collect();
    let answers = tokio::spawn(async move {
        let mut answers = Vec::new();
        while let Some(answer) = calls.next().await {
            answers.push(answer);
        }
        answers
    });
    for i in 0..CALLS {
        assert_eq!(b.seen.recv().await, Some((A, PeerRequest::Append(payload(i).into()))));
        if i.is_multiple_of(3) {
            b.service.held.notify_one();
            b.released.recv().await;
        }
    }
    let expected: Vec<_> = (0..CALLS).map(|i| Ok(PeerReply::Raft(payload(i).into()))).collect();
    assert!(answers.await.unwrap() == expected, "answers belong to their calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_call_holds_up_no_other_on_its_connection() {
    let (a, b) = pair().await;
    let held = tokio::spawn(a.append(B, "held"));
    assert_eq!(a.append(B, "x").await, raft(b"x"));
    assert!(!held.is_finished());
    b.service.held.notify_one();
    assert_eq!(held.await.unwrap(), raft(b"held"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_given_up_at_its_deadline_and_the_connection_stays() {
    let (a, mut b) = pair().await;
    let request = PeerRequest::Append("held".into());
    let answer = a.net.call(B, Channel::Raft, request, Duration::from_millis(50)).await;
    assert!(is_no_answer(&answer), "{answer:?}");
    b.service.held.notify_one();
    b.released.recv().await;
    assert_eq!(a.append(B, "x").await, raft(b"x"), "a late reply is nobody's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_can_take_never_left() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let a = End::start(A, "127.0.0.1:0", &[(B, address)]).await;
    let answer = a.append(B, "x").await;
    assert!(is_unreachable(&answer, "cannot connect"), "{answer:?}");
    let answer = a.append(NodeId(9), "x").await;
    assert!(is_unreachable(&answer, "not a configured peer"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_says_nothing_is_unreachable_at_the_deadline() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let a = End::start(A, "127.0.0.1:0", &[(B, mute.local_addr().unwrap())]).await;
    let request = PeerRequest::ReadIndex;
    let answer = a.net.call(B, Channel::Forward, request, Duration::from_millis(50)).await;
    assert!(is_unreachable(&answer, "deadline"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_hello_tells_the_dialler_why() {
    let (a, mut b) = pair().await;
    b.service.enemies.lock().unwrap().push(A);
    let answer = a.append(B, "x").await;
    assert!(is_unreachable(&answer, "node 1 is no friend"), "{answer:?}");
    b.service.enemies.lock().unwrap().clear();
    assert_eq!(a.append_until_answered(B, b"y").await, PeerReply::Raft("y".into()));
    assert_eq!(b.seen.recv().await, Some((A, PeerRequest::Append("y".into()))), "x never arrived");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialler_refuses_who_answers() {
    let (a, mut b) = pair().await;
    a.service.enemies.lock().unwrap().push(B);
    let answer = a.append(B, "x").await;
    assert!(is_unreachable(&answer, "node 2 is no friend"), "{answer:?}");
    assert!(b.seen.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_than_the_dialled_one_is_refused() {
    let b = End::start(B, "127.0.0.1:0", &[]).await;
    let a = End::start(A, "127.0.0.1:0", &[(NodeId(3), b.address)]).await;
    let answer = a.append(NodeId(3), "x").await;
    assert!(is_unreachable(&answer, "node 2 answered where node 3 was dialled"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dials_itself_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let a = End::start(A, &address.to_string(), &[(B, address)]).await;
    let answer = a.append(B, "x").await;
    assert!(is_unreachable(&answer, "same id"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_handler_costs_one_answer() {
    let (a, _b) = pair().await;
    assert_eq!(a.append(B, "panic").await, Ok(PeerReply::Failed("the handler panicked".to_owned())));
    assert_eq!(a.append(B, "x").await, raft(b"x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_calls_pass_and_too_large_ones_are_refused_here() {
    let (a, _b) = pair().await;
    let large = Bytes::from(vec![7; 15 * 1024 * 1024]);
    assert!(a.append(B, large.clone()).await == Ok(PeerReply::Raft(large)));
    let answer = a.append(B, vec![0; 16 * 1024 * 1024]).await;
    assert!(is_unreachable(&answer, "the most is 16777216"), "{answer:?}");
    let chunk = SnapshotStep::Chunk { transfer: 1, file: 2, offset: 3, bytes: vec![1; 1 << 20].into() };
    let answer = a.net.call(B, Channel::Snapshot, PeerRequest::Snapshot(chunk), PATIENCE).await;
    assert!(matches!(answer, Ok(PeerReply::Failed(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_of_ours_closes_only_its_connection() {
    let (a, b) = pair().await;
    let oversized = [&u32::MAX.to_le_bytes()[..], &[0; 4]].concat();
    let truncated = [&100_u32.to_le_bytes()[..], &[0; 20]].concat();
    let wrong_sum = [&4_u32.to_le_bytes()[..], &[1; 8]].concat();
    let not_a_message = {
        let payload = [9; 4];
        [&4_u32.to_le_bytes()[..], &crc32c::crc32c(&payload).to_le_bytes(), &payload].concat()
    };
    let cases: [&[u8]; 6] =
        [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &oversized, &truncated, &wrong_sum, &not_a_message];
    for bytes in cases {
        let mut socket = TcpStream::connect(b.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // Either a farewell and the end, or a reset because bytes were left unread.
        let _ = socket.read_to_end(&mut rest).await;
        assert!(rest.len() < 200, "{bytes:?}");
        assert_eq!(a.append(B, "x").await, raft(b"x"), "after {bytes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_peers_restart_calls_pass_again() {
    let (a, mut b) = pair().await;
    assert_eq!(a.append(B, "x").await, raft(b"x"));
    let held = tokio::spawn(a.append(B, "held"));
    b.see(b"held").await;
    let address = b.address.to_string();
    b.net.close();
    let answer = held.await.unwrap();
    assert!(is_no_answer(&answer), "its bytes had left: {answer:?}");
    let refused = b.append(A, "x").await;
    assert!(refused.is_err());
    drop(b);
    // The old listener goes away in its own time.
    let b = loop {
        if TcpListener::bind(&address).await.is_ok() {
            break End::start(B, &address, &[]).await;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(a.append_until_answered(B, b"z").await, PeerReply::Raft("z".into()));
    drop(b);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_outlives_the_connection_that_started_it() {
    let (a, mut b) = pair().await;
    let held = tokio::spawn(a.append(B, "held"));
    b.seen.recv().await;
    a.net.close();
    assert!(is_no_answer(&held.await.unwrap()));
    b.service.held.notify_one();
    b.released.recv().await.expect("the handler ran to its end");
}

/// Passes bytes between A and B, damaging one that A sends.
async fn damaging_proxy(to: SocketAddr, damage_at: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut damage_at = Some(damage_at);
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(to).await.unwrap();
            let damage = damage_at.take();
            tokio::spawn(async move {
                let (mut near_read, mut near_write) = near.split();
                let (mut far_read, mut far_write) = far.split();
                let there = async {
                    let mut passed = 0;
                    let mut buffer = [0; 1024];
                    while let Ok(bytes @ 1..) = near_read.read(&mut buffer).await {
                        if let Some(at) =
                            damage.and_then(|at| at.checked_sub(passed)).filter(|at| *at < bytes)
                        {
                            buffer[at] ^= 0xff;
                        }
                        passed += bytes;
                        far_write.write_all(&buffer[..bytes]).await.unwrap();
                    }
                };
                tokio::select! { () = there => {}, _ = tokio::io::copy(&mut far_read, &mut near_write) => {} }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_damaged_on_the_way_costs_the_connection_and_nothing_else() {
    let mut b = End::start(B, "127.0.0.1:0", &[]).await;
    // Past the hello, inside the first call.
    let proxy = damaging_proxy(b.address, 200).await;
    let a = End::start(A, "127.0.0.1:0", &[(B, proxy)]).await;
    let answer = a.append(B, vec![b'x'; 500]).await;
    assert!(is_no_answer(&answer), "{answer:?}");
    assert!(b.seen.try_recv().is_err(), "a damaged call is not served");
    assert_eq!(a.append_until_answered(B, b"y").await, PeerReply::Raft("y".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_share_one_connection() {
    const CALLERS: usize = 64;
    const CALLS: usize = 500;
    let (a, _b) = pair().await;
    assert_eq!(a.append(B, "x").await, raft(b"x"));
    let start = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let net = a.net.clone();
            tokio::spawn(async move {
                for i in 0..CALLS {
                    let payload =
                        Bytes::from([b"x", &(caller * CALLS + i).to_be_bytes()[..], &[0; 256]].concat());
                    let request = PeerRequest::Append(payload.clone());
                    let answer = net.call(B, Channel::Forward, request, PATIENCE).await;
                    assert_eq!(answer, Ok(PeerReply::Raft(payload)));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let rate = (CALLERS * CALLS) as f64 / start.elapsed().as_secs_f64();
    eprintln!("{rate:.0} calls a second from {CALLERS} callers");
}
