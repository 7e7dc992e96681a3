//! Waiting until what is desired of an LRP is so.

use std::{collections::BTreeSet, time::Duration};

use capstan_client::{
    Client,
    receptor::{ActualLrp, ActualLrpState, Rollout},
};
use indicatif::ProgressBar;
use tokio::time::Instant;

use super::about_lrp;
use crate::{
    console::Console,
    failure::{Exit, Failure},
    text::{bar::bar, escape, time::duration},
};

/// Whether to wait, and how long.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Wait {
    /// Do not wait until it is so
    #[arg(long)]
    pub(super) no_wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(super) wait_max: Duration,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// All that is wanted runs, and nothing else.
    Running,
    /// There is nothing any more.
    Gone,
}

/// Shortest and longest pause between two looks.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(50);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(1);

/// Shows the progress of an LRP until it is as desired. One that has crashed too often to be started again at once ends the wait: it
/// would not be so for half a minute at least.
pub(super) async fn until(
    goal: Goal,
    client: &Client,
    guid: &str,
    wait: Wait,
    console: &mut Console,
) -> Result<Rollout, Failure> {
    let mut progress = Progress::new(console);
    let followed = tokio::time::timeout(wait.wait_max, follow(goal, client, guid, &mut progress, console));
    let ended = followed.await;
    progress.clear();
    ended.unwrap_or_else(|_| {
        let reached = progress
            .shown
            .map_or_else(|| "nothing was heard of it".to_owned(), |rollout| rollout.to_string());
        Err(Failure::new(
            Exit::Unknown,
            format!("{guid} after {:?}: {reached}; the cluster goes on", wait.wait_max),
            format!("capstan lrp explain {guid}"),
        ))
    })
}

/// Looks until it is so. A cluster that cannot answer for a while, as during a failover, is waited for, once the LRP has been seen.
async fn follow(
    goal: Goal,
    client: &Client,
    guid: &str,
    progress: &mut Progress,
    console: &mut Console,
) -> Result<Rollout, Failure> {
    let mut pause = LOOK_AGAIN_MIN;
    loop {
        match look(goal, client, guid).await {
            Ok((rollout, _)) if rollout.is_done() => return Ok(rollout),
            Ok((rollout, instances)) => {
                let crashed = instances.iter().find(|instance| instance.state == ActualLrpState::Crashed);
                if let Some(crashed) = crashed.filter(|_| goal == Goal::Running) {
                    return Err(given_up(crashed));
                }
                progress.show(rollout, &instances, console)?;
            }
            Err(failure) if progress.shown.is_some() && failure.is_unavailable() => {
                progress.show_silence(console)?;
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_AGAIN_MAX);
    }
}

async fn look(goal: Goal, client: &Client, guid: &str) -> Result<(Rollout, Vec<ActualLrp>), Failure> {
    let wanted = match goal {
        Goal::Running => client.desired_lrp(guid).await.map_err(about_lrp)?.instances,
        Goal::Gone => 0,
    };
    let instances = client.instances_of(guid).await?;
    Ok((Rollout::of(wanted, &instances), instances))
}

fn given_up(crashed: &ActualLrp) -> Failure {
    let (guid, index) = (&crashed.process_guid, crashed.index);
    let why = if crashed.crash_reason.is_empty() { "without an error" } else { &crashed.crash_reason };
    let message = format!("{guid}/{index} has crashed {} times in a row: {why}", crashed.crash_count);
    Failure::new(Exit::Refused, message, format!("capstan lrp logs {guid} --index {index}"))
}

/// What is shown while waiting: a bar on a terminal, else a line whenever something has changed; and once each why an index finds no cell.
struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    shown: Option<Rollout>,
    silent: bool,
    unplaced: BTreeSet<(u32, String)>,
}

impl Progress {
    fn new(console: &Console) -> Self {
        let bar = bar(console, "instances");
        Self { bar, started: Instant::now(), shown: None, silent: false, unplaced: BTreeSet::new() }
    }

    fn show(
        &mut self,
        rollout: Rollout,
        instances: &[ActualLrp],
        console: &mut Console,
    ) -> Result<(), Failure> {
        self.silent = false;
        let before = self.shown.replace(rollout);
        match &self.bar {
            Some(bar) => {
                bar.set_length(rollout.wanted.into());
                bar.set_position(rollout.running.into());
                bar.set_message(if rollout.leaving > 0 { "stopping" } else { "starting" });
            }
            None if before == Some(rollout) => {}
            None => console.note(&format!("{}, {}", rollout, duration(self.started.elapsed())))?,
        }
        for instance in instances.iter().filter(|instance| !instance.placement_error.is_empty()) {
            let (index, error) = (instance.index, &instance.placement_error);
            if self.unplaced.insert((index, error.clone())) {
                self.note(&format!("index {index} finds no cell: {}", escape::line(error)), console)?;
            }
        }
        Ok(())
    }

    fn show_silence(&mut self, console: &mut Console) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.set_message("no answer");
        } else if !self.silent {
            console.note("no node can answer now; still waiting")?;
        }
        self.silent = true;
        Ok(())
    }

    fn note(&self, line: &str, console: &mut Console) -> Result<(), Failure> {
        match &self.bar {
            Some(bar) => bar.suspend(|| console.note(line)),
            None => console.note(line),
        }?;
        Ok(())
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
