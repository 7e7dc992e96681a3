//! What comes to the peer port from who is no peer.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{harness::Cluster, writers::Writers};

/// How long a connection that is of no use may stay open: a hello has two seconds.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);

/// `u32 length, u32 crc32c, payload`.
fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [&length.to_le_bytes(), &crc32c::crc32c(payload).to_le_bytes(), payload].concat()
}

/// Who a hello says it comes from.
struct Identity {
    cluster: Option<u128>,
    node: u64,
    disk: u128,
    version: u32,
}

/// A hello as a node writes it: version 1 of a peer's message, its first kind, then protocol, channel, identity, incarnation
/// and cluster version.
fn hello(protocol: u32, from: Identity) -> Vec<u8> {
    let Identity { cluster, node, disk, version } = from;
    let channel = 0_u32;
    frame(
        &postcard::to_stdvec(&(
            0_u32,
            0_u32,
            protocol,
            channel,
            cluster,
            node,
            disk,
            (node, 1_u64, 7_u64),
            version,
        ))
        .unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_peer_is_turned_away_and_harms_nobody() {
    let mut cluster = Cluster::start().await;
    let writers = Writers::start(&cluster, 8);
    let status = cluster.node(1).status().await.unwrap();
    let own = u128::from_str_radix(&status.cluster_id.unwrap(), 16).unwrap();
    let of_this = |node, disk| Identity { cluster: Some(own), node, disk, version: 1 };
    let good = || hello(1, of_this(2, 4));
    let mut bad_sum = good();
    *bad_sum.last_mut().unwrap() ^= 1;
    let half = good()[..good().len() / 2].to_vec();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("HTTP", b"GET /health HTTP/1.1\r\nHost: capstan\r\n\r\n".to_vec(), ""),
        (
            "64 KiB of noise",
            (0..65_536_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
            "",
        ),
        ("a frame of 4 GiB, announced", [[0xff; 4], [0; 4]].concat(), ""),
        (
            "a frame of 16 MiB, announced, before any hello",
            [16_777_216_u32.to_le_bytes(), [0; 4]].concat(),
            "",
        ),
        ("half a hello, then silence", half, ""),
        ("nothing at all", vec![], ""),
        ("a frame whose checksum is wrong", bad_sum, "checksum"),
        ("a whole frame of no known message", frame(&[9, 9, 9, 9]), ""),
        ("an empty frame", frame(&[]), ""),
        ("a call before the hello", frame(&[0, 2, 7, 100, 6]), "a hello comes first"),
        ("a hello with bytes behind it", frame(&[&good()[8..], &[1, 2, 3]].concat()), "too many"),
        ("a hello of protocol 99", hello(99, of_this(2, 4)), "protocol"),
        ("a hello of a stranger", hello(1, of_this(9, 4)), "not configured here"),
        ("a hello in the node's own name", hello(1, of_this(1, 4)), "same id"),
        (
            "a hello of another cluster",
            hello(1, Identity { cluster: Some(12), ..of_this(2, 4) }),
            "belongs to cluster",
        ),
        ("a hello of a voter with another disk", good(), "recorded with disk"),
        (
            "a hello of another cluster version",
            hello(1, Identity { version: 2, ..of_this(2, 4) }),
            "cluster version",
        ),
    ];
    println!("{:<50} | came back", "sent to the peer port");
    for (what, bytes, expected) in cases {
        let answer = answer_to(&cluster, &bytes).await;
        println!("{what:<50} | {}", if answer.is_empty() { "closed" } else { &answer });
        assert!(answer.contains(expected), "{what}: {answer:?} says nothing of {expected:?}");
    }
    writers.progress(200).await;
    writers.stop_and_verify().await;
    cluster.all_live_on().await;
    cluster.end().await;
}

/// Sends bytes to the peer port of node 1 and returns what it says before it closes the connection.
async fn answer_to(cluster: &Cluster, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(cluster.nodes[0].peer).await.unwrap();
    // The node may close before it has read everything.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let end = timeout(CLOSED_WITHIN, socket.read_to_end(&mut answer)).await;
    // An end with bytes unread looks like a reset to the other side.
    assert!(end.is_ok(), "the connection is still open");
    // Header, then version, kind and length of the reason.
    String::from_utf8_lossy(answer.get(11..).unwrap_or_default()).into_owned()
}
