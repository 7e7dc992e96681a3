//! The configuration as its author meets it: texts and flags in, a configuration or a message out.

#![expect(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for production code")]

use std::{path::Path, time::Duration};

use capstan_api::{Access, Credentials};
use capstan_model::ids::NodeId;
use capstan_node::config::{Config, LogFormat, ServerArgs};
use clap::Parser;

/// The server's part of the command line.
#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    server: ServerArgs,
}

const TWO_VOTERS: &str = r#"
[[voter]]
id = 2
peer = "127.0.0.1:8742"
http = "127.0.0.1:8642"
[[voter]]
id = 1
peer = "127.0.0.1:8741"
http = "127.0.0.1:8641"
"#;

/// Loads a file of that text with these flags.
fn load(text: &str, flags: &[&str]) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("capstan.toml");
    std::fs::write(&path, text).unwrap();
    let config = ["capstan", "--config", path.to_str().unwrap()];
    let cli = Cli::try_parse_from(config.iter().chain(flags)).map_err(|error| error.to_string())?;
    Config::load(cli.server)
        .map_err(|error| error.to_string().replace(path.to_str().unwrap(), "capstan.toml"))
}

fn with_voters(text: &str) -> String {
    format!("{text}\n{TWO_VOTERS}")
}

const NODE: &str = r#"node = { id = 1, data = "/var/lib/capstan" }"#;

