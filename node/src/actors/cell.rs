//! The cell actor: starts what State gives this node as a cell, ends what State does not, and has what happens to it reported.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture};
use capstan_model::{
    command::Command,
    failpoint,
    lrp::{
        actual::{ActualKey, InstanceKey},
        cell::Announcement,
        command::LrpCommand,
        guid::Guid,
    },
    sometimes,
    state::State,
    task::Outcome,
    time::Timestamp,
};
use capstan_raft_store::{handle::ProposeOptions, runtime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Tools, hints};
use crate::{
    cell::{
        CellTools,
        counted::Counted,
        plan::{Held, Step, Unit, plan},
        report::{Reporter, Subject},
    },
    instance::{life::Life, task::TaskLife},
};

/// How often the actor looks without being told to: an announcement may have to be said again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Everything that can wake the cell actor.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) enum CellMessage {
    /// The state has moved; a hint.
    StateChanged,
    /// Nothing of this is left here, and its end is committed or was refused.
    Over(Unit),
}

/// Keeps what this node runs as a cell. What it holds ends with the node's life, and so does what State gives that life.
pub(crate) struct Cell {
    tools: Tools,
    cell: CellTools,
    reporter: Reporter,
    held: BTreeMap<Unit, Holding>,
    is_announcing: bool,
}

/// Something that is here, or is being reported.
struct Holding {
    /// Ends it when it is cancelled, which is how it is known that it was told to.
    stop: CancellationToken,
}

impl Cell {
    /// The actor of a node that is a cell; it lives as long as the node.
    pub(crate) fn new(tools: Tools, cell: CellTools) -> Self {
        let (cluster, entropy) = (tools.cluster.clone(), Arc::clone(&tools.entropy));
        let reporter = Reporter { cluster, entropy, counted: Counted::new() };
        Self { tools, cell, reporter, held: BTreeMap::new(), is_announcing: false }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let view = self.tools.cluster.view();
        let me = self.tools.cluster.incarnation();
        let held = self.held.iter().map(|(unit, holding)| (unit.clone(), holding.view())).collect();
        for step in plan(view.state(), me, &held) {
            match step {
                Step::Announce => self.announce(ctx),
                Step::Start(unit) => self.start(unit, view.state(), ctx),
                Step::Stop(unit) => {
                    sometimes!("a cell ends what it is to run no more");
                    tracing::debug!(?unit, "stopping");
                    self.held[&unit].stop.cancel();
                }
                Step::Disown(unit) => self.disown(unit, ctx),
            }
        }
    }

