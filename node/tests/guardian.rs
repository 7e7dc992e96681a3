//! What becomes of processes that the guardian starts, seen through the executor.

mod guardian_world;

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use capstan_model::{
    ids::Epoch,
    workflow::{command::TryEnd, json::JsonText},
};
use capstan_node::{
    executor::{Executor, Limits, Outcome, ProcessKey, Standing, StartRefused, StartSpec, Started, TryKey},
    guardian::{frame::FRAME_BYTES_MAX, output::STREAM_BYTES_MAX},
};
use guardian_world::{World, is_alive, key, peak_memory, script, until};

const GRACE: Duration = Duration::from_secs(10);

fn stdout(outcome: &Arc<Outcome>) -> String {
    outcome.to_report(STREAM_BYTES_MAX).stdout.text()
}

#[tokio::test]
async fn the_exit_status_is_told() {
    let mut world = World::new().await;
    let cases = [
        ("true", TryEnd::Complete, 0, ""),
        ("exit 7", TryEnd::Failed, 7, "exit status 7"),
        ("exit 127", TryEnd::Failed, 127, "exit status 127"),
        ("kill -KILL $$", TryEnd::Failed, 137, "signal: killed"),
        ("kill -TERM $$", TryEnd::Failed, 143, "signal: terminated"),
        // A real-time signal, which nix has no name for.
        ("kill -40 $$", TryEnd::Failed, 168, "signal: signal 40"),
    ];
    for (number, (text, verdict, exit, error)) in (1..).zip(cases) {
        let outcome = world.run(script(number, text)).await;
        assert_eq!((outcome.end, outcome.exit, &*outcome.error), (verdict, exit, error), "{text}");
        assert!(outcome.started_at.0 > 0 && outcome.started_at <= outcome.finished_at);
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_executed_is_no_exit_status() {
    let mut world = World::new().await;
    let plain = world.file("plain");
    fs::write(&plain, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    let plain = plain.display().to_string();
    let cases = [
        ("/no/such".to_owned(), "fork/exec /no/such: no such file or directory".to_owned()),
        (
            "no-such-program".to_owned(),
            "exec: \"no-such-program\": executable file not found in $PATH".to_owned(),
        ),
        (plain.clone(), format!("fork/exec {plain}: permission denied")),
        ("/tmp".to_owned(), "fork/exec /tmp: permission denied".to_owned()),
    ];
    for (number, (program, error)) in (1..).zip(cases) {
        let outcome = world.run(StartSpec::new(key(number), &*program)).await;
        assert_eq!((outcome.end, outcome.exit, &*outcome.error), (TryEnd::Failed, 1, &*error));
    }
    let elsewhere = StartSpec { directory: Some("/no/such".into()), ..StartSpec::new(key(9), "true") };
    assert_eq!(&*world.run(elsewhere).await.error, "chdir /no/such: no such file or directory");
}

#[tokio::test]
async fn both_streams_are_captured() {
    let mut world = World::new().await;
    let outcome = world.run(script(1, r"echo out; echo err >&2; printf 'bad \377 byte'")).await;
    assert_eq!(stdout(&outcome), "out\nbad \u{fffd} byte");
    assert_eq!(outcome.to_report(STREAM_BYTES_MAX).stderr.text(), "err\n");
}

#[tokio::test]
async fn a_flood_of_output_costs_no_memory() {
    let mut world = World::new().await;
    let outcome = world.run(script(1, "head -c 104857600 /dev/zero | tr '\\0' 'x'; echo end")).await;
    assert_eq!(outcome.end, TryEnd::Complete);
    let text = stdout(&outcome);
    let (mark, kept) = text.split_once('\n').unwrap();
    assert_eq!(mark, format!("[{} bytes were cut here]", 104_857_600 + 4 - STREAM_BYTES_MAX));
    assert_eq!(kept.len(), STREAM_BYTES_MAX);
    assert!(kept.starts_with('x') && kept.ends_with("xend\n"));
    let peak = peak_memory(world.guardian);
    assert!(peak < 64 * 1024 * 1024, "the guardian took {peak} bytes");
}

#[tokio::test]
async fn input_is_given_or_empty() {
    let mut world = World::new().await;
    let mut echo = StartSpec::new(key(1), "cat");
    assert_eq!(stdout(&world.run(echo.clone()).await), "");
    echo.key = key(2).into();
    echo.stdin = "line\n".repeat(100_000).into_bytes();
    let outcome = world.run(echo).await;
    assert!(stdout(&outcome).ends_with("line\nline\n"));
    assert_eq!(outcome.end, TryEnd::Complete);
    // More than a pipe holds, for a program that never reads.
    let deaf = StartSpec { stdin: vec![0; 1024 * 1024], ..script(3, "echo done") };
    assert_eq!(stdout(&world.run(deaf).await), "done\n");
}

#[tokio::test]
async fn the_environment_is_small_and_says_who_is_who() {
    let mut world = World::new().await;
    let env =
        vec![("GREETING".to_owned(), "hi there".to_owned()), ("CAPSTAN_TRY".to_owned(), "99".to_owned())];
    let outcome = world.run(StartSpec { env, ..StartSpec::new(key(4), "env") }).await;
    let text = stdout(&outcome);
    let mut names: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).collect();
    names.sort_unstable();
    let data = world.folder.path().canonicalize().unwrap();
    let folder = data.join("jobs").join(format!("{}-jobA-4-3", key(4).request));
    let (result, status) = (folder.join("result"), folder.join("status"));
    let value = |name| names.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
    let expected = [
        ("CAPSTAN_REQUEST_ID", &*key(4).request.to_string()),
        ("CAPSTAN_JOB_ID", "jobA"),
        ("CAPSTAN_TRY", "4"),
        ("CAPSTAN_EPOCH", "3"),
        ("CAPSTAN_NODE_ID", "7"),
        ("CAPSTAN_INCARNATION", "7.1.000000000000feed"),
        ("CAPSTAN_RESULT", result.to_str().unwrap()),
        ("CAPSTAN_STATUS", status.to_str().unwrap()),
        ("GREETING", "hi there"),
    ];
    for (name, expected) in expected {
        assert_eq!(value(name), Some(expected), "{name}");
    }
    let usual = ["CAPSTAN_KEY", "CAPSTAN_NODE_DIR", "HOME", "LANG", "PATH", "PWD", "TZ"];
    let unexpected = names
        .iter()
        .find(|(name, _)| !usual.contains(name) && expected.iter().all(|(expected, _)| expected != name));
    assert_eq!(unexpected, None);
}

#[tokio::test]
async fn nothing_of_the_guardian_is_inherited() {
    let mut world = World::new().await;
    let outcome =
        world.run(script(1, "grep SigBlk /proc/self/status; ls /proc/self/fd; ulimit -n; pwd")).await;
    let text = stdout(&outcome);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("SigBlk:\t0000000000000000"));
    // The fourth is the folder that `ls` reads.
    assert_eq!(lines.by_ref().take(4).collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    let (soft, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    assert_eq!(lines.next(), Some(&*soft.to_string()));
    assert!(lines.next().is_some_and(|folder| folder.ends_with("-jobA-1-3")), "{outcome:?}");

    let limited = StartSpec { limits: Limits { open_files: Some(77) }, ..script(2, "ulimit -n; ulimit -Hn") };
    assert_eq!(stdout(&world.run(limited).await), "77\n77\n");
}

#[tokio::test]
async fn a_job_stops_when_asked() {
    let mut world = World::new().await;
    world.start(script(1, &format!("echo $$ > {}; exec sleep 100", world.file("pid").display()))).await;
    let pid = world.pid_in("pid").await;
    world.executor.stop(key(1).into(), GRACE);
    let outcome = world.next_end().await;
    assert_eq!((outcome.end, outcome.exit), (TryEnd::Stopped, 143));
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_job_that_completes_its_work_on_sigterm_is_complete() {
    let mut world = World::new().await;
    let text = "trap 'echo saved; exit 0' TERM; echo $$ > ../../pid; while :; do sleep 0.01; done";
    world.start(script(1, text)).await;
    world.pid_in("pid").await;
    world.executor.stop(key(1).into(), GRACE);
    let outcome = world.next_end().await;
    assert_eq!((outcome.end, &*stdout(&outcome)), (TryEnd::Complete, "saved\n"));
}

#[tokio::test]
async fn a_job_that_ignores_sigterm_is_killed_after_its_grace_and_fails() {
    let mut world = World::new().await;
    let text = "trap '' TERM; setsid sh -c 'echo $$ > ../../child; exec sleep 100' & \
                echo $$ > ../../pid; while :; do sleep 100; done";
    world.start(script(1, text)).await;
    let (pid, child) = (world.pid_in("pid").await, world.pid_in("child").await);
    world.executor.stop(key(1).into(), GRACE);
    // A second, shorter grace counts; a longer one would not.
    world.executor.stop(key(1).into(), Duration::from_millis(50));
    world.executor.stop(key(1).into(), GRACE);
    let outcome = world.next_end().await;
    assert_eq!((outcome.end, outcome.exit), (TryEnd::KilledStopping, 137));
    assert_eq!(&*outcome.error, "did not stop in time and was killed");
    assert!(outcome.finished_at.since(outcome.started_at) < GRACE / 2);
    assert!(!is_alive(pid) && !is_alive(child));
}

#[tokio::test]
async fn what_a_job_leaves_behind_ends_with_it() {
    let mut world = World::new().await;
    // One in the job's group that holds its output open, and one that became a daemon.
    let text = "sleep 100 & echo $! > ../../kept; \
                (setsid sh -c 'sh -c \"echo \\$\\$ > ../../daemon; exec sleep 100\" &' &); \
                while ! [ -s ../../daemon ]; do sleep 0.01; done; echo done";
    let outcome = world.run(script(1, text)).await;
    assert_eq!((outcome.end, &*stdout(&outcome)), (TryEnd::Complete, "done\n"));
    assert!(!is_alive(world.pid_in("kept").await));
    assert!(!is_alive(world.pid_in("daemon").await));
}

#[tokio::test]
async fn a_key_is_started_once() {
    let mut world = World::new().await;
    let text = "echo run >> ../../runs; while ! [ -e ../../go ]; do sleep 0.01; done";
    world.start(script(1, text)).await;
    let again = world.executor.start(script(1, text)).await.unwrap();
    assert!(matches!(again, Started::Before(Standing::Running)), "{again:?}");
    let listed = world.executor.register().await.unwrap();
    assert!(
        matches!(&*listed, [one] if one.key == key(1).into() && matches!(one.standing, Standing::Running))
    );

    // Running processes are not forgotten.
    world.executor.forget(key(1).into());
    fs::write(world.file("go"), "").unwrap();
    let outcome = world.next_end().await;
    let again = world.executor.start(script(1, text)).await.unwrap();
    let Started::Before(Standing::Ended(known)) = again else { panic!("{again:?}") };
    assert!(Arc::ptr_eq(&known, &outcome));
    let listed = world.executor.register().await.unwrap();
    assert!(matches!(&listed[0].standing, Standing::Ended(known) if Arc::ptr_eq(known, &outcome)));

    let folder = world.file("jobs").join(ProcessKey::from(key(1)).to_string());
    assert!(folder.is_dir());
    world.executor.forget(key(1).into());
    assert!(world.executor.register().await.unwrap().is_empty());
    let refused = world.executor.start(script(1, text)).await.unwrap_err();
    assert_eq!(refused, StartRefused::Settled { key: key(1).into() });
    until("the scratch folder to go", || !folder.exists()).await;
    assert_eq!(fs::read_to_string(world.file("runs")).unwrap(), "run\n");

    // Another epoch is another start.
    let mut later = script(1, text);
    later.key = ProcessKey::Try(TryKey { epoch: Epoch(4), ..key(1) });
    assert_eq!(world.run(later).await.end, TryEnd::Complete);
}

#[tokio::test]
async fn a_result_file_says_more_than_the_exit_status() {
    let mut world = World::new().await;
    let text = r#"printf '{"state":"FAIL","exit":5,"error":"no quota"}' > $CAPSTAN_RESULT"#;
    let outcome = world.run(script(1, text)).await;
    assert_eq!((outcome.end, outcome.exit, &*outcome.error), (TryEnd::Failed, 5, "no quota"));
    let text = r#"printf '{"state":"COMPLETE","jobData":{"vm":"db7"}}' > $CAPSTAN_RESULT; exit 3"#;
    let outcome = world.run(script(2, text)).await;
    assert_eq!((outcome.end, outcome.exit), (TryEnd::Complete, 3));
    assert_eq!(outcome.job_data["vm"], JsonText::string("db7"));
    let outcome = world.run(script(3, "echo '{' > $CAPSTAN_RESULT")).await;
    assert_eq!(outcome.end, TryEnd::Failed);
    assert!(outcome.error.contains("result file"), "{}", outcome.error);
}

#[tokio::test]
async fn the_real_time_status_is_the_last_line() {
    let mut world = World::new().await;
    let text = "echo one >> $CAPSTAN_STATUS; echo two >> $CAPSTAN_STATUS; \
                echo $$ > ../../pid; while ! [ -e ../../go ]; do sleep 0.01; done";
    assert_eq!(world.executor.status(key(1).into()).await, None);
    world.start(script(1, text)).await;
    world.pid_in("pid").await;
    assert_eq!(world.executor.status(key(1).into()).await.as_deref(), Some("two"));
    fs::write(world.file("go"), "").unwrap();
    world.next_end().await;
}

#[tokio::test]
async fn a_call_has_an_answer_a_deadline_and_no_place_in_the_register() {
    let world = World::new().await;
    let text = r#"printf '{"args":{"host":"db7"},"bytes":"aGk="}' > $CAPSTAN_RESULT"#;
    let outcome = world.executor.call(script(1, text), GRACE).await.unwrap();
    assert_eq!((outcome.end, &*outcome.created.bytes), (TryEnd::Complete, &b"hi"[..]));
    assert_eq!(outcome.created.args["host"], JsonText::string("db7"));
    let outcome = world.executor.call(script(1, "sleep 100"), Duration::from_millis(50)).await.unwrap();
    assert_eq!((outcome.end, &*outcome.error), (TryEnd::Failed, "ran out of time and was killed"));
    assert!(world.executor.register().await.unwrap().is_empty());
    until("the scratch folders to go", || fs::read_dir(world.file("jobs")).unwrap().next().is_none()).await;
}

#[tokio::test]
async fn what_cannot_be_started_is_refused() {
    let world = World::unbegun();
    assert_eq!(world.executor.start(script(1, "true")).await.unwrap_err(), StartRefused::NotBegun);
    let huge = StartSpec { stdin: vec![0; FRAME_BYTES_MAX], ..script(2, "true") };
    let refused = world.executor.start(huge).await.unwrap_err();
    assert!(matches!(refused, StartRefused::TooLarge { .. }), "{refused}");
}

#[tokio::test]
async fn many_jobs_run_at_once() {
    let mut world = World::new().await;
    for number in 1..=200 {
        world.start(script(number, "cat /proc/self/stat > /dev/null; echo $CAPSTAN_TRY")).await;
    }
    let mut seen = Vec::new();
    for _ in 1..=200 {
        seen.push(stdout(&world.next_end().await).trim().parse::<u32>().unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=200).collect::<Vec<_>>());
}
