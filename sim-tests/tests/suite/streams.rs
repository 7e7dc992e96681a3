//! Streams of events over the simulated network: what they carry, and what breaks them.

use std::{cell::RefCell, rc::Rc, time::Duration};

use bytes::Bytes;
use capstan_sim_tests::{
    history::Outcome,
    net::{CLIENTS, Item, Opened, Pieces, Place, Rule},
    plan::Plan,
    run::run_with,
    workload::Workload,
    world::World,
};
use http::{Request, StatusCode};

use crate::scenarios::{assert_well, leader, put, quiet};

const PATIENCE: Duration = Duration::from_secs(6);

/// Begins a stream at a node, as soon as that is in touch with a leader.
async fn open(world: &World, node: Place, behind: Option<&str>) -> Pieces {
    loop {
        let mut request = Request::get("/cluster/v1/events?kind=variable,node");
        if let Some(id) = behind {
            request = request.header("Last-Event-ID", id);
        }
        let request = request.body(Bytes::new()).expect("its parts are legal");
        match world.machines.net.open(node, request, PATIENCE).await {
            Ok(Opened::GoesOn(head, pieces)) if head.status() == StatusCode::OK => return pieces,
            Ok(Opened::Whole(answer)) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => panic!("no stream began: {other:?}"),
        }
    }
}

/// Reads until the text holds a word, and returns it.
async fn read_until(pieces: &mut Pieces, word: &str) -> String {
    let mut text = String::new();
    while !text.contains(word) {
        match pieces.next().await {
            Item::Piece(piece) => text.push_str(std::str::from_utf8(&piece).expect("streams are text")),
            other => panic!("{other:?} after {text:?}, without {word}"),
        }
    }
    text
}

/// Reads until the stream is broken off.
async fn read_to_the_break(pieces: &mut Pieces) {
    loop {
        match pieces.next().await {
            Item::Piece(_) => {}
            Item::Broken => return,
            Item::End => panic!("no stream of events has an end"),
        }
    }
}

/// Writes a variable until it is written, each time a value that nobody ever wrote.
async fn write(workload: &Workload, node: Place, key: &str) {
    let mut client = workload.client(1, 7).never_with_key();
    let new = || put(format!("value-{}", workload.history().len()));
    while !matches!(client.call(node, key, new()).await, Outcome::Put { .. }) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn apart(node: Place) -> Vec<Rule> {
    vec![Rule::Cut(node, CLIENTS), Rule::Cut(CLIENTS, node)]
}

/// Runs a story in a world in which nothing else happens, and says that it came to its end.
fn tell<F: Future<Output = ()>>(seed: u64, story: impl FnOnce(World, Workload) -> F) {
    let has_ended = Rc::new(RefCell::new(false));
    let ended = Rc::clone(&has_ended);
    let plan = Plan { safety: Duration::from_secs(60), ..quiet(seed) };
    let report = run_with(&plan, |world, workload| async move {
        story(world, workload).await;
        ended.replace(true);
    });
    assert_well(&report);
    assert!(*has_ended.borrow());
}

#[test]
fn a_way_that_is_cut_stalls_a_stream_and_loses_nothing() {
    tell(3, |world, workload| async move {
        let (first, second) = (leader(&world).await, 1 + leader(&world).await % 3);
        let mut pieces = open(&world, first, None).await;
        write(&workload, second, "key-a").await;
        read_until(&mut pieces, "key-a").await;
        world.machines.net.begin(1, apart(first));
        write(&workload, second, "key-b").await;
        write(&workload, second, "key-c").await;
        let stalled = tokio::time::timeout(Duration::from_secs(5), pieces.next()).await;
        assert!(stalled.is_err(), "nothing comes across a cut: {stalled:?}");
        world.machines.net.end(1);
        let text = read_until(&mut pieces, "key-c").await;
        assert_eq!(text.matches("event: variable_set").count(), 2, "{text}");
    });
}

#[test]
fn a_stream_that_does_not_move_is_cut_off() {
    tell(4, |world, workload| async move {
        let (first, second) = (leader(&world).await, 1 + leader(&world).await % 3);
        let mut pieces = open(&world, first, None).await;
        world.machines.net.begin(1, apart(first));
        for _ in 0..40 {
            write(&workload, second, "key-a").await;
        }
        tokio::time::sleep(Duration::from_secs(35)).await;
        world.machines.net.end(1);
        read_to_the_break(&mut pieces).await;
    });
}

#[test]
fn a_drain_breaks_a_stream_off_and_another_node_goes_on() {
    tell(5, |world, workload| async move {
        let (first, second) = (leader(&world).await, 1 + leader(&world).await % 3);
        let mut pieces = open(&world, first, None).await;
        write(&workload, second, "key-a").await;
        let text = read_until(&mut pieces, "key-a").await;
        let id = text.rsplit("id: ").next().and_then(|rest| rest.lines().next()).expect("it has an id");
        let drain = Request::post(format!("/cluster/v1/nodes/{first}/drain")).body(Bytes::new());
        let drained = world.machines.net.http(second, drain.expect("its parts are legal"), PATIENCE).await;
        assert!(drained.is_ok_and(|answer| answer.status().is_success()));
        read_to_the_break(&mut pieces).await;
        let mut pieces = open(&world, second, Some(id)).await;
        let text = read_until(&mut pieces, "node_drained").await;
        assert!(!text.contains("key-a"), "what was seen is not told again: {text}");
    });
}
