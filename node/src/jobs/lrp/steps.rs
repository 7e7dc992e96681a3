//! What `lrp/…` jobs do, over the API of the nodes. Each may be done again after a try whose end nobody saw.

mod steady;

use std::time::Duration;

use capstan_client::{
    CallError, Client,
    receptor::{ActualLrp, ActualLrpState, DesiredLrp, DesiredLrpCreate, DesiredLrpUpdate, Rollout},
};
use serde_json::Value;
use tokio::time::Instant;

use self::steady::{Steady, steady_for};
use super::order::{OnFailure, Order};

/// Shortest and longest pause between two looks at an LRP.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(50);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(1);

/// What an owner may change of an LRP, and what is the server's own. All else is the same for its life.
const NOT_DEFINING: [&str; 4] = ["instances", "routes", "annotation", "modification_tag"];

/// Who is told how a job goes.
pub(super) trait Report {
    /// Something was done.
    fn done(&mut self, what: &str);
    /// So far it is.
    fn status(&mut self, how_far: &str);
}

/// Follows an order to its end.
pub(super) async fn follow(client: &Client, order: &Order, report: &mut impl Report) -> Result<(), String> {
    match order {
        Order::Desire { lrp } => desire(client, &read(lrp)?, report).await,
        Order::Update { process_guid, update } => {
            client.update_lrp(process_guid, &read(update)?).await.map_err(told)?;
            report.done(&format!("updated {process_guid}: {update}"));
            Ok(())
        }
        Order::WaitRunning { process_guid, stable_ms, on_failure, .. } => {
            let stable_for = stable_ms.map(Duration::from_millis);
            let waited = wait_running(client, process_guid, order.wait_max(), stable_for, report).await;
            match waited {
                Err(reason) if *on_failure == OnFailure::Delete => {
                    Err(rolled_back(client, process_guid, reason).await)
                }
                waited => waited,
            }
        }
        Order::Delete { process_guid, .. } => delete(client, process_guid, order.wait_max(), report).await,
    }
}

fn read<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, String> {
    serde_json::from_str(body).map_err(|error| format!("cannot read the order: {error}"))
}

async fn desire(client: &Client, create: &DesiredLrpCreate, report: &mut impl Report) -> Result<(), String> {
    let guid = &create.process_guid;
    match client.desire_lrp(create).await {
        Ok(not_enforced) => {
            report.done(&format!("desired {guid}"));
            if !not_enforced.is_empty() {
                report.done(&format!("kept, but not enforced by the cells: {}", not_enforced.join(", ")));
            }
            Ok(())
        }
        Err(error) if error.status() == Some(409) => {
            let there = client.desired_lrp(guid).await.map_err(told)?;
            if !is_same_definition(create, &there) {
                return Err(format!(
                    "{guid} is desired already, and is something else; choose another process_guid"
                ));
            }
            let update = DesiredLrpUpdate {
                instances: Some(create.instances),
                routes: Some(create.routes.clone()),
                annotation: Some(create.annotation.clone()),
            };
            client.update_lrp(guid, &update).await.map_err(told)?;
            report.done(&format!("{guid} was desired already"));
            Ok(())
        }
        Err(error) => Err(told(error)),
    }
}

fn is_same_definition(create: &DesiredLrpCreate, there: &DesiredLrp) -> bool {
    let defining = |lrp: Value| {
        let Value::Object(mut members) = lrp else { return Value::Null };
        members.retain(|name, _| !NOT_DEFINING.contains(&name.as_str()));
        Value::Object(members)
    };
    let create = serde_json::to_value(create).expect("wire types become JSON");
    let there = serde_json::to_value(there).expect("wire types become JSON");
    defining(create) == defining(there)
}

/// Waits until all instances run, and have for long enough. One that has crashed so often that its next start waits will not be healthy soon
/// enough for anybody who deploys: it ends the wait.
async fn wait_running(
    client: &Client,
    guid: &str,
    wait_max: Duration,
    stable_for: Option<Duration>,
    report: &mut impl Report,
) -> Result<(), String> {
    let started = Instant::now();
    let (mut watch, mut steady) = (Watch::default(), Steady::default());
    loop {
        if let Some((rollout, (desired, instances))) = watch.look(looked(client, guid).await, report)? {
            if !rollout.is_done() {
                steady.end();
            } else if steady.see(&instances) >= steady_for(stable_for, &desired, wait_max) {
                report.done(&format!("{guid}: {rollout}"));
                return Ok(());
            }
            if let Some(crashed) = instances.iter().find(|instance| instance.state == ActualLrpState::Crashed)
            {
                return Err(trouble(crashed));
            }
            if started.elapsed() >= wait_max {
                let over = format!("{guid} after {wait_max:?}: {rollout}");
                let short = rollout.is_done().then(|| "not for long enough".to_owned());
                let troubled = instances.iter().filter(|instance| instance.state != ActualLrpState::Running);
                return Err(std::iter::once(over)
                    .chain(short)
                    .chain(troubled.map(trouble))
                    .collect::<Vec<_>>()
                    .join("; "));
            }
        }
        watch.pause(started, wait_max).await?;
    }
}

