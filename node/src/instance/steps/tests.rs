//! All nine kinds, with a machine that keeps to a script, in virtual time.

use std::time::Duration;

use capstan_model::lrp::action::{Action, Download, EmitProgress, Kind, List, Run, Timeout, Try, Upload};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Ended, Scope, perform};
use crate::instance::{
    driver::{ProcessEnd, Signal, UploadError},
    fake::{Fake, Program, action, boxed, list, runs},
};

const SEC: Duration = Duration::from_secs(1);

/// Runs an action that nobody cancels.
async fn run(fake: &Fake, action: &Action) -> Result<(), String> {
    text(perform(fake, action, Scope::new("APP".into(), CancellationToken::new())).await)
}

/// Runs an action that is cancelled after a while; returns also how long it took in all.
async fn cancelled_after(fake: &Fake, action: &Action, wait: Duration) -> (Result<(), String>, Duration) {
    let cancel = CancellationToken::new();
    let begun = Instant::now();
    let canceller = async {
        tokio::time::sleep(wait).await;
        cancel.cancel();
    };
    let (ended, ()) =
        tokio::join!(perform(fake, action, Scope::new("APP".into(), cancel.clone())), canceller);
    (text(ended), begun.elapsed())
}

fn text(ended: Ended) -> Result<(), String> {
    ended.map_err(|failure| failure.to_string())
}

fn failed(text: &str) -> Result<(), String> {
    Err(text.to_owned())
}

fn timeout(nanos: i64, inner: Action) -> Action {
    action(Kind::Timeout(Timeout { action: boxed(inner), timeout_ns: nanos, log_source: "".into() }))
}

fn parallel(actions: impl IntoIterator<Item = Action>) -> Action {
    action(Kind::Parallel(list(actions)))
}

fn serial(actions: impl IntoIterator<Item = Action>) -> Action {
    action(Kind::Serial(list(actions)))
}

fn codependent(actions: impl IntoIterator<Item = Action>) -> Action {
    action(Kind::Codependent(list(actions)))
}

/// Programs that exit with 0 and 17 after one and two seconds, one that serves, and one deaf to SIGTERM.
fn programs() -> Fake {
    let deaf = Program { after_term: None, ..Program::serves() };
    let immortal = Program { after_kill: None, ..deaf.clone() };
    let starved = ProcessEnd::Exited { status: 137, out_of_memory: true, held: vec![] };
    let unscathed = ProcessEnd::Exited { status: 0, out_of_memory: true, held: vec![] };
    Fake::new([
        ("good", Program::exits(0, SEC)),
        ("bad", Program::exits(17, 2 * SEC)),
        ("serves", Program::serves()),
        ("deaf", deaf),
        ("immortal", immortal),
        ("starved", Program { end: starved, ..Program::exits(0, SEC) }),
        ("unscathed", Program { end: unscathed, ..Program::exits(0, SEC) }),
        ("missing", Program { end: ProcessEnd::Failed("no such file".into()), ..Program::exits(0, SEC) }),
    ])
}

