//! Whole lives with a machine that keeps to a script, in virtual time.

use std::{sync::Arc, time::Duration};

use capstan_model::lrp::{
    action::{Action, Kind, Try},
    definition::Definition,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Life, Observation};
use crate::instance::{
    driver::OpenError,
    fake::{Fake, Program, action, boxed, list, machine, runs},
    monitor::check_permits,
};

const SEC: Duration = Duration::from_secs(1);

/// A life under way.
struct Lived {
    stop: CancellationToken,
    observations: mpsc::UnboundedReceiver<Observation>,
    begun: Instant,
}

fn live(fake: &Arc<Fake>, definition: Definition) -> Lived {
    let (sender, observations) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let driver = Arc::clone(fake);
    let life = Life {
        definition: Arc::new(definition),
        driver,
        checks: check_permits(),
        stop: stop.clone(),
        observations: sender,
    };
    tokio::spawn(life.live());
    Lived { stop, observations, begun: Instant::now() }
}

impl Lived {
    /// What is seen next, and how long after the beginning, in half seconds.
    async fn next(&mut self) -> (Observation, u64) {
        let observation = self.observations.recv().await.expect("the last observation was made");
        (observation, u64::try_from(self.begun.elapsed().as_millis() / 500).unwrap())
    }

    /// Nothing is seen for a while.
    async fn nothing_for(&mut self, wait: Duration) {
        let seen = timeout(wait, self.observations.recv()).await;
        assert!(seen.is_err(), "{seen:?}");
    }

    async fn nothing_more(&mut self) {
        assert_eq!(self.observations.recv().await, None);
    }
}

fn crashed(reason: &str) -> Observation {
    Observation::Crashed { reason: Some(reason.to_owned()) }
}

fn unwatched(path: &str) -> Definition {
    Definition { action: runs(path), log_source: "APP".into(), ..Definition::default() }
}

fn watched(path: &str, check: &str, start_timeout_secs: u32) -> Definition {
    Definition { monitor: Some(runs(check)), start_timeout_secs, ..unwatched(path) }
}

fn exits(status: i32) -> Program {
    Program::exits(status, 2 * SEC)
}

/// A check takes no time.
fn checks(status: i32) -> Program {
    Program::exits(status, Duration::ZERO)
}

