//! Keeps one node running: starts it, tells when it is ready, starts it again when it died, stops it in the end.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use capstan_client::{Client, ClientOptions};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{layout::Place, output};

/// How often a node that is not ready is asked again.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// How long a node may take to answer whether it is ready.
const ASK_PATIENCE: Duration = Duration::from_secs(1);
/// How long a node may take to stop when asked to.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// The shortest pause before a dead node is started again; doubled with each further death.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A node that lived this long has earned the shortest pause.
const LONG_LIFE: Duration = Duration::from_secs(10);

/// What became of a node.
#[derive(Debug)]
pub(super) enum Happened {
    /// It was started, as this process.
    Started {
        /// The process.
        pid: u32,
    },
    /// It is ready for calls.
    Ready,
    /// It ended.
    Ended {
        /// How.
        status: ExitStatus,
    },
    /// It cannot be started at all.
    Failed {
        /// Why.
        reason: String,
    },
}

/// How the nodes are started.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    /// The program.
    pub(super) program: PathBuf,
    /// Arguments beside the configuration file.
    pub(super) args: Vec<OsString>,
    /// Whether a dead node is started again.
    pub(super) restart: bool,
    /// Set when everything ends.
    pub(super) stop: CancellationToken,
    /// Set when everything ends at once.
    pub(super) kill: CancellationToken,
}

/// Keeps a node running until `orders.stop`, and tells what happens to it.
pub(super) async fn keep(place: Place, orders: Orders, tell: mpsc::UnboundedSender<(usize, Happened)>) {
    let say = |happened| {
        // The supervisor listens until all keepers have ended.
        let _ = tell.send((place.id, happened));
    };
    let mut deaths = 0;
    loop {
        let begun = Instant::now();
        let mut child = match start(&place, &orders) {
            Ok(child) => child,
            Err(error) => return say(Happened::Failed { reason: error.to_string() }),
        };
        let pid = child.id().expect("it was not waited for yet");
        // Held until the node has ended; left inside, the first wait would close it.
        let _lifeline = child.stdin.take();
        say(Happened::Started { pid });
        tokio::select! {
            () = wait_until_ready(&place) => say(Happened::Ready),
            _ = child.wait() => {}
            () = orders.stop.cancelled() => {}
        }
        let status = tokio::select! {
            status = child.wait() => status,
            () = orders.stop.cancelled() => stop(&mut child, &orders.kill).await,
        };
        match status {
            Ok(status) => say(Happened::Ended { status }),
            Err(error) => return say(Happened::Failed { reason: error.to_string() }),
        }
        if !orders.restart || orders.stop.is_cancelled() {
            return;
        }
        deaths = if begun.elapsed() >= LONG_LIFE { 0 } else { deaths + 1 };
        tokio::select! {
            () = sleep(pause(deaths)) => {}
            () = orders.stop.cancelled() => return,
        }
    }
}

fn pause(deaths: u32) -> Duration {
    PAUSE_MIN.saturating_mul(1 << deaths.saturating_sub(1).min(16)).min(PAUSE_MAX)
}

fn start(place: &Place, orders: &Orders) -> std::io::Result<Child> {
    let mut command = Command::new(&orders.program);
    command
        .arg("server")
        .arg("--config")
        .arg(place.config())
        .args(&orders.args)
        // Nodes end when this pipe does: so they end with the supervisor, however that ends.
        .arg("--supervised")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that a terminal's ctrl-C reaches the supervisor alone, which then stops the nodes.
        .process_group(0);
    for (name, _) in std::env::vars_os().filter(|(name, _)| !is_for_every_node(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    let mut child = command.spawn()?;
    if let Some(stdout) = child.stdout.take() {
        tokio::spawn(output::copy(place.id, stdout));
    }
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(output::copy(place.id, stderr));
    }
    Ok(child)
}

/// What is meant for client commands or for a node alone must not reach every node. Who may call is the same at all of them.
fn is_for_every_node(variable: &str) -> bool {
    variable.starts_with("CAPSTAN_RECEPTOR_") || !variable.starts_with("CAPSTAN_")
}

async fn wait_until_ready(place: &Place) {
    let options = ClientOptions {
        timeout: ASK_PATIENCE,
        attempt_timeout: ASK_PATIENCE,
        connect_patience: Duration::ZERO,
        ..ClientOptions::default()
    };
    let client =
        Client::with_options(vec![place.http.to_string()], options).expect("host:port is an address");
    while !client.ready().await.is_ok_and(|answer| answer.ready) {
        sleep(ASK_EVERY).await;
    }
}

/// Asks a node to stop, and ends it when it does not.
async fn stop(child: &mut Child, at_once: &CancellationToken) -> std::io::Result<ExitStatus> {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended in this moment; waiting for it tells.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    tokio::select! {
        ended = timeout(STOP_PATIENCE, child.wait()) => {
            if let Ok(status) = ended {
                return status;
            }
        }
        () = at_once.cancelled() => {}
    }
    child.kill().await?;
    child.wait().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = [0, 1, 2, 3, 6, 7, 100].map(|deaths| pause(deaths).as_millis());
        assert_eq!(pauses, [100, 100, 200, 400, 3_200, 5_000, 5_000]);
    }
}
