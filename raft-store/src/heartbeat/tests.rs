use super::*;

/// A clock that a test sets: wall in seconds, monotonic.
struct SetClock(Mutex<(u64, Duration)>);

impl Clock for SetClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.0.lock().unwrap().0 * 1_000_000_000)
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// One of three voters, whose wall clock shows 9,000 s.
fn heartbeats() -> (Arc<SetClock>, Heartbeats) {
    let clock = Arc::new(SetClock(Mutex::new((9_000, 100 * SECOND))));
    let voters = [1, 2, 3].map(NodeId).to_vec();
    let heartbeats = Heartbeats::new(Arc::clone(&clock) as Arc<dyn Clock>, Timing::default(), voters);
    heartbeats.start_term(4);
    (clock, heartbeats)
}

fn secs(secs: u64) -> Timestamp {
    Timestamp(secs * 1_000_000_000)
}

fn report(node: u64, wall_secs: u64) -> Heartbeat {
    Heartbeat {
        incarnation: Incarnation { node: NodeId(node), boot: 2, nonce: 7 },
        disk: DiskId(u128::from(node)),
        facts: NodeFacts {
            peer_address: "127.0.0.1:1".into(),
            http_address: "127.0.0.1:2".into(),
            slots: 4,
            job_types: vec![],
        },
        wall: secs(wall_secs),
        checksum: None,
        applied: 0,
        disk_nearly_full: false,
        specs: None,
    }
}

fn median_told(reply: HeartbeatReply) -> Option<Timestamp> {
    let HeartbeatReply::Acknowledged { median, .. } = reply else { panic!("not acknowledged: {reply:?}") };
    median
}

#[test]
fn nobody_is_measured_by_one_clock_alone() {
    let (_clock, heartbeats) = heartbeats();
    assert_eq!(median_told(heartbeats.hear(report(2, 5_000))), None, "one of three");
    assert_eq!(median_told(heartbeats.hear(report(7, 5_000))), None, "no voter");
    assert_eq!(median_told(heartbeats.hear(report(3, 5_001))), Some(secs(5_000)), "two of three");
    assert_eq!(median_told(heartbeats.hear(report(1, 9_000))), Some(secs(5_001)), "all, one of them wrong");
}

#[test]
fn a_report_ages_and_after_a_while_counts_no_more() {
    let (clock, heartbeats) = heartbeats();
    heartbeats.hear(report(1, 5_000));
    heartbeats.hear(report(2, 5_000));
    clock.0.lock().unwrap().1 += 3 * SECOND;
    assert_eq!(heartbeats.median_wall(), Some(secs(5_003)));
    heartbeats.hear(report(2, 5_003));
    clock.0.lock().unwrap().1 += 6 * SECOND;
    assert_eq!(heartbeats.median_wall(), None, "node 1 was last heard nine seconds ago");
    let silences: Vec<_> = heartbeats.seen().iter().map(|seen| seen.silence).collect();
    assert_eq!(silences, [9 * SECOND, 6 * SECOND]);
}

#[test]
fn a_new_term_starts_with_an_empty_table() {
    let (_clock, heartbeats) = heartbeats();
    heartbeats.hear(report(1, 5_000));
    heartbeats.hear(report(2, 5_000));
    heartbeats.start_term(4);
    assert_eq!(heartbeats.seen().len(), 2, "it is the same term");
    heartbeats.start_term(6);
    assert_eq!((heartbeats.seen(), heartbeats.median_wall()), (vec![], None));
}

#[test]
fn an_older_life_is_refused_and_does_not_count_as_a_sign_of_life() {
    let (clock, heartbeats) = heartbeats();
    heartbeats.hear(report(2, 5_000));
    clock.0.lock().unwrap().1 += SECOND;
    let older =
        Heartbeat { incarnation: Incarnation { boot: 1, ..report(2, 0).incarnation }, ..report(2, 5_001) };
    assert!(matches!(heartbeats.hear(older), HeartbeatReply::Refused { .. }));
    assert_eq!(heartbeats.seen()[0].silence, SECOND);
    let newer =
        Heartbeat { incarnation: Incarnation { boot: 3, ..report(2, 0).incarnation }, ..report(2, 5_001) };
    median_told(heartbeats.hear(newer.clone()));
    assert_eq!(heartbeats.seen()[0].incarnation, newer.incarnation);
}