#[tokio::test(start_paused = true)]
async fn an_unwatched_action_that_exits_has_crashed_whatever_its_status() {
    for (status, reason) in [(17, Some("Exited with status 17".to_owned())), (0, None)] {
        let fake = machine([("app", exits(status))]);
        let mut life = live(&fake, unwatched("app"));
        assert_eq!(life.next().await, (Observation::Running, 0));
        assert_eq!(life.next().await, (Observation::Crashed { reason }, 4));
        life.nothing_more().await;
        assert_eq!(fake.closed(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_runs_once_its_setup_has_succeeded() {
    let fake = machine([("setup", exits(0)), ("app", Program::serves())]);
    let definition = Definition { setup: Some(runs("setup")), ..unwatched("app") };
    let mut life = live(&fake, definition);
    assert_eq!(life.next().await, (Observation::Running, 4));
    life.nothing_for(1_000 * SEC).await;
    assert_eq!(
        fake.said(),
        ["out APP Creating container", "out APP Successfully created container", "out APP Exit status 0"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_setup_that_fails_is_a_crash() {
    let fake = machine([("setup", exits(3)), ("app", Program::serves())]);
    let mut life = live(&fake, Definition { setup: Some(runs("setup")), ..unwatched("app") });
    assert_eq!(life.next().await, (crashed("Exited with status 3"), 4));
    life.nothing_more().await;
    assert_eq!(fake.started().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watched_instance_runs_once_a_check_succeeds() {
    let fake = machine([
        ("app", Program::serves()),
        ("check", checks(1)),
        ("check", checks(1)),
        ("check", checks(0)),
    ]);
    let mut life = live(&fake, watched("app", "check", 60));
    assert_eq!(life.next().await, (Observation::Running, 3));
    life.nothing_for(100 * SEC).await;
    // Three until it was healthy, then one every 30 s.
    assert_eq!(fake.started().len(), 1 + 3 + 3);
}

#[tokio::test(start_paused = true)]
async fn a_healthy_instance_whose_check_fails_has_crashed() {
    let fake = machine([("app", Program::serves()), ("check", checks(0)), ("check", checks(4))]);
    let mut life = live(&fake, watched("app", "check", 0));
    assert_eq!(life.next().await, (Observation::Running, 1));
    let reason = "2 error(s) occurred:\n\n* Exited with status 4\n* cancelled";
    assert_eq!(life.next().await, (crashed(reason), 61));
    // What the check wrote is shown now, and only now.
    let said = fake.said();
    assert_eq!(said.iter().filter(|line| line.contains("written")).count(), 1, "{said:?}");
    assert!(said.contains(&"out APP Container became unhealthy".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_watched_action_that_exits_well_has_become_a_daemon() {
    let fake = machine([("app", exits(0)), ("check", checks(0)), ("check", checks(0)), ("check", checks(1))]);
    let mut life = live(&fake, watched("app", "check", 0));
    assert_eq!(life.next().await, (Observation::Running, 1));
    assert_eq!(life.next().await, (crashed("1 error(s) occurred:\n\n* Exited with status 1"), 121));
}

#[tokio::test(start_paused = true)]
async fn a_watched_action_that_fails_has_crashed_at_once() {
    let fake = machine([("app", exits(9)), ("check", checks(0))]);
    let mut life = live(&fake, watched("app", "check", 0));
    assert_eq!(life.next().await, (Observation::Running, 1));
    let reason = "2 error(s) occurred:\n\n* Exited with status 9\n* cancelled";
    assert_eq!(life.next().await, (crashed(reason), 4));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_not_healthy_in_time_has_crashed() {
    let fake = machine([("setup", exits(0)), ("app", Program::serves()), ("check", checks(1))]);
    let definition = Definition { setup: Some(runs("setup")), ..watched("app", "check", 5) };
    let mut life = live(&fake, definition);
    let reason = "2 error(s) occurred:\n\n* Exited with status 1\n* cancelled";
    // Two seconds of setup do not count.
    assert_eq!(life.next().await, (crashed(reason), 14));
    assert!(fake.said().contains(&"err APP Timed out after 5s: health check never passed.".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn without_a_start_timeout_an_instance_may_be_unhealthy_for_ever() {
    let fake = machine([("app", Program::serves()), ("check", checks(1))]);
    let mut life = live(&fake, watched("app", "check", 0));
    life.nothing_for(1_000 * SEC).await;
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_holds_up_the_next() {
    let fake = machine([("app", Program::serves()), ("check", Program::serves())]);
    let mut life = live(&fake, watched("app", "check", 5));
    life.nothing_for(1_000 * SEC).await;
    assert_eq!(fake.started().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn codependent_steps_crash_together_and_parallel_ones_wait() {
    let fake = machine([("loop", Program::serves()), ("app", exits(0))]);
    let both = || list([runs("loop"), runs("app")]);
    let mut life = live(&fake, Definition { action: action(Kind::Codependent(both())), ..unwatched("") });
    assert_eq!(life.next().await, (Observation::Running, 0));
    let reason = "2 error(s) occurred:\n\n* Codependent step exited\n* cancelled";
    assert_eq!(life.next().await, (crashed(reason), 4));

    let fake = machine([("loop", Program::serves()), ("app", exits(2))]);
    let mut life = live(&fake, Definition { action: action(Kind::Parallel(both())), ..unwatched("") });
    assert_eq!(life.next().await, (Observation::Running, 0));
    life.nothing_for(1_000 * SEC).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_never_a_crash() {
    let attempt = |inner: Action| action(Kind::Try(Try { action: boxed(inner), log_source: "".into() }));
    let deaf = Program { after_term: None, ..Program::serves() };
    let programs = || {
        machine([
            ("serves", Program::serves()),
            ("deaf", deaf.clone()),
            ("well", checks(0)),
            ("ill", checks(1)),
            ("hangs", Program::serves()),
        ])
    };
    let cases = [
        (unwatched("serves"), 40),
        (unwatched("deaf"), 60),
        (Definition { action: attempt(runs("serves")), ..unwatched("") }, 40),
        (Definition { setup: Some(attempt(runs("serves"))), ..unwatched("serves") }, 40),
        (watched("serves", "well", 0), 40),
        (watched("serves", "ill", 0), 40),
        (watched("deaf", "hangs", 0), 60),
    ];
    for (definition, ended_at) in cases {
        let fake = programs();
        let mut life = live(&fake, definition.clone());
        tokio::time::sleep(20 * SEC).await;
        life.stop.cancel();
        let mut seen = life.next().await;
        if seen.0 == Observation::Running {
            seen = life.next().await;
        }
        assert_eq!(seen, (Observation::Stopped, ended_at), "{definition:?}");
        life.nothing_more().await;
        assert_eq!(fake.closed(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn one_stopped_before_it_began_starts_nothing() {
    let fake = machine([("app", Program::serves())]);
    let mut life = live(&fake, unwatched("app"));
    life.stop.cancel();
    assert_eq!(life.next().await.0, Observation::Stopped);
    assert!(fake.started().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_begin_is_refused_or_has_crashed() {
    let fake = machine([]);
    fake.refuse(OpenError::Refused("the guardian is gone".into()));
    let mut life = live(&fake, unwatched("app"));
    assert_eq!(life.next().await.0, Observation::Refused { reason: "the guardian is gone".into() });
    life.nothing_more().await;

    fake.refuse(OpenError::Failed("no host port is free".into()));
    let mut life = live(&fake, unwatched("app"));
    assert_eq!(life.next().await.0, crashed("failed to initialize container: no host port is free"));
    assert_eq!(fake.said().last().unwrap(), "err APP Failed to create container");
}

#[tokio::test(start_paused = true)]
async fn long_reasons_are_cut_between_characters() {
    let fake = Arc::new(Fake::default());
    fake.refuse(OpenError::Failed("é".repeat(1_000)));
    let (observation, _) = live(&fake, unwatched("app")).next().await;
    let Observation::Crashed { reason: Some(reason) } = observation else { panic!("{observation:?}") };
    assert_eq!(reason.len(), super::REASON_BYTES_MAX);
}