#[test]
fn the_documented_file_is_a_configuration() {
    let text = r#"
node = { id = 1, data = "/var/lib/capstan" }
http = { listen = "127.0.0.1:8641" }
peer = { listen = "127.0.0.1:8741", dial = { 2 = "127.0.0.1:9742" } }
timing = { lease = "4s", snapshot_bytes = "1MiB" }
jobs = { slots = 3 }
log = { format = "json", level = "warn,capstan_node=debug" }
"#;
    let config = load(&with_voters(text), &[]).unwrap();
    assert_eq!((config.node, config.data.as_path()), (NodeId(1), Path::new("/var/lib/capstan")));
    assert_eq!((config.http_listen.port(), config.peer_listen.port()), (8641, 8741));
    assert_eq!(config.voters.iter().map(|voter| voter.id.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(config.me().http, "127.0.0.1:8641");
    assert_eq!(config.peers().into_iter().collect::<Vec<_>>(), [(NodeId(2), "127.0.0.1:9742".to_owned())]);
    assert_eq!((config.timing.lease, config.timing.snapshot_bytes), (Duration::from_secs(4), 1 << 20));
    assert_eq!((config.slots, config.log.format), (3, LogFormat::Json));
}

#[test]
fn credentials_are_a_name_and_a_password() {
    let with = |section: &str| with_voters(&format!("{NODE}\nreceptor = {{ {section} }}"));
    let config = load(&with(r#"username = "u", password = "a:b", cors = true"#), &[]).unwrap();
    let credentials = Credentials { username: "u".to_owned(), password: "a:b".to_owned() };
    assert_eq!(config.receptor, Access { credentials: Some(credentials), cors: true });
    assert!(!format!("{config:?}").contains("a:b"), "a password is not shown");
    assert_eq!(load(&with_voters(NODE), &[]).unwrap().receptor, Access::default());
    let flags = ["--receptor-password", "p"];
    assert!(load(&with(r#"username = "u""#), &flags).unwrap().receptor.credentials.is_some());
    let cases = [
        (r#"username = "u""#, "receptor.password is missing"),
        (r#"password = "p""#, "receptor.username is missing"),
        (r#"username = "a:b", password = "p""#, "receptor.username = \"a:b\""),
        (r#"username = "", password = "p""#, "receptor.username = \"\""),
    ];
    for (section, expected) in cases {
        let told = load(&with(section), &[]).unwrap_err();
        assert!(told.starts_with(expected), "{section}: {told}");
    }
}

#[test]
fn a_node_is_a_cell_unless_it_is_told_otherwise() {
    let with = |section: &str| with_voters(&format!("{NODE}\ncell = {{ {section} }}"));
    let cell = load(&with_voters(NODE), &[]).unwrap().cell.unwrap();
    assert_eq!((&*cell.zone, &*cell.address, cell.containers), ("default", "127.0.0.1", 256));
    assert_eq!((cell.rootfs, cell.ports), (vec!["host".to_owned()], 61_001..=65_535));
    assert_eq!((cell.memory_mb, cell.disk_mb, cell.allow_root, cell.netns), (None, None, false, false));
    assert_eq!(load(&with("enabled = false, ports = \"1-2\""), &[]).unwrap().cell, None);

    let section = r#"zone = "z1", address = "cell-1.example", memory_mb = 512, disk_mb = 0, containers = 3,
        rootfs = ["host", "cflinuxfs2"], ports = "2000-2009", allow_root = true, netns = true"#;
    let section = section.replace('\n', " ");
    let cell = load(&with(&section), &[]).unwrap().cell.unwrap();
    assert_eq!((&*cell.zone, &*cell.address, cell.containers), ("z1", "cell-1.example", 3));
    assert_eq!((cell.memory_mb, cell.disk_mb, cell.allow_root, cell.netns), (Some(512), Some(0), true, true));
    assert_eq!((cell.rootfs.len(), cell.ports), (2, 2_000..=2_009));
    let flags =
        ["--cell-zone", "z2", "--cell-rootfs", "a,b,c", "--cell-ports", "7-7", "--cell-memory-mb", "9"];
    let cell = load(&with(&section), &flags).unwrap().cell.unwrap();
    assert_eq!((&*cell.zone, cell.rootfs.len(), cell.ports, cell.memory_mb), ("z2", 3, 7..=7, Some(9)));
    assert_eq!(cell.containers, 3, "what no flag names stays");

    let cases = [
        (r#"zone = " ""#, "cell.zone is empty"),
        (r#"address = "0.0.0.0""#, "cell.address = \"0.0.0.0\": it is shown to callers"),
        ("memory_mb = 0", "cell.memory_mb = 0: a cell has some"),
        ("containers = 0", "cell.containers = 0: a cell has some"),
        (r#"rootfs = ["preloaded:host"]"#, "cell.rootfs: \"preloaded:host\" is no name"),
    ];
    for (section, expected) in cases {
        let told = load(&with(section), &[]).unwrap_err();
        assert!(told.starts_with(expected), "{section}: {told}");
    }
    for ports in ["0-5", "5-4", "5", "1-65536", ""] {
        let told = load(&with(&format!("ports = {ports:?}")), &[]).unwrap_err();
        assert!(
            told.contains(&format!("{ports:?} is not FIRST-LAST, such as 61001-65535")),
            "{ports}: {told}"
        );
    }
}

#[test]
fn listeners_default_to_the_voters_own_addresses() {
    let config = load(&with_voters(NODE), &[]).unwrap();
    assert_eq!(config.http_listen.to_string(), "127.0.0.1:8641");
    assert_eq!(config.peer_listen.to_string(), "127.0.0.1:8741");
}

#[test]
fn flags_win_over_the_file() {
    let flags = [
        "--node-id",
        "2",
        "--data",
        "/elsewhere",
        "--http-listen",
        "127.0.0.1:1",
        "--peer-listen",
        "127.0.0.1:2",
        "--peer-dial",
        "1=127.0.0.1:9",
        "--jobs-slots",
        "7",
        "--timing-lease",
        "3s",
        "--log-format",
        "json",
    ];
    let config = load(&with_voters(&format!("{NODE}\njobs = {{ slots = 3 }}")), &flags).unwrap();
    assert_eq!((config.node, config.data.to_str()), (NodeId(2), Some("/elsewhere")));
    assert_eq!((config.http_listen.port(), config.peer_listen.port()), (1, 2));
    assert_eq!(config.peers().into_iter().collect::<Vec<_>>(), [(NodeId(1), "127.0.0.1:9".to_owned())]);
    assert_eq!((config.slots, config.timing.lease), (7, Duration::from_secs(3)));
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn flags_alone_are_enough() {
    let flags = [
        "capstan",
        "--node-id",
        "1",
        "--node-data",
        "/d",
        "--voter",
        "1=127.0.0.1:2,127.0.0.1:1",
        "--voter",
        "2=b:2,b:1",
    ];
    let config = Config::load(Cli::try_parse_from(flags).unwrap().server).unwrap();
    assert_eq!(config.voters[1].http, "b:1");
    assert_eq!((config.http_listen.port(), config.peer_listen.port()), (1, 2));
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_what_would_be_right() {
    let cases: &[(&str, &[&str], &str)] = &[
        (
            "node = { id = 1, date = \"/d\" }",
            &[],
            "capstan.toml:1:18: in `node = { id = 1, date = \"/d\" }`: unknown key `date`; did you mean `data`? \
             (known here: id, data, worker_threads)",
        ),
        ("noode = { id = 1 }", &[], "unknown key `noode`; did you mean `node`?"),
        (
            "\n\nhttp = { listen = \"here\" }",
            &[],
            "capstan.toml:3:19: in `http = { listen = \"here\" }`: invalid socket address",
        ),
        ("node = { id = 1", &[], "capstan.toml:3:1: in `[[voter]]`: missing key for inline table element"),
        ("timing = { lease = \"5 parsecs\" }", &[], "capstan.toml:1:"),
        ("log = { format = \"xml\" }", &[], "unknown variant `xml`, expected `text` or `json`"),
        ("node = { id = 1 }", &[], "node.data is missing"),
        ("node = { data = \"/d\" }", &[], "node.id is missing"),
        (NODE, &["--node-id", "3"], "node.id = 3 is not among the voters (1, 2)"),
        (
            NODE,
            &["--peer-listen", "10.1.2.3:80"],
            "peer.listen = 10.1.2.3:80 can be reached from other machines",
        ),
        (NODE, &["--peer-listen", "127.0.0.1:8641"], "http.listen and peer.listen are both 127.0.0.1:8641"),
        (
            NODE,
            &["--peer-listen", "127.0.0.1:8742"],
            "voter 2: peer = 127.0.0.1:8742 is where this node listens",
        ),
        (NODE, &["--peer-dial", "1=127.0.0.1:9"], "peer.dial: 1 is this node itself"),
        (NODE, &["--peer-dial", "2=127.0.0.1:8741"], "points at this node itself"),
        (NODE, &["--peer-dial", "9=127.0.0.1:9"], "peer.dial: \"9\" is not the id of a voter"),
        (NODE, &["--peer-dial", "2=nowhere"], "is not host:port"),
        (NODE, &["--peer-dial", "2"], "expected ID=HOST:PORT"),
        (NODE, &["--jobs-slots", "0"], "jobs.slots = 0"),
        (NODE, &["--jobs-token", "0123456789abcdef"], "jobs.token: a token is ID.SECRET"),
        (NODE, &["--jobs-token", "ann.secret"], "jobs.token: a token is ID.SECRET"),
        (NODE, &["--specs", "/no/such"], "specs.directory = /no/such: there is no such directory"),
        (NODE, &["--timing-lease", "8s"], "timing: (ack_age_max + lease + kill) / 0.9"),
        (NODE, &["--log-level", "capstan=loud"], "log.level = \"capstan=loud\""),
        (NODE, &["--voter", "1=a:1,a:2", "--voter", "1=b:1,b:2"], "voter 1 is there twice"),
        (NODE, &["--voter", "1=a:1,a:2", "--voter", "2=a:1,b:2"], "voters 1 and 2 share the address a:1"),
        (NODE, &["--voter", "1=a:1,a:1"], "voter 1: peer and http are both a:1"),
        (
            NODE,
            &["--voter", "1=a:1,a:2"],
            "http.listen is missing, and this voter's own address is no IP address",
        ),
        (NODE, &["--voter", "0=a:1,a:2"], "ids count from 1"),
    ];
    for (text, flags, expected) in cases {
        let error = load(&with_voters(text), flags).unwrap_err();
        assert!(error.contains(expected), "{text} {flags:?}\n  said {error}\n  not  {expected}");
    }
}

#[test]
fn all_problems_are_said_at_once() {
    let error = load("jobs = { slots = 0 }", &[]).unwrap_err();
    for expected in ["there is no [[voter]]", "node.id is missing", "node.data is missing", "jobs.slots = 0"]
    {
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn other_machines_may_reach_a_node_that_is_told_so() {
    let flags = ["--http-listen", "0.0.0.0:80", "--peer-listen", "0.0.0.0:81", "--insecure"];
    let config = load(&with_voters(NODE), &flags).unwrap();
    assert_eq!((&*config.http_listen.to_string(), config.http_needs_auth), ("0.0.0.0:80", false));
    // Callers can be asked who they are; whether they are is seen once the state is there.
    let config = load(&with_voters(NODE), &["--http-listen", "0.0.0.0:80"]).unwrap();
    assert!(config.http_needs_auth);
    assert!(!load(&with_voters(NODE), &[]).unwrap().http_needs_auth);
}

#[test]
fn at_most_seven_vote() {
    let voters: Vec<_> = (1..=8).map(|i| format!("{i}=n{i}:1,n{i}:2")).collect();
    let flags: Vec<_> = voters.iter().flat_map(|voter| ["--voter", voter]).collect();
    let error =
        load(NODE, &[&flags[..], &["--http-listen", "127.0.0.1:1", "--peer-listen", "127.0.0.1:2"]].concat());
    assert!(error.unwrap_err().contains("8 voters: a cluster has at most 7"));
}

#[test]
fn a_missing_file_is_named() {
    let cli = Cli::try_parse_from(["capstan", "--config", "/no/such.toml"]).unwrap();
    let error = Config::load(cli.server).unwrap_err().to_string();
    assert!(error.contains("cannot read /no/such.toml: No such file"), "{error}");
}

#[test]
fn the_environment_wins_over_the_file_and_flags_over_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("capstan.toml");
    std::fs::write(&path, with_voters(NODE)).unwrap();
    let check = |flags: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_capstan"))
            .args(["server", "--check"])
            .args(flags)
            .env("CAPSTAN_CONFIG", &path)
            .env("CAPSTAN_NODE_ID", "2")
            .env("CAPSTAN_PEER_DIAL", "1=127.0.0.1:9,2=127.0.0.1:10")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), text)
    };
    // Each voter is told to dial itself, so the message shows which one it takes itself for.
    let (code, text) = check(&[]);
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("peer.dial: 2 is this node itself"), "{text}");
    let (code, text) = check(&["--node-id", "1"]);
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("peer.dial: 1 is this node itself"), "{text}");
}

#[test]
fn a_good_configuration_can_be_checked_without_starting_anything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("capstan.toml");
    std::fs::write(&path, with_voters(NODE)).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_capstan"));
    let output = command.args(["server", "--check", "--config"]).arg(&path).output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "the configuration of node 1 is fine\n");
}