#[test]
fn the_checksum_of_a_majority_is_told_and_no_other() {
    let (_clock, heartbeats) = heartbeats();
    let hear = |node, checksum| {
        let reply = heartbeats.hear(Heartbeat { checksum, ..report(node, 5_000) });
        let HeartbeatReply::Acknowledged { checksum, .. } = reply else { panic!("{reply:?}") };
        checksum
    };
    assert_eq!(hear(1, Some((1_024, 5))), None, "one of three is no majority");
    assert_eq!(hear(2, Some((2_048, 5))), None, "another index says nothing");
    assert_eq!(hear(2, Some((1_024, 6))), None, "they differ");
    assert_eq!(hear(3, Some((1_024, 6))), Some((1_024, 6)));
    assert_eq!(hear(1, Some((1_024, 5))), Some((1_024, 6)), "the one that differs is told");
    assert_eq!(hear(1, None), None);
}

#[test]
fn a_divergence_stays_said() {
    let (_clock, heartbeats) = heartbeats();
    let acknowledged = |mine, theirs| {
        heartbeats.acknowledged(SECOND, mine, None, theirs);
        heartbeats.verdict().diverged
    };
    assert!(!acknowledged(Some((1_024, 5)), None));
    assert!(!acknowledged(Some((2_048, 5)), Some((1_024, 6))), "not of the same index");
    assert!(!acknowledged(Some((1_024, 6)), Some((1_024, 6))));
    assert!(acknowledged(Some((1_024, 5)), Some((1_024, 6))));
    assert!(acknowledged(Some((2_048, 7)), Some((2_048, 7))));
}

#[test]
fn the_lease_counts_from_the_sending_and_skew_is_kept_until_told_anew() {
    let (_clock, heartbeats) = heartbeats();
    let lease = heartbeats.lease();
    assert_eq!((*lease.borrow(), heartbeats.clock_sane()), (None, true));
    heartbeats.acknowledged(98 * SECOND, None, Some(secs(8_990)), None);
    assert_eq!(*lease.borrow(), Some(98 * SECOND + Timing::default().lease));
    assert_eq!((heartbeats.verdict().skew_ms, heartbeats.clock_sane()), (Some(10_000), false));
    heartbeats.acknowledged(99 * SECOND, None, None, None);
    assert!(!heartbeats.clock_sane(), "a leader that knows no median says nothing of this clock");
    heartbeats.acknowledged(100 * SECOND, None, Some(secs(8_999)), None);
    assert!(heartbeats.clock_sane());
}

#[test]
fn a_life_that_is_given_up_is_not_heard_again_in_this_term() {
    let (clock, heartbeats) = heartbeats();
    let life = report(2, 5_000).incarnation;
    heartbeats.hear(report(2, 5_000));
    clock.0.lock().unwrap().1 += 8 * SECOND;
    assert!(!heartbeats.give_up(4, life, 8 * SECOND), "not silent for long enough");
    clock.0.lock().unwrap().1 += SECOND;
    assert!(!heartbeats.give_up(3, life, 8 * SECOND), "judged in another term");
    median_told(heartbeats.hear(report(2, 5_009)));
    assert!(!heartbeats.give_up(4, life, 8 * SECOND), "heard just now");

    clock.0.lock().unwrap().1 += 9 * SECOND;
    assert!(heartbeats.give_up(4, life, 8 * SECOND));
    assert!(matches!(heartbeats.hear(report(2, 5_018)), HeartbeatReply::Refused { .. }));
    assert!(heartbeats.give_up(4, life, 8 * SECOND), "what was refused is no sign of life");
    let newer = Heartbeat { incarnation: Incarnation { boot: 3, ..life }, ..report(2, 5_018) };
    median_told(heartbeats.hear(newer));
    heartbeats.start_term(5);
    median_told(heartbeats.hear(report(2, 5_019)));
}
