//! The post office: everything that is on its way, and when it arrives.

use std::collections::BTreeMap;

use capstan_raft_store::peer::Channel;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::time::{Duration, Instant};

use super::{
    Arrived, Parcel,
    latency::Latency,
    rules::{Leg, Place, Rule, Rules, Way},
};

/// What a clogged way takes before senders are held up themselves, in bytes: a socket's buffers at its two ends.
const CLOG_BYTES_MAX: usize = 1 << 20;
/// How long what waits for a narrow way may take to get through; what comes beyond that finds its sender's queue full.
const BACKLOG_MAX: Duration = Duration::from_secs(10);

/// How long a peer does not notice that a connection carries nothing: `node` tells the kernel to give it up then.
pub(super) const NOTICED_WITHIN: Duration = Duration::from_secs(3);

/// How long it takes until a part of a stream that was lost is sent again.
const RESENT_AFTER: Duration = Duration::from_millis(300);

/// How much later a second copy comes at the most.
const COPY_LATE_MAX: Duration = Duration::from_secs(3);

/// Everything on its way.
pub(super) struct Post {
    pub(super) rules: Rules,
    pub(super) rng: SmallRng,
    /// By arrival; without a way those that nothing brings forward.
    parcels: BTreeMap<(Instant, u64), (Option<Way>, Parcel)>,
    /// When the newest message on a way that keeps order arrives.
    in_order: BTreeMap<(Place, Place, Channel, Leg), Instant>,
    /// What waits for the end of a rule, oldest first.
    held: Vec<(Way, Parcel)>,
    /// When a narrow way is free again.
    free_at: BTreeMap<(Place, Place), Instant>,
    next: u64,
}

impl Post {
    pub(super) fn new(latency: Latency, seed: u64) -> Self {
        Self {
            rules: Rules::new(latency),
            rng: SmallRng::seed_from_u64(seed),
            parcels: BTreeMap::new(),
            in_order: BTreeMap::new(),
            held: Vec::new(),
            free_at: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) fn begin(&mut self, fault: u64, rules: Vec<Rule>) {
        if self.rules.begin(fault, rules) {
            self.release();
        }
    }

    pub(super) fn end(&mut self, fault: u64) {
        self.rules.end(fault);
        self.release();
    }

    pub(super) fn end_all(&mut self) {
        self.rules.end_all();
        self.release();
    }

    /// Sends a message on its way. Of one between peers that is lost the caller hears.
    pub(super) fn send(&mut self, way: Way, parcel: Parcel) {
        let fate = self.rules.decide(&way, &mut self.rng);
        let is_full = fate.is_held && self.held_bytes(&way) + way.bytes > CLOG_BYTES_MAX;
        if fate.copies == 0 || is_full {
            return self.lose(&parcel);
        }
        if fate.is_held {
            return self.held.push((way, parcel));
        }
        let mut at = Instant::now() + fate.takes;
        if let Some(bandwidth) = fate.bandwidth {
            let free_at = self.free_at.entry((way.from, way.to)).or_insert(at);
            *free_at = at.max(*free_at) + Duration::from_secs_f64(way.bytes as f64 / bandwidth as f64);
            at = *free_at;
        }
        for copy in 0..fate.copies.min(way.copies_max) {
            if copy > 0 && may_come_late(&parcel) {
                at += self.rng.random_range(Duration::ZERO..COPY_LATE_MAX);
            }
            self.put(&way, at, parcel.clone());
        }
    }

    /// Tells the caller after a while that a call or its answer was lost, if it is a peer and still waits then. A part of a stream is
    /// sent again.
    pub(super) fn lose(&mut self, parcel: &Parcel) {
        if let Parcel::Call(Arrived { call, .. }) | Parcel::Reply { call, .. } = parcel {
            self.send_late(NOTICED_WITHIN, Parcel::Lost { call: *call });
        }
        if let Parcel::Streamed { call, part } = parcel {
            self.send_late(RESENT_AFTER, Parcel::Again { call: *call, part: part.clone() });
        }
    }

    /// Lets something arrive after a while, whatever the rules say and whatever comes before.
    pub(super) fn send_late(&mut self, after: Duration, parcel: Parcel) {
        self.insert(Instant::now() + after, None, parcel);
    }

    /// Whether so much waits for a narrow way that its senders' queues are full.
    pub(super) fn is_backed_up(&self, from: Place, to: Place) -> bool {
        self.free_at.get(&(from, to)).is_some_and(|free_at| *free_at > Instant::now() + BACKLOG_MAX)
    }

    /// When the next message arrives.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.parcels.first_key_value().map(|((at, _), _)| *at)
    }

