//! `run`: a process, until it exits.

use std::{sync::Arc, time::Duration};

use capstan_model::lrp::action::Run;
use futures::future::BoxFuture;
use tokio::time::timeout;

use super::{Ended, Failure, Scope};
use crate::instance::driver::{Driver, Process, ProcessEnd, ProcessNo, Running, Signal, Stream};

/// How long a process may take to end after SIGTERM.
pub const GRACE: Duration = Duration::from_secs(10);
/// How long its end is waited for after SIGKILL, which only a broken disk or kernel delays.
pub const DEATH_WAIT: Duration = Duration::from_secs(60);

pub(super) async fn perform(driver: &dyn Driver, run: &Run, scope: Scope) -> Ended {
    let scope = scope.sourced(&run.log_source);
    if scope.is_cancelled() {
        return Err(Failure::cancelled());
    }
    let Running { process, mut end } = driver.start(process(run, &scope)).await.map_err(Failure::plain)?;
    let (end, cancelled) = tokio::select! {
        biased;
        end = &mut end => (end, false),
        () = scope.cancelled() => match stop(driver, process, &mut end).await {
            Some(end) => (end, true),
            None => return Err(Failure::plain("process did not exit")),
        },
    };
    match end {
        ProcessEnd::Failed(reason) => Err(Failure::plain(reason)),
        ProcessEnd::Exited { status, out_of_memory, held } => {
            scope.hold(&held);
            let suffix = if out_of_memory && status != 0 { " (out of memory)" } else { "" };
            scope.say(driver, Stream::Stdout, &format!("Exit status {status}{suffix}\n"));
            match status {
                _ if cancelled => Err(Failure::cancelled()),
                0 => Ok(()),
                status => Err(Failure::tellable(format!("Exited with status {status}{suffix}"))),
            }
        }
    }
}

fn process(run: &Run, scope: &Scope) -> Process {
    Process {
        path: Arc::clone(&run.path),
        args: run.args.clone(),
        dir: Arc::clone(&run.dir),
        env: run.env.clone(),
        user: Arc::clone(&run.user),
        open_files: run.resource_limits.nofile,
        keep: scope.keep(),
    }
}

/// Asks a process to end, then ends it; `None` when it is still there.
async fn stop(
    driver: &dyn Driver,
    process: ProcessNo,
    end: &mut BoxFuture<'static, ProcessEnd>,
) -> Option<ProcessEnd> {
    driver.signal(process, Signal::Terminate);
    if let Ok(end) = timeout(GRACE, &mut *end).await {
        return Some(end);
    }
    driver.signal(process, Signal::Kill);
    timeout(DEATH_WAIT, end).await.ok()
}
