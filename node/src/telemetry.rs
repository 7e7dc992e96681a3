//! The node's log and metrics.

use std::{fs, io, io::IsTerminal, panic, thread};

use capstan_api::ports::MetricsPage;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use nix::{
    time::{ClockId, clock_gettime},
    unistd::{SysconfVar, sysconf},
};
use tracing::error;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogConfig, LogFormat};

/// Upper bounds of the buckets of metrics that end in `_seconds`, from a local call to a client's patience.
const SECONDS: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Sends the log to standard error, panics included, from now on for the whole process.
///
/// # Panics
/// When called twice.
pub fn start_log(config: &LogConfig) {
    // openraft warns of every unanswered message, and the node says such things once, in its own words; whoever wants
    // openraft's names it in the level.
    let filter = EnvFilter::builder().parse_lossy(format!("openraft=error,{}", config.level));
    let color = config.color.unwrap_or_else(|| io::stderr().is_terminal());
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(color);
    // It would report a closed standard error on standard error, and panic.
    let builder = builder.log_internal_errors(false);
    match config.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        error!(thread = thread::current().name(), %backtrace, "bug: {panic}");
    }));
}

/// The process's metrics, rendered for Prometheus.
pub struct Metrics {
    recorder: PrometheusHandle,
    page_bytes: u64,
}

impl Metrics {
    /// Collects what the crates of this process count and measure from now on.
    ///
    /// # Errors
    /// The process collects already.
    pub fn start() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .install_recorder()?;
        let page_bytes =
            sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|bytes| u64::try_from(bytes).ok());
        Ok(Self { recorder, page_bytes: page_bytes.unwrap_or(4_096) })
    }

    /// Moves what was measured into its buckets; to be called every few seconds, or memory grows until somebody looks.
    pub fn upkeep(&self) {
        self.recorder.run_upkeep();
    }

    /// Looks at the process itself.
    fn sample_process(&self) {
        if let Some(pages) = resident_pages() {
            metrics::gauge!("process_resident_memory_bytes").set((pages * self.page_bytes) as f64);
        }
        if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory that is being read.
            metrics::gauge!("process_open_fds").set(descriptors.count().saturating_sub(1) as f64);
        }
        if let Ok(spent) = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID) {
            let seconds = spent.tv_sec() as f64 + spent.tv_nsec() as f64 / 1e9;
            metrics::gauge!("process_cpu_seconds").set(seconds);
        }
    }
}

impl MetricsPage for Metrics {
    fn render(&self) -> String {
        self.sample_process();
        self.recorder.render()
    }
}

/// The second number of `/proc/self/statm`.
fn resident_pages() -> Option<u64> {
    fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_the_process_and_what_was_counted() {
        let page = Metrics::start().unwrap();
        metrics::counter!("capstan_test_total").increment(3);
        metrics::histogram!("capstan_test_seconds").record(0.003);
        page.upkeep();
        let text = page.render();
        let value = |name: &str| {
            let line = text
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_else(|| panic!("{name} in {text}"));
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
        };
        assert_eq!(value("capstan_test_total"), 3.0);
        assert_eq!(value("capstan_test_seconds_bucket{le=\"0.0025\"}"), 0.0);
        assert_eq!(value("capstan_test_seconds_bucket{le=\"0.005\"}"), 1.0);
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_cpu_seconds") > 0.0);
    }
}