    /// What has arrived.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Parcel> {
        let first = self.parcels.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove().1)
    }

    /// A burst: what no rule holds any more comes now, in the order it was sent, and so does what a rule has made late.
    fn release(&mut self) {
        let now = Instant::now();
        self.free_at.clear();
        self.in_order.clear();
        let (late, fixed): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.parcels).into_iter().partition(|(_, (way, _))| way.is_some());
        self.parcels.extend(fixed);
        let late = late.into_iter().filter_map(|(_, (way, parcel))| Some((way?, parcel)));
        // What was sent before a clog is ahead of what waits for its end.
        let waiting: Vec<_> = late.chain(std::mem::take(&mut self.held)).collect();
        for (way, parcel) in waiting {
            if self.rules.is_holding(&way) {
                self.held.push((way, parcel));
            } else {
                let at = now + self.rules.latency(&mut self.rng);
                self.put(&way, at, parcel);
            }
        }
    }

    fn held_bytes(&self, way: &Way) -> usize {
        let same = |held: &&(Way, Parcel)| (held.0.from, held.0.to) == (way.from, way.to);
        self.held.iter().filter(same).map(|(way, _)| way.bytes).sum()
    }

    fn put(&mut self, way: &Way, at: Instant, parcel: Parcel) {
        let at = match way.channel {
            Some(channel @ (Channel::Raft | Channel::Snapshot)) => {
                let newest = self.in_order.entry((way.from, way.to, channel, way.leg)).or_insert(at);
                *newest = at.max(*newest);
                *newest
            }
            Some(Channel::Forward | Channel::Heartbeat) | None => at,
        };
        self.insert(at, Some(*way), parcel);
    }

    fn insert(&mut self, at: Instant, way: Option<Way>, parcel: Parcel) {
        self.next += 1;
        self.parcels.insert((at, self.next), (way, parcel));
    }

    /// A moment before `most` has passed.
    pub(super) fn moment(&mut self, most: Duration) -> Duration {
        self.rng.random_range(Duration::ZERO..=most)
    }
}

/// Whether a second copy may come long after the first: of what is sent again by those who heard nothing.
fn may_come_late(parcel: &Parcel) -> bool {
    matches!(parcel, Parcel::Call(Arrived { channel: Channel::Forward, .. }) | Parcel::ClientCall { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post() -> Post {
        Post::new(Latency::Lan, 7)
    }

    fn way(channel: Channel, bytes: usize) -> Way {
        Way { from: 1, to: 2, leg: Leg::Call, channel: Some(channel), bytes, copies_max: 1 }
    }

    fn parcel(call: u64) -> Parcel {
        Parcel::ClientBreak { call }
    }

    /// What has arrived after so long, by number.
    async fn arrived(post: &mut Post, after: Duration) -> Vec<u64> {
        tokio::time::advance(after).await;
        let due = std::iter::from_fn(|| post.take_due(Instant::now()));
        due.map(
            |parcel| {
                if let Parcel::ClientBreak { call } = parcel { call } else { unreachable!("none other") }
            },
        )
        .collect()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_the_end_of_a_clog_comes_in_order() {
        let mut post = post();
        post.begin(1, vec![Rule::Clog(1, 2)]);
        for call in 0..50 {
            post.send(way(Channel::Raft, 10), parcel(call));
        }
        assert!(arrived(&mut post, SECOND).await.is_empty());
        post.end(1);
        assert_eq!(arrived(&mut post, SECOND).await, (0..50).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_clog_takes_so_much_and_no_more() {
        let mut post = post();
        post.begin(1, vec![Rule::Clog(1, 2)]);
        for call in 0..5 {
            post.send(way(Channel::Snapshot, CLOG_BYTES_MAX / 3), parcel(call));
        }
        post.end_all();
        assert_eq!(arrived(&mut post, SECOND).await, [0, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_narrow_way_is_slow_and_backs_up() {
        let mut post = post();
        post.begin(1, vec![Rule::Bandwidth(1_000)]);
        for call in 0..12 {
            post.send(way(Channel::Raft, 1_000), parcel(call));
        }
        assert!(post.is_backed_up(1, 2) && !post.is_backed_up(2, 1));
        assert_eq!(arrived(&mut post, SECOND * 4 + SECOND / 2).await, [0, 1, 2, 3]);
        assert!(!post.is_backed_up(1, 2));
        post.end(1);
        assert_eq!(arrived(&mut post, SECOND).await, (4..12).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn channels_overtake_each_other_and_nothing_overtakes_on_one_of_them() {
        let mut post = post();
        let by = (Duration::from_millis(1), Duration::from_millis(900));
        post.begin(1, vec![Rule::Late { odds: 0.5, by }]);
        for call in 0..100 {
            let channel = if call % 2 == 0 { Channel::Raft } else { Channel::Heartbeat };
            post.send(way(channel, 10), parcel(call));
        }
        let arrived = arrived(&mut post, SECOND).await;
        let (raft, heartbeats): (Vec<u64>, Vec<u64>) = arrived.iter().partition(|call| *call % 2 == 0);
        assert!(raft.is_sorted() && !heartbeats.is_sorted() && !arrived.is_sorted());
        assert_eq!(arrived.len(), 100);
    }
}
