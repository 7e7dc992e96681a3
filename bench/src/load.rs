//! Closed loops: every client sends its next call when the last one was answered.

use std::{future::Future, sync::Arc, time::Duration};

use hdrhistogram::Histogram;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

/// The longest latency that is told apart, in microseconds: more than any call's patience.
const LATENCY_MAX_US: u64 = 60_000_000;
/// How long a client waits after a call that failed, so that a refusing server is not called in a busy loop.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(20);

/// One client.
pub(crate) trait Caller: Send + 'static {
    /// Makes the next call and checks its answer.
    fn call(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// How long a run takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Before anything counts.
    pub(crate) warm_up: Duration,
    /// What counts.
    pub(crate) measured: Duration,
}

/// What a run showed. Only calls that ended within the measured time count.
pub(crate) struct Measured {
    /// How long it was, by the clock.
    pub(crate) elapsed: Duration,
    /// Latencies of the calls that succeeded, in microseconds.
    pub(crate) latency_us: Histogram<u64>,
    /// How many calls failed.
    pub(crate) errors: u64,
    /// Why one of them did.
    pub(crate) example: Option<String>,
}

impl Measured {
    /// Successful calls per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.latency_us.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that so many percent of the calls did not exceed, in milliseconds.
    pub(crate) fn percentile_ms(&self, percent: f64) -> f64 {
        self.latency_us.value_at_percentile(percent) as f64 / 1_000.0
    }

    /// The longest latency, in milliseconds.
    pub(crate) fn max_ms(&self) -> f64 {
        self.latency_us.max() as f64 / 1_000.0
    }
}

/// Runs all callers at once. `read_counters` is called between warm-up and measurement and right after it, while the load
/// goes on; both results are returned.
pub(crate) async fn run<C: Caller, T>(
    callers: Vec<C>,
    plan: Plan,
    mut read_counters: impl AsyncFnMut() -> T,
) -> (Measured, T, T) {
    let begun = Instant::now();
    let window = Arc::new(Window { from: begun + plan.warm_up, to: begun + plan.warm_up + plan.measured });
    let mut clients = JoinSet::new();
    for caller in callers {
        clients.spawn(drive(caller, Arc::clone(&window)));
    }
    sleep_until(window.from).await;
    let before = read_counters().await;
    sleep_until(window.to).await;
    let after = read_counters().await;
    let mut measured = Measured { elapsed: plan.measured, latency_us: histogram(), errors: 0, example: None };
    for tally in clients.join_all().await {
        measured.latency_us.add(&tally.latency_us).expect("all histograms have the same bounds");
        measured.errors += tally.errors;
        measured.example = measured.example.or(tally.example);
    }
    (measured, before, after)
}

struct Window {
    from: Instant,
    to: Instant,
}

struct Tally {
    latency_us: Histogram<u64>,
    errors: u64,
    example: Option<String>,
}

async fn drive(mut caller: impl Caller, window: Arc<Window>) -> Tally {
    let mut tally = Tally { latency_us: histogram(), errors: 0, example: None };
    let mut sent = Instant::now();
    while sent < window.to {
        let answer = caller.call().await;
        let answered = Instant::now();
        let counts = window.from <= answered && answered < window.to;
        match answer {
            Ok(()) if counts => {
                let micros = u64::try_from((answered - sent).as_micros()).unwrap_or(u64::MAX);
                tally.latency_us.saturating_record(micros);
            }
            Ok(()) => {}
            Err(error) => {
                tally.errors += u64::from(counts);
                tally.example.get_or_insert_with(|| format!("{error:#}"));
                sleep(PAUSE_AFTER_ERROR).await;
            }
        }
        sent = Instant::now();
    }
    tally
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("the bounds are in order")
}

/// A client of several servers that calls one after the other. With fewer clients than servers each client rotates, so
/// that the figure does not depend on which server happens to lead.
pub(crate) struct Rotating<C> {
    callers: Vec<C>,
    next: usize,
}

impl<C> Rotating<C> {
    /// Makes `clients` clients over `servers` servers: each has a server of its own, or, when there are fewer clients than
    /// servers, all of them. `connect` is given the server.
    pub(crate) async fn spread(
        clients: usize,
        servers: usize,
        mut connect: impl AsyncFnMut(usize) -> anyhow::Result<C>,
    ) -> anyhow::Result<Vec<Self>> {
        let mut spread = Vec::with_capacity(clients);
        for client in 0..clients {
            let mut callers = Vec::new();
            for server in 0..servers {
                if clients < servers || server == client % servers {
                    callers.push(connect(server).await?);
                }
            }
            spread.push(Self { callers, next: client });
        }
        Ok(spread)
    }
}

impl<C: Caller> Caller for Rotating<C> {
    async fn call(&mut self) -> anyhow::Result<()> {
        let at = self.next % self.callers.len();
        self.next = at + 1;
        self.callers[at].call().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Counting {
        server: usize,
        calls: Arc<[AtomicU64; 3]>,
    }

    impl Caller for Counting {
        async fn call(&mut self) -> anyhow::Result<()> {
            let before = self.calls[self.server].fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(10)).await;
            anyhow::ensure!(before.is_multiple_of(2), "every second call fails");
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_visits_all_servers_and_many_have_one_each() {
        for (clients, calls_each) in [(1, [4, 3, 3]), (3, [10, 10, 10]), (4, [20, 10, 10])] {
            let calls = Arc::new([const { AtomicU64::new(0) }; 3]);
            let mut spread = Rotating::spread(clients, 3, async |server| {
                Ok(Counting { server, calls: Arc::clone(&calls) })
            })
            .await
            .unwrap();
            for caller in &mut spread {
                for _ in 0..10 {
                    let _answer = caller.call().await;
                }
            }
            let called: Vec<u64> = calls.iter().map(|count| count.load(Ordering::Relaxed)).collect();
            assert_eq!(called, calls_each, "{clients} clients");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_measured_time_counts() {
        let calls = Arc::new([const { AtomicU64::new(0) }; 3]);
        let caller = Counting { server: 0, calls: Arc::clone(&calls) };
        let plan = Plan { warm_up: Duration::from_millis(100), measured: Duration::from_millis(200) };
        let read = async || calls[0].load(Ordering::Relaxed);
        let (measured, before, after) = run(vec![caller], plan, read).await;
        let counted = measured.latency_us.len() + measured.errors;
        assert!(before > 0, "there was a warm-up");
        assert!(counted.abs_diff(after - before) <= 1, "{counted} counted of {before}..{after}");
        assert!(measured.errors > 0 && measured.example.is_some());
        assert!(measured.percentile_ms(50.0) >= 10.0, "{}", measured.percentile_ms(50.0));
    }
}
