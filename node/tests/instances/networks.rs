//! Instances with networks of their own. Making one takes root; elsewhere these tests say NOT RUN.
//!
//! What serves in them is this test program itself: [`program_of_an_instance`].

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
};

use capstan_model::lrp::definition::Definition;
use capstan_node::instance::{life::Observation, network::Networks};
use nix::{
    sys::signal::Signal,
    unistd::{Pid, geteuid},
};

use crate::{
    guardian_world::{World, is_alive, send, until},
    machine::{Machine, script, unwatched},
};

/// The port that every instance here listens on, in its own network.
const PORT: u16 = 7_077;

/// Where the machine listens for the instances of a test: each takes the same host ports. They are looked for on another address, so
/// that one can be taken here all the same.
fn listen(test: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 78, test).into()
}

fn may_run() -> bool {
    if !geteuid().is_root() {
        println!("NOT RUN: making a network takes root");
    }
    geteuid().is_root()
}

/// Serves what it is told on the port it is told, once for each caller: what it was sent, behind its network.
#[test]
#[ignore = "it is the program of the instances of these tests"]
fn program_of_an_instance() {
    let port = std::env::var(format!("CAPSTAN_PORT_{PORT}")).unwrap().parse().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    fs::write("up", format!("{}\n", std::process::id())).unwrap();
    loop {
        let (mut caller, _) = listener.accept().unwrap();
        let mut asked = String::new();
        caller.read_to_string(&mut asked).unwrap();
        write!(caller, "{} {asked}", network_of("self")).unwrap();
    }
}

/// The command that runs it.
fn serves() -> String {
    let program = std::env::current_exe().unwrap();
    format!("exec {} --exact networks::program_of_an_instance --ignored --nocapture", program.display())
}

fn serving() -> Definition {
    Definition { ports: vec![PORT], ..unwatched(script(&serves())) }
}

fn machine(test: u8, world: World, definition: Definition) -> Machine {
    Machine::in_networks(Networks::Own { listen: listen(test) }, world, definition)
}

/// The network of a process, as the kernel names it.
fn network_of(process: &str) -> String {
    let link = fs::read_link(format!("/proc/{process}/ns/net")).unwrap_or_default();
    link.display().to_string()
}

/// Waits until an instance serves, and returns its process.
async fn up(machine: &Machine) -> Pid {
    let folder = machine.world.file("instances").join(crate::machine::ID.to_string());
    crate::guardian_world::pid_in(&folder.join("up")).await
}

/// The process that passes the port of a guardian's only instance on, and where.
fn relay(machine: &Machine) -> (Pid, SocketAddr) {
    let children = format!("/proc/{0}/task/{0}/children", machine.world.guardian);
    let pids = fs::read_to_string(children).unwrap();
    let relays = pids.split_ascii_whitespace().filter_map(|pid| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let args: Vec<&str> = line.trim_end_matches('\0').split('\0').collect();
        let is_relay = args.len() > 5 && args[1] == "__relay";
        let address = || format!("{}:{}", args[3], args[5].split_once(':').unwrap().0);
        is_relay.then(|| (Pid::from_raw(pid.parse().unwrap()), address().parse().unwrap()))
    });
    let relays: Vec<_> = relays.collect();
    assert_eq!(relays.len(), 1, "one instance, one relay");
    relays[0]
}

/// Asks whoever is behind an address.
fn ask(address: SocketAddr, question: &str) -> std::io::Result<String> {
    let mut caller = TcpStream::connect(address)?;
    caller.write_all(question.as_bytes())?;
    caller.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    caller.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The processes and descriptors that hold a network.
fn holders(network: &str) -> Vec<String> {
    let names = |path: &Path| -> Vec<_> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let is_it = |path: &Path| fs::read_link(path).is_ok_and(|link| link == Path::new(network));
    let mut found = Vec::new();
    for process in names(Path::new("/proc")) {
        let descriptors = names(&process.join("fd"));
        let held = [process.join("ns/net")].into_iter().chain(descriptors).filter(|path| is_it(path));
        found.extend(held.map(|path| path.display().to_string()));
    }
    found
}

#[tokio::test]
async fn an_instance_is_reached_in_its_own_network() {
    if !may_run() {
        return;
    }
    // Taken on the machine, and free in the network of the instance.
    let _holder = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT));
    let mut machine = machine(1, World::new().await, serving());
    machine.running().await;
    let pid = up(&machine).await;
    let (relay, address) = relay(&machine);
    let network = network_of(&pid.to_string());
    assert!(network.starts_with("net:["), "{network}");
    assert_ne!(network, network_of("self"));
    for question in ["one", "two", ""] {
        assert_eq!(ask(address, question).unwrap(), format!("{network} {question}"));
    }

    machine.stop.cancel();
    assert_eq!(machine.next().await, Observation::Stopped);
    assert!(!is_alive(relay) && !is_alive(pid));
    until("nobody to hold the network", || holders(&network).is_empty()).await;
    assert!(ask(address, "anybody").is_err(), "the host port was given back");
}

#[tokio::test]
async fn all_processes_of_an_instance_are_in_one_network_with_nothing_but_loopback() {
    if !may_run() {
        return;
    }
    let tell = |who: &str| {
        format!("echo $(readlink /proc/self/ns/net) $(tail -n +3 /proc/net/dev | wc -l) > ../../{who}")
    };
    let definition = Definition {
        setup: Some(script(&tell("setup"))),
        monitor: Some(script(&tell("monitor"))),
        ..unwatched(script(&format!("{}; exec sleep 1000", tell("action"))))
    };
    let mut machine = machine(2, World::new().await, definition);
    machine.running().await;
    let told = |who: &str| fs::read_to_string(machine.world.file(who)).unwrap_or_default();
    until("the action", || told("action").ends_with('\n')).await;
    let action = told("action");
    assert_eq!([told("setup"), told("monitor")], [&*action; 2]);
    assert!(action.ends_with(" 1\n") && !action.starts_with(&network_of("self")), "{action}");
}

#[tokio::test]
async fn nothing_of_a_network_outlives_the_guardian() {
    if !may_run() {
        return;
    }
    let mut machine = machine(3, World::new().await, serving());
    machine.running().await;
    let pid = up(&machine).await;
    let (relay, _) = relay(&machine);
    let network = network_of(&pid.to_string());
    send(machine.world.guardian, Signal::SIGKILL);
    assert_eq!(machine.crashed().await, "the guardian is gone");
    until("its processes to die", || !is_alive(pid) && !is_alive(relay)).await;
    until("nobody to hold the network", || holders(&network).is_empty()).await;
}

#[tokio::test]
async fn an_instance_that_nobody_reaches_any_more_has_crashed() {
    if !may_run() {
        return;
    }
    let mut served = machine(4, World::new().await, serving());
    served.running().await;
    let pid = up(&served).await;
    let (relay, _) = relay(&served);
    send(relay, Signal::SIGKILL);
    assert_eq!(served.crashed().await, "the ports of the instance are not passed on: exit status 137");
    assert!(!is_alive(pid), "it is ended, so that it can begin anew");

    let world = World::new().await;
    let _holders: Vec<_> = (20_300..=20_400).map(|port| TcpListener::bind((listen(5), port))).collect();
    let mut refused = machine(5, world, serving());
    let reason = refused.crashed().await;
    assert!(reason.starts_with(
        "failed to initialize container: the ports of the instance are not passed on: listening on "
    ));
    assert!(reason.ends_with("Address already in use (os error 98)"), "{reason}");
}
