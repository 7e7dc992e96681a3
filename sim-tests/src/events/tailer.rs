//! One client that follows events through any node.

use std::time::Duration;

use bytes::Bytes;
use capstan_client::{INDEX_HEADER, cluster::EVENT_KINDS};
use capstan_model::{history::EventId, sometimes};
use http::{Request, Response, StatusCode};
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use tokio::time::{Instant, timeout_at};

use super::{
    Beginning, EventLog, Seen, Step, TailLoad, TailPlace, Tailers,
    frames::{Frame, Frames},
};
use crate::net::{Item, Opened, Pieces, Place};

/// How long the beginning of a stream is waited for: longer than a node waits for the event behind which it is to go on.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long a stream that says nothing is believed in: two heartbeats may be late.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(25);
/// How long a slow tailer pauses at the most.
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// How many events a stream is behind its node that is far behind: more than are read at once.
const FAR: usize = 64;

/// One tailer.
pub(crate) struct Tailer {
    tailers: Tailers,
    number: usize,
    rng: SmallRng,
    think_max: Duration,
    stay_max: Duration,
    is_slow: bool,
    path: String,
    kinds: Vec<&'static str>,
    /// The event that it was told of last.
    last: Option<EventId>,
    /// Every event that it was ever told of, as often as it was.
    remembered: Vec<EventId>,
    /// At which node it was told of the last one.
    node: Option<Place>,
}

impl Tailer {
    pub(super) fn new(tailers: &Tailers, number: u64, load: &TailLoad, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let is_slow = rng.random_bool(load.slow_odds);
        let (path, kinds) = match rng.random_range(0..8) {
            0 => ("/v1/events".to_owned(), vec!["lrp"]),
            1..5 => ("/cluster/v1/events".to_owned(), Vec::new()),
            _ => {
                let count = rng.random_range(1..=2);
                let kinds: Vec<&str> = EVENT_KINDS.sample(&mut rng, count).copied().collect();
                (format!("/cluster/v1/events?kind={}", kinds.join(",")), kinds)
            }
        };
        let place = TailPlace { tailer: number, kinds: kinds.clone(), told: 0, follows: false };
        tailers.places.borrow_mut().push(place);
        Self {
            tailers: tailers.clone(),
            number: tailers.places.borrow().len() - 1,
            rng,
            think_max: load.think_max,
            stay_max: load.stay_max,
            is_slow,
            path,
            kinds,
            last: None,
            remembered: Vec::new(),
            node: None,
        }
    }

