//! What the processes of an instance are given, and how their ends are told.

use std::fs;

use capstan_model::lrp::{
    action::{EnvVar, Kind, ResourceLimits, Run},
    definition::Definition,
    isolation::Limit,
};
use capstan_node::instance::life::Observation;
use nix::unistd::geteuid;

use crate::{
    guardian_world::{is_alive, until},
    machine::{Machine, action, script, script_of, unwatched},
};

#[tokio::test]
async fn an_instance_runs_writes_and_exits() {
    let text = "echo one; echo two >&2; printf 'three\\rfour'; exit 17";
    let mut machine = Machine::new(unwatched(script(text))).await;
    machine.running().await;
    assert_eq!(machine.crashed().await, "Exited with status 17");
    assert!(!machine.world.file("instances").join(crate::machine::ID.to_string()).exists());
    let mut output = machine.output().await;
    assert_eq!(output[..2], ["APP Creating container", "APP Successfully created container"]);
    assert_eq!(output.last().unwrap(), "APP Exit status 17");
    // The two streams are two pipes, so lines of one may overtake those of the other.
    output[2..].sort();
    assert_eq!(output[2..], ["APP Exit status 17", "APP four", "APP one", "APP three", "APP two"]);
}

#[tokio::test]
async fn its_environment_is_that_of_the_reference() {
    let text = "echo $INSTANCE_INDEX $CF_INSTANCE_INDEX $INSTANCE_GUID $A $B $CF_INSTANCE_IP; \
                echo $CF_INSTANCE_PORTS $CF_INSTANCE_ADDR; \
                [ $CAPSTAN_PORT_8080 = $CF_INSTANCE_PORT ] && [ $PWD = $HOME ] && echo same; ulimit -n";
    let run = Run {
        env: vec![EnvVar { name: "B".into(), value: "own".into() }],
        resource_limits: ResourceLimits { nofile: Some(77) },
        ..match script(text).kinds.remove(0) {
            Kind::Run(run) => run,
            other => panic!("{other:?}"),
        }
    };
    let env = vec![EnvVar { name: "A".into(), value: "desired".into() }];
    let mut machine = Machine::new(Definition { env, ..unwatched(action(Kind::Run(run))) }).await;
    machine.running().await;
    machine.crashed().await;
    let output = machine.output().await;
    assert_eq!(output[2], "APP 3 3 01234567-89ab-4def-8123-456789abcdef desired own 127.0.0.1");
    let port: u16 = output[3].rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!(output[3], format!(r#"APP [{{"external":{port},"internal":8080}}] 127.0.0.1:{port}"#));
    assert_eq!(output[4..6], ["APP same", "APP 77"]);
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let missing = |run: Run| unwatched(action(Kind::Run(run)));
    let Kind::Run(run) = script("true").kinds.remove(0) else { panic!("no run") };
    let cases = [
        (
            missing(Run { path: "/no/such/program".into(), ..run.clone() }),
            "fork/exec /no/such/program: no such file or directory",
        ),
        (
            missing(Run { path: "no-such-program".into(), ..run.clone() }),
            "exec: \"no-such-program\": executable file not found in $PATH",
        ),
        (
            missing(Run { dir: "/no/such/folder".into(), ..run }),
            "chdir /no/such/folder: no such file or directory",
        ),
    ];
    for (definition, reason) in cases {
        let mut machine = Machine::new(definition).await;
        machine.running().await;
        assert_eq!(machine.crashed().await, reason);
    }
}

#[tokio::test]
async fn a_process_runs_as_its_user() {
    if !geteuid().is_root() {
        // Then all run as whoever this is.
        return;
    }
    let mut machine = Machine::new(unwatched(script_of("nobody", "id -un; pwd > mine; cat mine"))).await;
    machine.running().await;
    machine.crashed().await;
    let output = machine.output().await;
    assert_eq!(output[2], "APP nobody");
    assert!(output[3].ends_with(&crate::machine::ID.to_string()), "{output:?}");

    let mut machine = Machine::new(unwatched(script_of("no-such-user", "true"))).await;
    machine.running().await;
    assert_eq!(machine.crashed().await, "unable to find user no-such-user");
}

#[tokio::test]
async fn a_stop_is_graceful_then_not() {
    let cases = [
        ("trap 'echo bye; exit 0' TERM; echo $$ > ../../pid; while :; do sleep 0.01; done", true),
        // It leaves a child in its own session behind.
        ("setsid sleep 1000 & echo $! > ../../child; echo $$ > ../../pid; wait", false),
    ];
    for (text, says_bye) in cases {
        let mut machine = Machine::new(unwatched(script(text))).await;
        machine.running().await;
        let pid = machine.world.pid_in("pid").await;
        machine.stop.cancel();
        assert_eq!(machine.next().await, Observation::Stopped);
        assert!(!is_alive(pid));
        if !says_bye {
            let child = machine.world.pid_in("child").await;
            assert!(!is_alive(child), "what a process leaves ends with the instance");
        }
        assert_eq!(machine.output().await.contains(&"APP bye".to_owned()), says_bye);
    }
}

#[tokio::test]
async fn a_watched_daemon_outlives_the_process_that_made_it() {
    let daemon = "(setsid sh -c 'echo $$ > ../../daemon; echo up; exec sleep 1000' &); exit 0";
    let check = "kill -0 $(cat ../../daemon) && echo checked";
    let definition = Definition { monitor: Some(script(check)), ..unwatched(script(daemon)) };
    let mut machine = Machine::new(definition).await;
    machine.running().await;
    let daemon = machine.world.pid_in("daemon").await;
    assert!(is_alive(daemon));
    machine.stop.cancel();
    assert_eq!(machine.next().await, Observation::Stopped);
    assert!(!is_alive(daemon));
    let output = machine.output().await;
    assert!(output.contains(&"APP up".to_owned()), "{output:?}");
    assert!(output.contains(&"APP Container became healthy".to_owned()), "{output:?}");
    assert!(!output.contains(&"APP checked".to_owned()), "a check that succeeds is quiet: {output:?}");
}

#[tokio::test]
async fn one_that_takes_too_much_memory_ran_out_of_it() {
    let text = "tail -c 200000000 /dev/zero | tail > /dev/null; cat /proc/self/cgroup >&2; exit 9";
    let definition = Definition { memory_mb: 32, ..unwatched(script(text)) };
    let mut machine = Machine::new(definition).await;
    machine.running().await;
    let reason = machine.crashed().await;
    let unlimited = machine.world.executor.instances().unlimited().await.unwrap();
    let output = machine.output().await;
    let is_limited = output.iter().any(|line| line.contains(&crate::machine::ID.to_string()));
    let reasons = ["Exited with status 9", "Exited with status 9 (out of memory)"];
    assert_eq!(reason, reasons[usize::from(is_limited)], "{output:?}");
    let says_so = unlimited.iter().any(|unlimited| unlimited.limit == Limit::Memory);
    assert_eq!(says_so, !is_limited, "{unlimited:?}");
}

#[tokio::test]
async fn output_is_followed_while_it_is_written() {
    let text = "echo first; while ! [ -e ../../go ]; do sleep 0.01; done; echo second; sleep 1000";
    let mut machine = Machine::new(unwatched(script(text))).await;
    machine.running().await;
    let folder = crate::machine::output_folder(&machine.world);
    let read = || {
        let records =
            capstan_node::instance::output::read_from(&folder, Default::default(), u64::MAX).unwrap().records;
        records.last().map(|record| record.text.clone())
    };
    until("the first line", || read().as_deref() == Some("first")).await;
    fs::write(machine.world.file("go"), "").unwrap();
    until("the second line", || read().as_deref() == Some("second")).await;
    machine.stop.cancel();
    assert_eq!(machine.next().await, Observation::Stopped);
}
