//! What happened, as one rolling hash: equal seeds must give equal hashes.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{Mutex, MutexGuard},
};

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
    /// Starts at the present virtual time; with a path, every event is also a line of that file.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn start(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(File::create).transpose()?.map(BufWriter::new);
        Ok(Self {
            start: Instant::now(),
            inner: Mutex::new(Inner { hash: 0, events: 0, hashes: Vec::new(), file }),
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
        if let Some(file) = &mut inner.file {
            let shown = xxh3_64_with_seed(payload, 0);
            let text = std::str::from_utf8(payload).ok().filter(|text| text.chars().all(|c| !c.is_control()));
            let payload = text.map_or_else(|| format!("{shown:016x}"), ToOwned::to_owned);
            let line =
                serde_json::json!({ "us": at, "node": node, "kind": kind, "ids": ids, "payload": payload });
            writeln!(file, "{line}").expect("the trace file can be written");
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

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while holding it")
    }
}
