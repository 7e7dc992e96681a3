//! What happened, as one rolling hash: equal seeds must give equal hashes.

use std::{
    fmt,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How many events pass between two stored hashes, by which a divergence is found.
const HASH_EVERY: u64 = 1_000;

/// The events of one run.
pub struct Trace {
    start: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    hash: u64,
    events: u64,
    hashes: Vec<u64>,
    file: Option<BufWriter<File>>,
    kept: Option<Vec<Event>>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When, in microseconds of virtual time.
    pub us: u64,
    /// On which node; 0: beside all nodes.
    pub node: u64,
    /// What.
    pub kind: String,
    /// Which calls, lives, indexes or processes, as its kind has them.
    pub ids: Vec<u64>,
    /// Its text, or the hash of its bytes.
    pub payload: String,
}

/// As a line for people.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { us, node, kind, ids, payload } = self;
        let secs = Duration::from_micros(*us).as_secs_f64();
        let who = if *node == 0 { "world ".to_owned() } else { format!("node {node}") };
        write!(f, "{secs:>10.6} {who} {kind:<16} {ids:?} {payload}")
    }
}

/// What is left of a run's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSummary {
    /// The rolling hash after the last event.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// The rolling hash after each thousand events.
    pub hashes: Vec<u64>,
}

impl Trace {
    /// Starts at the present virtual time; with a path, every event is also a line of that file, and all are kept on demand.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn start(path: Option<&Path>, keeps_events: bool) -> io::Result<Self> {
        let file = path.map(File::create).transpose()?.map(BufWriter::new);
        Ok(Self {
            start: Instant::now(),
            inner: Mutex::new(Inner {
                hash: 0,
                events: 0,
                hashes: Vec::new(),
                file,
                kept: keeps_events.then(Vec::new),
            }),
        })
    }

    /// Microseconds of virtual time since the start.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).expect("a run is shorter than an age")
    }

    /// Notes that something of `kind` happened on a node (0: beside all nodes).
    pub fn event(&self, node: u64, kind: &str, ids: &[u64], payload: &[u8]) {
        let at = self.now_us();
        let mut inner = self.lock();
        let mut hash = xxh3_64_with_seed(payload, inner.hash);
        hash = xxh3_64_with_seed(kind.as_bytes(), hash);
        for number in [at, node].iter().chain(ids) {
            hash = xxh3_64_with_seed(&number.to_le_bytes(), hash);
        }
        inner.hash = hash;
        inner.events += 1;
        if inner.events.is_multiple_of(HASH_EVERY) {
            inner.hashes.push(hash);
        }
        if inner.file.is_some() || inner.kept.is_some() {
            let text = std::str::from_utf8(payload).ok().filter(|text| text.chars().all(|c| !c.is_control()));
            let payload =
                text.map_or_else(|| format!("{:016x}", xxh3_64_with_seed(payload, 0)), ToOwned::to_owned);
            inner.keep(Event { us: at, node, kind: kind.to_owned(), ids: ids.to_vec(), payload });
        }
    }

    /// Ends the trace.
    pub fn summary(&self) -> TraceSummary {
        let mut inner = self.lock();
        if let Some(file) = &mut inner.file {
            file.flush().expect("the trace file can be written");
        }
        TraceSummary { hash: inner.hash, events: inner.events, hashes: inner.hashes.clone() }
    }

    /// The events that were kept.
    pub fn take_events(&self) -> Vec<Event> {
        self.lock().kept.take().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while holding it")
    }
}

impl Inner {
    fn keep(&mut self, event: Event) {
        if let Some(file) = &mut self.file {
            let line = serde_json::to_string(&event).expect("events are serialisable");
            writeln!(file, "{line}").expect("the trace file can be written");
        }
        if let Some(kept) = &mut self.kept {
            kept.push(event);
        }
    }
}