    fn announce(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.is_announcing, true) {
            return;
        }
        let CellTools { zone, capacity, rootfs, isolation, .. } = &self.cell;
        let announcement = Announcement {
            incarnation: self.tools.cluster.incarnation(),
            zone: zone.clone(),
            capacity: *capacity,
            rootfs: rootfs.clone(),
            isolation: isolation.clone(),
        };
        let command = Command::Lrp(LrpCommand::AnnounceCell(Box::new(announcement)));
        let cluster = self.tools.cluster.clone();
        let announced = async move { cluster.propose(command, ProposeOptions::progress()).await };
        ctx.spawn(announced.into_actor(self).map(|announced, cell, _ctx| {
            match announced.map(|committed| committed.reply) {
                Ok(Ok(_)) => tracing::info!("announced as a cell"),
                Ok(Err(rejection)) => tracing::warn!(%rejection, "refused as a cell"),
                Err(error) => tracing::debug!(%error, "not announced as a cell yet"),
            }
            cell.is_announcing = false;
        }));
    }

    fn start(&mut self, unit: Unit, state: &State, ctx: &mut Context<Self>) {
        failpoint!("instance: given, not started");
        tracing::debug!(?unit, "starting");
        match unit {
            Unit::Instance { key, instance } => self.start_instance(key, instance, state, ctx),
            Unit::Task { guid, created_at } => self.start_task(guid, created_at, state, ctx),
        }
    }

    fn start_instance(
        &mut self,
        key: ActualKey,
        instance: InstanceKey,
        state: &State,
        ctx: &mut Context<Self>,
    ) {
        let unit = Unit::Instance { key: key.clone(), instance };
        // Its record would be gone, or to be stopped, without what it is a record of.
        let Some(desired) = state.lrps.desired(key.guid.as_str()) else { return self.disown(unit, ctx) };
        let definition = Arc::clone(&desired.definition);
        self.reporter.counted.starts.increment(1);
        let (stop, reporter) = (self.hold(&unit), self.reporter.clone());
        let driven = match self.cell.drivers.instance(&key, instance, &definition) {
            Ok(driven) => driven,
            Err(reason) => {
                tracing::warn!(%key, reason, "an instance cannot be made");
                let reason = format!("failed to initialize container: {reason}");
                let report = async move { reporter.failed(key, instance, &reason).await };
                return self.run_to_its_end(unit, report, ctx);
            }
        };
        let (observations, seen) = mpsc::unbounded_channel();
        let checks = Arc::clone(&self.cell.checks);
        let life = Life { definition, driver: driven.driver, checks, stop, observations };
        let subject = Subject { key, instance, net: driven.net };
        self.run_to_its_end(
            unit,
            async move {
                futures::join!(life.live(), reporter.follow(&subject, seen));
            },
            ctx,
        );
    }

    fn start_task(&mut self, guid: Guid, created_at: Timestamp, state: &State, ctx: &mut Context<Self>) {
        let task = state.tasks.get(guid.as_str()).expect("it was found on this cell");
        let unit = Unit::Task { guid: guid.clone(), created_at };
        let (stop, reporter) = (self.hold(&unit), self.reporter.clone());
        self.reporter.counted.tasks.increment(1);
        let driver = self.cell.drivers.task(task, self.tools.entropy.u128());
        let definition = Arc::clone(&task.definition);
        let run = async move {
            let outcome = match driver {
                Ok(driver) => TaskLife { definition, driver, stop }.live().await,
                Err(reason) => Some(failed_task(&reason)),
            };
            if let Some(outcome) = outcome {
                reporter.task_ended(&guid, created_at, outcome).await;
            }
        };
        self.run_to_its_end(unit, run, ctx);
    }

    /// Says that something is not here. Of a task nobody can say so: one that runs is held from the moment it was given to this life.
    fn disown(&mut self, unit: Unit, ctx: &mut Context<Self>) {
        let Unit::Instance { key, instance } = &unit else { return };
        sometimes!("a cell was given what is to be stopped before it was started");
        let (key, instance, reporter) = (key.clone(), *instance, self.reporter.clone());
        self.hold(&unit).cancel();
        self.run_to_its_end(unit, async move { reporter.disown(key, instance).await }, ctx);
    }

    /// From now on it is here.
    fn hold(&mut self, unit: &Unit) -> CancellationToken {
        let stop = CancellationToken::new();
        self.held.insert(unit.clone(), Holding { stop: stop.clone() });
        stop
    }

    /// Lives and reports on the node's runtime, beside the actors: what an instance does takes none of their time.
    fn run_to_its_end(
        &self,
        unit: Unit,
        run: impl Future<Output = ()> + Send + 'static,
        ctx: &Context<Self>,
    ) {
        let (actor, alarm): (Addr<Self>, _) = (ctx.address(), self.tools.alarm.clone());
        runtime::spawn(async move {
            let _alarm = alarm;
            run.await;
            // A stopped actor's node has ended.
            let _ = actor.send(CellMessage::Over(unit)).await;
        });
    }
}

fn failed_task(reason: &str) -> Outcome {
    let failure_reason = format!("failed to initialize container: {reason}").into();
    Outcome { failed: true, failure_reason, result: "".into() }
}

impl Holding {
    fn view(&self) -> Held {
        if self.stop.is_cancelled() { Held::Stopping } else { Held::Going }
    }
}

impl Actor for Cell {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        hints::follow(&self.tools.cluster, ctx.address(), || CellMessage::StateChanged);
        self.look(ctx);
        ctx.run_interval(LOOK_EVERY, Self::look);
    }
}

impl Handler<CellMessage> for Cell {
    type Result = ();

    fn handle(&mut self, message: CellMessage, ctx: &mut Self::Context) {
        match message {
            CellMessage::StateChanged => {}
            CellMessage::Over(unit) => {
                self.held.remove(&unit);
            }
        }
        self.look(ctx);
    }
}