    /// Follows for as long as the run lasts.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::time::sleep(self.rng.random_range(Duration::ZERO..=self.think_max)).await;
            let node = *self.tailers.nodes.borrow().choose(&mut self.rng).expect("some node serves");
            self.open(node).await;
        }
    }

    /// Opens a stream at a node, and follows it.
    async fn open(&mut self, node: Place) {
        let behind = self.choose();
        let mut request = Request::get(&self.path);
        if let Some(id) = behind {
            request = request.header("Last-Event-ID", id.to_string());
        }
        let request = request.body(Bytes::new()).expect("its parts are legal");
        let acknowledged = self.tailers.oracle.with_event_log(EventLog::acknowledged);
        match self.tailers.net.open(node, request, PATIENCE).await {
            Ok(Opened::GoesOn(head, pieces)) if head.status() == StatusCode::OK => {
                let Some(index) = self.index_of(&head) else { return };
                self.begin(node, Beginning { behind, index, acknowledged });
                self.follow(node, pieces).await;
            }
            Ok(Opened::GoesOn(head, _)) => self.odd(&format!("a stream with {}", head.status())),
            Ok(Opened::Whole(answer)) => self.refused(node, behind, &answer),
            Err(_) => {}
        }
    }

    /// The event behind which it goes on: mostly the last, now and then one from before, or none.
    fn choose(&mut self) -> Option<EventId> {
        if self.tailers.stay.get() {
            return self.last;
        }
        match self.rng.random_range(0..12) {
            0 | 1 => self.remembered.choose(&mut self.rng).copied(),
            2..5 => {
                let is_amid =
                    |log: &EventLog| self.remembered.iter().rev().find(|id| log.is_amid_entry(**id)).copied();
                self.tailers.oracle.with_event_log(is_amid).or(self.last)
            }
            5 => None,
            _ => self.last,
        }
    }

    fn begin(&mut self, node: Place, beginning: Beginning) {
        self.see(node, Step::Begun(beginning));
        self.last = beginning.behind;
        let (first, newest, is_amid) = self.tailers.oracle.with_event_log(|log| {
            let is_amid = beginning.behind.is_some_and(|id| log.is_amid_entry(id));
            (log.first_of(&beginning), log.behind_index(beginning.index), is_amid)
        });
        let is_elsewhere = beginning.behind.is_some() && self.node.is_some_and(|before| before != node);
        sometimes!("a stream goes on at another node", is_elsewhere);
        sometimes!("a stream goes on in the middle of an entry", is_amid);
        sometimes!("a stream begins far behind what its node has", first + FAR < newest);
        let mut places = self.tailers.places.borrow_mut();
        let place = &mut places[self.number];
        (place.told, place.follows) = (first, true);
    }

    /// Reads until it is time to leave, or the stream is broken off or silent.
    async fn follow(&mut self, node: Place, mut pieces: Pieces) {
        let mut frames = Frames::default();
        let leaves_at = Instant::now() + self.rng.random_range(Duration::ZERO..=self.stay_max);
        loop {
            let silent_at = Instant::now() + SILENCE_MAX;
            let until = if self.tailers.stay.get() { silent_at } else { silent_at.min(leaves_at) };
            let Ok(item) = timeout_at(until, pieces.next()).await else {
                sometimes!("a stream has gone silent", until == silent_at);
                return;
            };
            let piece = match item {
                Item::Piece(piece) => piece,
                Item::Broken => return,
                Item::End => return self.odd("a stream that has come to its end"),
            };
            match frames.take(&piece) {
                Ok(frames) => frames.into_iter().for_each(|frame| self.take(node, frame)),
                Err(frame) => return self.odd(&frame),
            }
            if self.is_slow && !self.tailers.stay.get() && self.rng.random_bool(0.5) {
                tokio::time::sleep(self.rng.random_range(Duration::ZERO..=PAUSE_MAX)).await;
            }
        }
    }

    fn take(&mut self, node: Place, frame: Frame) {
        let Frame::Event { id, name, data } = frame else { return };
        self.see(node, Step::Told { id, name: &name, data: &data });
        let oracle = &self.tailers.oracle;
        let (told, is_installed) = oracle.with_event_log(|log| (log.behind(id), log.is_installed(node, id)));
        sometimes!("an event is told that came with a snapshot", is_installed);
        self.tailers.places.borrow_mut()[self.number].told = told;
        self.last = Some(id);
        self.node = Some(node);
        self.remembered.push(id);
    }

    fn refused(&mut self, node: Place, behind: Option<EventId>, answer: &Response<Bytes>) {
        match (answer.status(), behind) {
            (StatusCode::GONE, Some(behind)) => {
                sometimes!("a cursor is below the floor");
                if let Some(index) = self.index_of(answer) {
                    self.see(node, Step::Gone { behind, index });
                }
                self.last = None;
                self.tailers.places.borrow_mut()[self.number].follows = false;
            }
            (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _) => {}
            (status, _) => self.odd(&format!("{status} {:?} behind {behind:?}", answer.body())),
        }
    }

    fn index_of<T>(&self, answer: &Response<T>) -> Option<u64> {
        let index = answer.headers().get(INDEX_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        if index.is_none() {
            self.odd("an answer without its index");
        }
        index
    }

    fn see(&self, node: Place, step: Step<'_>) {
        let tailer = self.number as u64;
        self.tailers.oracle.tailed(&Seen { tailer, node, kinds: &self.kinds, step });
    }

    /// Something came that no document describes.
    fn odd(&self, what: &str) {
        let found = format!("tailer {} of {} was sent {what}", self.number, self.path);
        self.tailers.oracle.violated("streams of events are as they are described", found);
    }
}