async fn looked(client: &Client, guid: &str) -> Result<(Rollout, (DesiredLrp, Vec<ActualLrp>)), CallError> {
    let desired = client.desired_lrp(guid).await?;
    let instances = client.instances_of(guid).await?;
    Ok((Rollout::of(desired.instances, &instances), (desired, instances)))
}

async fn delete(
    client: &Client,
    guid: &str,
    wait_max: Duration,
    report: &mut impl Report,
) -> Result<(), String> {
    match client.remove_lrp(guid).await {
        Ok(()) => report.done(&format!("{guid} is not desired any more")),
        Err(error) if error.is_not_found() => report.done(&format!("{guid} was not desired")),
        Err(error) => return Err(told(error)),
    }
    let started = Instant::now();
    let mut watch = Watch::default();
    loop {
        let seen = client.instances_of(guid).await;
        let seen = seen.map(|instances| (Rollout::of(0, &instances), ()));
        if let Some((rollout, ())) = watch.look(seen, report)? {
            if rollout.is_done() {
                report.done(&format!("{guid} is gone"));
                return Ok(());
            }
            if started.elapsed() >= wait_max {
                return Err(format!("{guid} after {wait_max:?}: {} still stopping", rollout.leaving));
            }
        }
        watch.pause(started, wait_max).await?;
    }
}

/// Takes back an LRP that did not come to run, and adds to the reason what became of it.
async fn rolled_back(client: &Client, guid: &str, reason: String) -> String {
    match client.remove_lrp(guid).await {
        Ok(()) => format!("{reason}; {guid} was taken back"),
        Err(error) if error.is_not_found() => reason,
        Err(error) => format!("{reason}; {guid} could not be taken back: {}", told(error)),
    }
}

fn trouble(instance: &ActualLrp) -> String {
    let index = instance.index;
    let crashes = match instance.crash_count {
        0 => String::new(),
        count => format!("index {index} has crashed {count} times: {}", instance.crash_reason),
    };
    match instance.state {
        ActualLrpState::Unclaimed if !instance.placement_error.is_empty() => {
            format!("index {index} finds no cell: {}", instance.placement_error)
        }
        _ if !crashes.is_empty() => crashes,
        ActualLrpState::Claimed => format!("index {index} is not healthy yet"),
        _ => format!("index {index} waits for a cell"),
    }
}

fn told(error: CallError) -> String {
    error.to_string()
}

/// What a wait has seen so far.
struct Watch {
    pause: Duration,
    shown: Option<Rollout>,
    /// Whether the last look was answered.
    answered: bool,
}

impl Default for Watch {
    fn default() -> Self {
        Self { pause: LOOK_AGAIN_MIN, shown: None, answered: false }
    }
}

impl Watch {
    /// Takes what was seen; `None` when the cluster cannot answer for a while, as during a failover.
    fn look<T>(
        &mut self,
        seen: Result<(Rollout, T), CallError>,
        report: &mut impl Report,
    ) -> Result<Option<(Rollout, T)>, String> {
        self.answered = seen.is_ok();
        match seen {
            Ok((rollout, seen)) => {
                if self.shown.replace(rollout) != Some(rollout) {
                    report.status(&rollout.to_string());
                }
                Ok(Some((rollout, seen)))
            }
            Err(CallError::Unreachable { .. } | CallError::Timeout { .. }) => Ok(None),
            Err(CallError::Refused { status: 429 | 503, .. }) => Ok(None),
            Err(error) => Err(told(error)),
        }
    }

    /// Waits until the next look.
    async fn pause(&mut self, started: Instant, wait_max: Duration) -> Result<(), String> {
        // A cluster that does not answer any more cannot tell that the time is up.
        if !self.answered && started.elapsed() >= wait_max {
            return Err(format!("no node answered for the rest of {wait_max:?}"));
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LOOK_AGAIN_MAX);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
