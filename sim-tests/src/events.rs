//! Streams of events: what they must tell, and clients that follow them through any node.
//!
//! [`EventLog`] derives from the committed log what there is to be told; [`Tailers`] open streams, read, leave, are broken off, and
//! go on elsewhere. What they see goes to the invariants of events, which compare the one with the other.

mod frames;
mod log;
mod retention;
mod seen;
mod tailer;

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use self::tailer::Tailer;
pub use self::{
    log::EventLog,
    seen::{Beginning, Place as TailPlace, Seen, Step},
};
pub(crate) use self::{log::Told, retention::keep_few};
use crate::{
    net::{Net, Place},
    oracle::Oracle,
};

/// How many tailers there are at least where there are any.
const TAILERS_MIN: u64 = 4;
/// How long after everything was healed each tailer may take to be told of all that had happened by then: a stream that has gone
/// silent is noticed within [`tailer::SILENCE_MAX`], and half of that is time enough to open another and to read.
const TOLD_WITHIN: Duration = Duration::from_millis(1_500 * tailer::SILENCE_MAX.as_secs());
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How busy the tailers are, and how long events are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TailLoad {
    /// How many there are.
    pub tailers: u64,
    /// The longest pause between two streams of a tailer.
    #[serde(with = "humantime_serde")]
    pub think_max: Duration,
    /// The longest that a tailer follows a stream.
    #[serde(with = "humantime_serde")]
    pub stay_max: Duration,
    /// How likely a tailer is slow: then it pauses between pieces, and its stream is held up.
    pub slow_odds: f64,
    /// How many events are kept, by commands of the run; `None` when only the settings say.
    pub kept: Option<u64>,
}

impl TailLoad {
    /// Draws one; three runs in ten have no tailers.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        if rng.random_bool(0.3) {
            return Self::default();
        }
        Self {
            tailers: rng.random_range(TAILERS_MIN..=8),
            think_max: Duration::from_millis(50 << rng.random_range(0..7)),
            stay_max: Duration::from_millis(500 << rng.random_range(0..7)),
            slow_odds: if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.1..0.6) },
            kept: rng.random_bool(0.6).then(|| 10 << rng.random_range(0..8)),
        }
    }
}

/// What all tailers of a run share.
#[derive(Clone)]
pub(crate) struct Tailers {
    net: Arc<Net>,
    oracle: Arc<Oracle>,
    /// The nodes that streams are opened at.
    nodes: Rc<RefCell<Vec<Place>>>,
    /// Whether all follow to the end from now on.
    stay: Rc<watch::Sender<bool>>,
    /// How far each is.
    places: Rc<RefCell<Vec<TailPlace>>>,
}

impl Tailers {
    /// None follows anything yet.
    pub(crate) fn new(net: Arc<Net>, oracle: Arc<Oracle>) -> Self {
        let nodes = Rc::new(RefCell::new(net.nodes().collect()));
        Self { net, oracle, nodes, stay: Rc::default(), places: Rc::default() }
    }

    /// The tailers of a run, to be run; what they choose follows from the seed.
    pub(crate) fn all(&self, load: &TailLoad, seed: u64) -> Vec<Tailer> {
        let mut rng = SmallRng::seed_from_u64(seed);
        (0..load.tailers).map(|number| Tailer::new(self, number, load, rng.random())).collect()
    }

    /// Whether all follow to the end.
    fn stays(&self) -> bool {
        *self.stay.borrow()
    }

    /// Pauses, unless all follow to the end.
    async fn pause(&self, most: Duration) {
        let mut stay = self.stay.subscribe();
        // Both the end of the pause and that of the sender end it.
        let _ = timeout(most, stay.wait_for(|stay| *stay)).await;
    }

    /// Lets all follow streams of these nodes to the end, and waits until each was told of everything that has happened by now, or should
    /// have been.
    pub(crate) async fn settle(&self, serving: Vec<Place>) {
        *self.nodes.borrow_mut() = serving;
        self.stay.send_replace(true);
        let upto = self.oracle.with_event_log(EventLog::len);
        let deadline = Instant::now() + TOLD_WITHIN;
        let waits = || {
            let places = self.places.borrow();
            self.oracle.with_event_log(|log| places.iter().any(|place| log.untold(place, upto).is_some()))
        };
        while waits() && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
        }
        self.oracle.tailers_settled(&self.places.borrow(), upto);
    }
}
