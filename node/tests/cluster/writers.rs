//! Clients that write all the time, through any node, and know of each write what must have become of it.
//!
//! Every write of theirs happens exactly once however often it is sent: most name the revision they replace (`If-Match`), some
//! carry an `Idempotency-Key`. Revisions count all writes of variables, so when all writers have stopped, the revisions they
//! were given must be 1, 2, 3 … without a gap: a gap is a write that happened twice, a missing value one that was lost.

use std::{
    fmt,
    io::ErrorKind,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::harness::{
    Cluster, until,
    wire::{Answer, Wire},
};

/// How long a writer waits before it sends again what has failed.
const RETRY_EVERY: Duration = Duration::from_millis(20);
/// Every so many writers, one uses keys instead of conditions: few, since a cluster remembers 100,000 keys at most.
const KEYED_EVERY: usize = 16;

/// Writers at work.
pub(crate) struct Writers {
    nodes: Vec<SocketAddr>,
    shared: Arc<Shared>,
    tasks: JoinSet<Record>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// When each acknowledged write was sent and answered, in the order of the answers. The attempt that was answered counts.
    acknowledged: Mutex<Vec<Acknowledged>>,
}

#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    sent: Instant,
    answered: Instant,
}

/// What one writer knows when it has stopped.
struct Record {
    path: String,
    /// Ascending, since each write replaced the one before.
    revisions: Vec<u64>,
    value: String,
    /// Attempts whose outcome the writer could not know.
    unknown: usize,
}

/// What all writers did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    writes: usize,
    /// Attempts whose outcome was unknown at first.
    unknown: usize,
    /// The longest time without an answer to any writer.
    silence: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writes, unknown, silence } = self;
        write!(
            f,
            "{writes} writes acknowledged, {unknown} attempts at first unknown, none lost, none twice, \
             longest silence {} ms",
            silence.as_millis()
        )
    }
}

impl Writers {
    /// Starts `count` writers of small values, each on its own variable.
    pub(crate) fn start(cluster: &Cluster, count: usize) -> Self {
        Self::start_with_values_of(0, cluster, count)
    }

    /// As [`Writers::start`], with values of at least so many bytes.
    pub(crate) fn start_with_values_of(bytes: usize, cluster: &Cluster, count: usize) -> Self {
        let nodes: Vec<_> = cluster.nodes.iter().map(|node| node.http).collect();
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let writer = Writer::new(number, &nodes, Arc::clone(&shared), bytes);
            tasks.spawn(writer.run());
        }
        Self { nodes, shared, tasks }
    }

    /// Waits until so many more writes were acknowledged.
    pub(crate) async fn progress(&self, writes: usize) {
        let wanted = self.shared.count() + writes;
        until("writers to make progress", async || (self.shared.count() >= wanted).then_some(())).await;
    }

    /// Waits for the answer to a write that was sent after `moment`, and says how long after it that came.
    pub(crate) async fn first_success_after(&self, moment: Instant) -> Duration {
        let begin = self.shared.count();
        let answered = until("a write to succeed", async || {
            let acknowledged = self.shared.acknowledged.lock().unwrap();
            // Those answered just before this was called may have been sent after the moment, too.
            let recent = acknowledged.iter().skip(begin.saturating_sub(1_000));
            recent.filter(|write| write.sent >= moment).map(|write| write.answered).min()
        });
        answered.await.duration_since(moment)
    }

    /// Stops all writers once their present writes have an end, and holds every node to what they know.
    pub(crate) async fn stop_and_verify(mut self) -> Summary {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut records = Vec::new();
        while let Some(record) = self.tasks.join_next().await {
            records.push(record.expect("a writer found a broken promise"));
        }
        for node in &self.nodes {
            let mut wire = Wire::to(*node);
            for record in &records {
                // A node may be without a leader for a moment, and says so.
                let read = until("a read", async || {
                    let answer = wire.call("GET", &record.path, &[], b"").await.unwrap();
                    assert!(matches!(answer.status, 200 | 503), "{answer:?}");
                    (answer.status == 200).then_some(answer)
                });
                let read = read.await;
                let found = (read.text(), read.revision());
                let newest = *record.revisions.last().expect("every writer wrote");
                assert_eq!(found, (record.value.clone(), newest), "{} on {node}", record.path);
            }
        }
        let mut all: Vec<u64> = Vec::new();
        for record in &records {
            assert!(record.revisions.is_sorted_by(|a, b| a < b), "{}: a revision went back", record.path);
            all.extend(&record.revisions);
        }
        all.sort_unstable();
        for (expected, revision) in (1..).zip(&all) {
            assert_eq!(
                expected, *revision,
                "revision {expected} was given twice, or to a write that happened twice"
            );
        }
        Summary {
            writes: all.len(),
            unknown: records.iter().map(|record| record.unknown).sum(),
            silence: self.shared.longest_silence(),
        }
    }
}