#[tokio::test(start_paused = true)]
async fn a_run_succeeds_with_status_zero_alone() {
    let cases = [
        ("good", Ok(()), vec!["out APP Exit status 0"]),
        ("bad", failed("Exited with status 17"), vec!["out APP Exit status 17"]),
        (
            "starved",
            failed("Exited with status 137 (out of memory)"),
            vec!["out APP Exit status 137 (out of memory)"],
        ),
        ("unscathed", Ok(()), vec!["out APP Exit status 0"]),
        ("missing", failed("no such file"), vec![]),
        ("unknown", failed("no such program"), vec![]),
    ];
    for (path, ended, said) in cases {
        let fake = programs();
        assert_eq!(run(&fake, &runs(path)).await, ended, "{path}");
        assert_eq!(fake.said(), said, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_gets_sigterm_then_sigkill_and_is_waited_for() {
    let (term, kill) = (Signal::Terminate, Signal::Kill);
    let cases = [
        ("serves", "cancelled", vec![(term, 1)], 1),
        ("deaf", "cancelled", vec![(term, 1), (kill, 11)], 11),
        ("immortal", "process did not exit", vec![(term, 1), (kill, 11)], 71),
    ];
    for (path, reason, signals, took) in cases {
        let fake = programs();
        let begun = Instant::now();
        let (ended, elapsed) = cancelled_after(&fake, &runs(path), SEC).await;
        assert_eq!((ended, elapsed.as_secs()), (failed(reason), took), "{path}");
        let told = fake.told().into_iter().map(|(_, signal, at)| (signal, (at - begun).as_secs()));
        assert_eq!(told.collect::<Vec<_>>(), signals, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_started_once_cancelled() {
    let fake = programs();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let attempt = |path| action(Kind::Try(Try { action: boxed(runs(path)), log_source: "".into() }));
    let steps = serial([attempt("good"), attempt("good")]);
    let ended = perform(&fake, &steps, Scope::new("APP".into(), cancel)).await;
    assert_eq!(text(ended), failed("cancelled"));
    assert!(fake.started().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_timeout_says_so_and_quotes_what_may_be_quoted() {
    let cases = [
        (3_000_000_000, runs("good"), Ok(()), 1),
        (3_000_000_000, runs("bad"), failed("Exited with status 17"), 2),
        (1_500_000_000, runs("bad"), failed("exceeded 1.5s timeout"), 1),
        (2_000_000_000, runs("deaf"), failed("exceeded 2s timeout"), 12),
        (90_000_000_000, timeout(60_000_000_000, runs("serves")), failed("exceeded 1m0s timeout"), 60),
        (60_000_000_000, parallel([runs("bad"), runs("serves")]), failed("exceeded 1m0s timeout"), 60),
        // The inner one runs out of its time while the outer one cancels it.
        (
            1_000_000_000,
            timeout(5_000_000_000, runs("deaf")),
            failed("exceeded 1s timeout; exceeded 5s timeout"),
            11,
        ),
    ];
    for (nanos, inner, ended, secs) in cases {
        let begun = Instant::now();
        assert_eq!(run(&programs(), &timeout(nanos, inner.clone())).await, ended, "{inner:?}");
        assert_eq!(begun.elapsed().as_secs(), secs, "{inner:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_try_never_fails() {
    let attempt = action(Kind::Try(Try { action: boxed(runs("bad")), log_source: "".into() }));
    assert_eq!(run(&programs(), &attempt).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn serial_stops_at_the_first_failure() {
    let fake = programs();
    let steps = serial([runs("good"), runs("bad"), runs("good")]);
    assert_eq!(run(&fake, &steps).await, failed("Exited with status 17"));
    assert_eq!(fake.started().len(), 2);
    assert_eq!(run(&programs(), &serial([runs("good"), runs("good")])).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn parallel_waits_for_all_and_cancels_none() {
    let begun = Instant::now();
    let longer = ("longer", Program::exits(3, 9 * SEC));
    let fake = Fake::new([longer, ("bad", Program::exits(17, 2 * SEC)), ("good", Program::exits(0, SEC))]);
    let ended = run(&fake, &parallel([runs("longer"), runs("good"), runs("bad")])).await;
    let texts = "2 error(s) occurred:\n\n* Exited with status 17\n* Exited with status 3";
    assert_eq!(ended, failed(texts), "in the order in which they ended");
    assert_eq!(begun.elapsed(), 9 * SEC);
    assert_eq!(run(&programs(), &parallel([runs("good"), runs("good")])).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn codependent_ends_all_when_one_ends() {
    let cases = [
        (["good", "serves"], "2 error(s) occurred:\n\n* Codependent step exited\n* cancelled"),
        (["bad", "serves"], "2 error(s) occurred:\n\n* Exited with status 17\n* cancelled"),
        (["good", "good"], "2 error(s) occurred:\n\n* Codependent step exited\n* Codependent step exited"),
    ];
    for (paths, text) in cases {
        assert_eq!(run(&programs(), &codependent(paths.map(runs))).await, failed(text), "{paths:?}");
    }
    let (ended, took) = cancelled_after(&programs(), &codependent(["serves", "deaf"].map(runs)), SEC).await;
    assert_eq!(ended, failed("2 error(s) occurred:\n\n* cancelled\n* cancelled"));
    assert_eq!(took, 11 * SEC);
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_before_and_after() {
    let progress = |inner: Action, prefix: &str| {
        action(Kind::EmitProgress(EmitProgress {
            action: boxed(inner),
            start_message: "begins".into(),
            success_message: "done".into(),
            failure_message_prefix: prefix.into(),
            log_source: "PROGRESS".into(),
        }))
    };
    let cases = [
        (
            progress(runs("good"), "failed"),
            vec!["out PROGRESS begins", "out APP Exit status 0", "out PROGRESS done"],
        ),
        (
            progress(runs("bad"), "failed"),
            vec![
                "out PROGRESS begins",
                "out APP Exit status 17",
                "err PROGRESS failed: Exited with status 17",
            ],
        ),
        (progress(runs("missing"), "failed"), vec!["out PROGRESS begins", "err PROGRESS failed"]),
        (progress(runs("bad"), ""), vec!["out PROGRESS begins", "out APP Exit status 17"]),
    ];
    for (action, said) in cases {
        let fake = programs();
        let ended = run(&fake, &action).await;
        assert_eq!(fake.said(), said);
        assert_eq!(ended.is_ok(), said.len() == 3 && said[2].contains("done"));
    }
}

#[tokio::test(start_paused = true)]
async fn sources_are_handed_down_by_some_kinds() {
    let sourced =
        |kind: fn(List) -> Kind| action(kind(List { log_source: "OUTER".into(), ..list([runs("good")]) }));
    let inner = boxed(runs("good"));
    let cases = [
        (
            action(Kind::Timeout(Timeout {
                action: inner.clone(),
                timeout_ns: i64::MAX,
                log_source: "OUTER".into(),
            })),
            "OUTER",
        ),
        (action(Kind::Try(Try { action: inner.clone(), log_source: "OUTER".into() })), "OUTER"),
        (sourced(Kind::Parallel), "OUTER"),
        (sourced(Kind::Codependent), "OUTER"),
        (sourced(Kind::Serial), "APP"),
        (
            action(Kind::EmitProgress(EmitProgress {
                action: inner,
                log_source: "OUTER".into(),
                ..EmitProgress::default()
            })),
            "APP",
        ),
        (action(Kind::Run(Run { path: "good".into(), log_source: "OWN".into(), ..Run::default() })), "OWN"),
    ];
    for (action, source) in cases {
        let fake = programs();
        // Codependent steps fail by nature; here the output counts.
        let _ = run(&fake, &action).await;
        assert_eq!(fake.said(), [format!("out {source} Exit status 0")], "{action:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_download_is_fetched_then_unpacked() {
    let download = |artifact: &str| {
        let download = Download { artifact: artifact.into(), from: "http://a".into(), ..Download::default() };
        action(Kind::Download(download))
    };
    let fetched = |fetched: Result<u64, &str>, unpack: Option<&str>| {
        let mut fake = Fake::default();
        fake.fetch = Some((3 * SEC, fetched.map_err(str::to_owned)));
        fake.unpack = unpack.map(str::to_owned);
        fake
    };
    let good = fetched(Ok(1_536), None);
    assert_eq!(run(&good, &download("app")).await, Ok(()));
    assert_eq!(good.said(), ["out APP Downloading app...", "out APP Downloaded app (1.5K)"]);
    let quiet = fetched(Ok(1), None);
    assert_eq!(run(&quiet, &download("")).await, Ok(()));
    assert!(quiet.said().is_empty());
    let lost = fetched(Err("404"), None);
    assert_eq!(run(&lost, &download("app")).await, failed("Downloading failed"));
    assert_eq!(lost.said(), ["out APP Downloading app...", "out APP Failed to download app"]);
    let damaged = fetched(Ok(1), Some("no archive"));
    assert_eq!(run(&damaged, &download("")).await, failed("Copying into the container failed"));
    let (ended, took) = cancelled_after(&fetched(Ok(1), None), &download(""), SEC).await;
    assert_eq!((ended, took), (failed("cancelled"), SEC));
}

#[tokio::test(start_paused = true)]
async fn an_upload_fails_with_a_text_for_each_step() {
    let cases = [
        (UploadError::TempDir, "Failed to create temp dir"),
        (UploadError::Establish, "Failed to establish stream from container"),
        (UploadError::NoFile, "Failed to find first item in tar stream"),
        (UploadError::TempFile, "Failed to create temp file"),
        (UploadError::Copy, "Failed to copy stream contents into temp file"),
        (UploadError::Call("https://key@host: 500".into()), "https://key@host: 500"),
    ];
    let upload = action(Kind::Upload(Upload { artifact: "droplet".into(), ..Upload::default() }));
    for (error, text) in cases {
        let mut fake = Fake::default();
        fake.upload = Some(Err(error));
        let wrapped = EmitProgress {
            action: boxed(upload.clone()),
            failure_message_prefix: "upload".into(),
            ..EmitProgress::default()
        };
        assert_eq!(run(&fake, &action(Kind::EmitProgress(wrapped))).await, failed(text));
        assert!(!fake.said().concat().contains("key"), "a secret in the output: {:?}", fake.said());
    }
    let mut fake = Fake::default();
    fake.upload = Some(Ok(2_048));
    assert_eq!(run(&fake, &upload).await, Ok(()));
    assert_eq!(fake.said(), ["out APP Uploading droplet...", "out APP Uploaded droplet (2K)"]);
}
