//! What the nodes count of their own disks, read from their `/metrics` pages.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Method;

use crate::http_client::HttpClient;

/// Counters of one node, or sums over several.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Counters {
    /// Syncs of the log.
    pub(crate) log_fsyncs: f64,
    /// Processor time, in seconds.
    pub(crate) cpu_seconds: f64,
}

impl Counters {
    /// Reads them from a page in Prometheus's text format; what is missing is zero.
    pub(crate) fn parse(page: &str) -> Self {
        let value = |name: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
        };
        Self { log_fsyncs: value("capstan_log_fsyncs_total"), cpu_seconds: value("process_cpu_seconds") }
    }

    /// The sum over all nodes; zero when a page cannot be read.
    pub(crate) async fn sum(nodes: &[SocketAddr]) -> Self {
        let mut sum = Self::default();
        for node in nodes {
            let page = HttpClient::new(*node).succeed(Method::GET, "/metrics", Bytes::new()).await;
            let one = Self::parse(&String::from_utf8_lossy(&page.unwrap_or_default()));
            sum.log_fsyncs += one.log_fsyncs;
            sum.cpu_seconds += one.cpu_seconds;
        }
        sum
    }

    /// What was counted since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            log_fsyncs: self.log_fsyncs - before.log_fsyncs,
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_on_the_page() {
        let page = "# TYPE capstan_log_fsyncs_total counter\ncapstan_log_fsyncs_total 17\n\
                    capstan_log_fsyncs_total_more 9\nprocess_cpu_seconds 1.5\n";
        let expected = Counters { log_fsyncs: 17.0, cpu_seconds: 1.5 };
        assert_eq!(Counters::parse(page), expected);
        assert_eq!(Counters::parse(""), Counters::default());
    }
}