impl Shared {
    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    fn longest_silence(&self) -> Duration {
        let acknowledged = self.acknowledged.lock().unwrap();
        let gaps =
            acknowledged.windows(2).map(|pair| pair[1].answered.saturating_duration_since(pair[0].answered));
        gaps.max().unwrap_or_default()
    }
}

/// One client with one variable.
struct Writer {
    number: usize,
    path: String,
    wires: Vec<Wire>,
    /// Which node it talks to.
    at: usize,
    shared: Arc<Shared>,
    value_bytes: usize,
    revisions: Vec<u64>,
    unknown: usize,
}

impl Writer {
    fn new(number: usize, nodes: &[SocketAddr], shared: Arc<Shared>, value_bytes: usize) -> Self {
        Self {
            number,
            path: format!("/cluster/v1/variables/writer-{number}"),
            wires: nodes.iter().copied().map(Wire::to).collect(),
            at: number % nodes.len(),
            shared,
            value_bytes,
            revisions: Vec::new(),
            unknown: 0,
        }
    }

    async fn run(mut self) -> Record {
        let mut value = String::new();
        while !self.shared.stop.load(Ordering::Relaxed) || self.revisions.is_empty() {
            value = format!("{:width$} of {}", self.revisions.len(), self.number, width = self.value_bytes);
            let revision = if self.number.is_multiple_of(KEYED_EVERY) {
                let key = format!("{}-{}", self.number, self.revisions.len());
                self.write(&value, ("Idempotency-Key", &key)).await
            } else if let Some(newest) = self.revisions.last() {
                let tag = format!("\"{newest}\"");
                self.write(&value, ("If-Match", &tag)).await
            } else {
                self.write(&value, ("If-None-Match", "*")).await
            };
            self.revisions.push(revision);
        }
        Record { path: self.path, revisions: self.revisions, value, unknown: self.unknown }
    }

    /// Sends one write until it is known to have happened, and returns its revision.
    async fn write(&mut self, value: &str, header: (&str, &str)) -> u64 {
        let mut may_have_happened = false;
        loop {
            let sent = Instant::now();
            match self.wires[self.at].call("PUT", &self.path, &[header], value.as_bytes()).await {
                Ok(answer) => match answer.status {
                    200 | 201 => {
                        let acknowledged = Acknowledged { sent, answered: Instant::now() };
                        self.shared.acknowledged.lock().unwrap().push(acknowledged);
                        return answer.revision();
                    }
                    412 if may_have_happened => {
                        if let Some(found) = self.read().await {
                            assert_eq!(found.text(), value, "refused, and yet not there: {answer:?}");
                            return found.revision();
                        }
                    }
                    429 | 503 | 507 => {}
                    504 => may_have_happened = true,
                    _ => panic!("writer {}, {header:?}: {answer:?} {}", self.number, answer.text()),
                },
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(_) => may_have_happened = true,
            }
            self.unknown += usize::from(may_have_happened);
            self.at = (self.at + 1) % self.wires.len();
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// What is there; `None` when this node cannot say.
    async fn read(&mut self) -> Option<Answer> {
        let answer = self.wires[self.at].call("GET", &self.path, &[], b"").await.ok()?;
        (answer.status == 200).then_some(answer)
    }
}
