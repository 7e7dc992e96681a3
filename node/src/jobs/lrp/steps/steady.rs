//! Whether what runs goes on running.

use std::time::Duration;

use capstan_client::receptor::{ActualLrp, DesiredLrp};
use tokio::time::Instant;

/// How long instances that nothing monitors must run before they count: RUNNING says of these only that they were started, and one that
/// cannot live is then started twice more within about a second.
const UNMONITORED: Duration = Duration::from_secs(5);

/// Since when the same instances run.
#[derive(Debug, Default)]
pub(super) struct Steady {
    since: Option<(Instant, Vec<String>)>,
}

/// How long the instances of an LRP must run: as its spec says; else, without a monitor, for [`UNMONITORED`] or half of what may be waited.
pub(super) fn steady_for(given: Option<Duration>, desired: &DesiredLrp, wait_max: Duration) -> Duration {
    let unmonitored =
        || if desired.monitor.is_none() { UNMONITORED.min(wait_max / 2) } else { Duration::ZERO };
    given.unwrap_or_else(unmonitored)
}

impl Steady {
    /// Takes the instances, all of which run now, and returns for how long these very ones have.
    pub(super) fn see(&mut self, instances: &[ActualLrp]) -> Duration {
        let guids: Vec<_> = instances.iter().map(|instance| instance.instance_guid.clone()).collect();
        match &self.since {
            Some((since, same)) if *same == guids => since.elapsed(),
            _ => {
                self.since = Some((Instant::now(), guids));
                Duration::ZERO
            }
        }
    }

    /// Some do not run.
    pub(super) fn end(&mut self) {
        self.since = None;
    }
}
