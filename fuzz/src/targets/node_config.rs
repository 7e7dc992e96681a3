//! The configuration file of a node: settings or reasons, the same each time, and no period that overflows.

use std::path::Path;

use capstan_node::config::{Config, Settings};

use crate::{Seed, Target, Verdict};

pub(crate) const TARGET: Target = Target { name: "node_config", run, seeds };

fn run(input: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(input) else { return Verdict::Refused };
    let read = || {
        let settings = Settings::parse(text, Path::new("node.toml")).map_err(|error| error.to_string())?;
        Config::check(settings, true).map_err(|error| error.to_string())
    };
    let config = read();
    assert_eq!(config, read(), "a file means one thing");
    if let Ok(config) = &config {
        assert!(config.voters.contains(config.me()), "a node is one of the voters");
        assert_eq!(config.peers().len() + 1, config.voters.len(), "all others are its peers");
    }
    Verdict::of(config.is_ok())
}

fn seeds() -> Vec<Seed> {
    vec![Seed::new("one-voter", ONE_VOTER), Seed::new("three-voters", THREE_VOTERS)]
}

const ONE_VOTER: &str = "
[node]
id = 1
data = \"/var/lib/capstan\"

[[voter]]
id = 1
peer = \"127.0.0.1:8741\"
http = \"[::1]:8641\"
";

const THREE_VOTERS: &str = "
node = { id = 2, data = \"data\", worker_threads = 4 }
http.listen = \"0.0.0.0:8641\"
jobs.slots = 32
log = { format = \"json\", level = \"warn,capstan_node=debug\", color = false }
voter = [
  { id = 1, peer = \"a.example:8741\", http = \"a.example:8641\" },
  { id = 2, peer = \"b.example:8741\", http = \"b.example:8641\" },
  { id = 3, peer = \"c.example:8741\", http = \"c.example:8641\" },
]

[peer]
listen = \"0.0.0.0:8741\"
dial = { 3 = \"proxy.example:9000\" }

[timing]
raft_heartbeat = \"100ms\"
election_min = \"1s\"
election_max = \"1s 500ms\"
lease = \"5s\"
snapshot_bytes = \"64MiB\"
snapshot_every = \"1h\"
";
