//! Golden transcripts: every file in `scripts/core` claims one behaviour of apply, and shows it.
//!
//! The commands of a block are one log entry, stamped a second after the last one (or as `at` says); the block's
//! output is their replies, then the events. Queries stand in blocks of their own. A command's id is `NODE.BOOT/NUMBER`. After
//! each entry the rows are loaded again and every invariant is checked. `UPDATE_GOLDENFILES=1` records.

mod common;

use std::{error::Error, fmt::Write, str::FromStr, sync::Arc};

use bytes::Bytes;
use capstan_model::{
    command::{self, Condition, Entry, Idempotency, IdempotencyScope, Sealed, Settled},
    event::Event,
    ids::{ClusterId, CommandId, DiskId, VariableName},
    reply::Reply,
    session::SessionReply,
    settings::Setting,
};
use common::{Replica, command_id, entry, incarnation, joined, sealed};
use goldenscript::{Block, Context};

/// What a script can say.
#[derive(goldenscript::Command)]
enum Command {
    /// Stamps the entry, in seconds.
    At(u64),
    /// Founds the cluster. The number is its id.
    Found(u128),
    /// A node's first heartbeat in a life, `NODE.BOOT`.
    Join {
        life: Life,
        #[arg(key)]
        disk: Option<u128>,
        #[arg(key)]
        nonce: Option<u64>,
    },
    /// A life is declared lost.
    Lose(Life),
    /// Sets a variable; `if` is a revision or `absent`, `key` an idempotency key.
    Put {
        id: Id,
        name: VariableName,
        value: String,
        #[arg(key = "if")]
        condition: Option<If>,
        #[arg(key)]
        key: Option<String>,
    },
    /// Sets a variable to a value of so many bytes.
    PutBytes {
        id: Id,
        name: VariableName,
        bytes: usize,
    },
    Delete {
        id: Id,
        name: VariableName,
        #[arg(key = "if")]
        condition: Option<If>,
    },
    Set {
        id: Id,
        name: String,
        value: String,
    },
    /// Sends bytes that are no command.
    Garble(Id),
    /// The sender waits for no command of this life below the number.
    Settle {
        life: Life,
        below: u64,
    },
    /// Applies the last entry once more, at its own index.
    Repeat,
    /// Query: variables in order.
    List {
        prefix: Option<String>,
        #[arg(key)]
        after: Option<String>,
        #[arg(key)]
        limit: Option<usize>,
    },
    /// Query: what is known of a command.
    Reply(Id),
    /// Query: everything but variables, in a few lines.
    Show,
}

struct Id(CommandId);

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (life, seq) = text.split_once('/').ok_or("an id is NODE.BOOT/NUMBER")?;
        let Life { node, boot } = life.parse()?;
        Ok(Self(command_id(node, boot, seq.parse().map_err(|e| format!("{e}"))?)))
    }
}

struct Life {
    node: u64,
    boot: u64,
}

impl FromStr for Life {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (node, boot) = text.split_once('.').ok_or("a life is NODE.BOOT")?;
        let number = |text: &str| text.parse().map_err(|e| format!("{text}: {e}"));
        Ok(Self { node: number(node)?, boot: number(boot)? })
    }
}

struct If(Condition);

impl FromStr for If {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "absent" => Ok(Self(Condition::Absent)),
            revision => Ok(Self(Condition::Revision(revision.parse().map_err(|e| format!("{e}"))?))),
        }
    }
}

#[derive(Default)]
struct Runner {
    replica: Replica,
    last: Option<(u64, Entry)>,
    /// The entry of the block being read.
    secs: u64,
    settled: Vec<Settled>,
    commands: Vec<Sealed>,
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        match command {
            Command::At(secs) => self.secs = *secs,
            Command::Found(id) => {
                self.push_natural(command::Command::FoundCluster { cluster: ClusterId(*id) });
            }
            Command::Join { life, disk, nonce } => {
                let mut joined = joined(life.node, life.boot);
                joined.disk = disk.map_or(joined.disk, DiskId);
                joined.incarnation.nonce = nonce.unwrap_or(0);
                self.push_natural(command::Command::NodeJoined(joined));
            }
            Command::Lose(life) => {
                self.push_natural(command::Command::NodeLost {
                    term: 0,
                    incarnation: incarnation(life.node, life.boot),
                });
            }
            Command::Put { id, name, value, condition, key } => {
                let call = key.as_ref().map(|key| call(key, name, value));
                let put = put(name, value.clone().into(), condition);
                self.commands.push(sealed(id.0, call, put));
            }
            Command::PutBytes { id, name, bytes } => {
                let put = put(name, vec![b'x'; *bytes].into(), &None);
                self.commands.push(sealed(id.0, None, put));
            }
            Command::Delete { id, name, condition } => {
                let condition = condition.as_ref().map_or(Condition::Any, |c| c.0);
                let delete = command::Command::DeleteVariable { name: name.clone(), condition };
                self.commands.push(sealed(id.0, None, delete));
            }
            Command::Set { id, name, value } => {
                let setting = Setting::parse(name, value)?;
                self.commands.push(sealed(id.0, None, command::Command::SetSetting(setting)));
            }
            Command::Garble(id) => {
                self.commands.push(Sealed { id: id.0, bytes: Bytes::from_static(b"\xffgarbage") });
            }
            Command::Settle { life, below } => {
                self.settled.push(Settled { incarnation: incarnation(life.node, life.boot), below: *below });
            }
            Command::Repeat => {
                let (index, entry) = self.last.clone().ok_or("there is no last entry")?;
                let before = self.replica.state.clone();
                let applied = self.replica.apply(index, &entry);
                assert_eq!(self.replica.state, before);
                return Ok(format!("{} replies, {} rows\n", applied.replies.len(), applied.rows.len()));
            }
            Command::List { prefix, after, limit } => {
                return Ok(self.list(
                    prefix.as_deref().unwrap_or(""),
                    after.as_deref(),
                    limit.unwrap_or(1_000),
                ));
            }
            Command::Reply(id) => {
                return Ok(match self.replica.state.session_reply(&id.0) {
                    SessionReply::Over => "over\n".to_owned(),
                    SessionReply::Open => "open\n".to_owned(),
                    SessionReply::Reply(reply) => format!("{}\n", describe_reply(&reply)),
                });
            }
            Command::Show => return Ok(self.show()),
        }
        Ok(String::new())
    }

    fn start_block(&mut self, _: &Block) -> Result<String, Box<dyn Error>> {
        self.secs = self.replica.state.log_time().as_secs() + 1;
        Ok(String::new())
    }

    fn end_block(&mut self, _: &Block) -> Result<String, Box<dyn Error>> {
        if self.commands.is_empty() && self.settled.is_empty() {
            return Ok(String::new());
        }
        let entry = entry(self.secs, std::mem::take(&mut self.settled), std::mem::take(&mut self.commands));
        let index = self.replica.state.index() + 1;
        let applied = self.replica.apply(index, &entry);
        self.last = Some((index, entry));
        let mut output = String::new();
        for (id, reply) in &applied.replies {
            writeln!(output, "{} {}", describe_id(id), describe_reply(reply))?;
        }
        for event in &applied.events {
            writeln!(output, "  {}", describe_event(event))?;
        }
        if applied.replies.is_empty() {
            writeln!(output, "applied")?;
        }
        Ok(output)
    }
}

impl Runner {
    /// Queues a command that needs no session, as the leader (node 1) would send it.
    fn push_natural(&mut self, command: command::Command) {
        self.commands.push(sealed(command_id(1, 1, 1_000), None, command));
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> String {
        let page = self.replica.state.variables.list(prefix, after, limit);
        let lines = page.variables.iter().map(|(name, variable)| {
            let value = String::from_utf8_lossy(&variable.value[..variable.value.len().min(20)]).into_owned();
            format!("{name} = {value} (revision {})\n", variable.revision)
        });
        let next = page.next.map(|name| format!("more after {name}\n"));
        lines.chain(next).collect()
    }

    fn show(&self) -> String {
        let state = &self.replica.state;
        let mut lines = vec![format!("index {}, log time {} s", state.index(), state.log_time().as_secs())];
        if let Some(cluster) = state.cluster {
            lines.push(format!("cluster {}, version {}", cluster.id, cluster.version));
        }
        for (id, node) in &state.nodes {
            lines.push(format!("node {id}: boot {}, disk {}", node.incarnation.boot, node.disk));
        }
        for session in state.sessions.iter() {
            let id = session.incarnation();
            let replies: Vec<_> = session.replies().into_keys().collect();
            lines.push(format!(
                "session {}.{}: from {}, replies {replies:?}",
                id.node,
                id.boot,
                session.lowest()
            ));
        }
        lines.push(format!("idempotency keys: {}", state.idempotency.len()));
        let defaults = capstan_model::settings::Settings::default().all();
        let changed = state.settings.all().into_iter().filter(|setting| !defaults.contains(setting));
        lines.extend(changed.map(|setting| format!("setting {} = {}", setting.name(), setting.value())));
        lines.join("\n") + "\n"
    }
}

fn put(name: &VariableName, value: Bytes, condition: &Option<If>) -> command::Command {
    let condition = condition.as_ref().map_or(Condition::Any, |c| c.0);
    command::Command::PutVariable { name: name.clone(), value, condition }
}

/// The call a PUT of this variable is; the value stands for the body.
fn call(key: &str, name: &VariableName, value: &str) -> Idempotency {
    let path = format!("/cluster/v1/variables/{name}");
    let scope = IdempotencyScope {
        caller: "".into(),
        method: "PUT".into(),
        path: Arc::from(path),
        key: Arc::from(key),
    };
    Idempotency { scope, body_hash: value.bytes().fold(7, |hash, byte| hash * 31 + u128::from(byte)) }
}

fn describe_id(id: &CommandId) -> String {
    match id.seq {
        1_000 => "leader".to_owned(),
        seq => format!("{}.{}/{seq}", id.incarnation.node, id.incarnation.boot),
    }
}

fn describe_reply(reply: &Reply) -> String {
    match reply {
        Ok(answer) => format!("{answer:?}"),
        Err(rejection) => format!("refused: {rejection}"),
    }
}

fn describe_event(event: &Event) -> String {
    match event {
        Event::ClusterFounded(cluster) => format!("cluster {} founded", cluster.id),
        Event::NodeJoined(joined) => {
            format!("node {} joined, boot {}", joined.node(), joined.incarnation.boot)
        }
        Event::NodeLost { incarnation } => {
            format!("node {} lost, boot {}", incarnation.node, incarnation.boot)
        }
        Event::NodeLeaving { incarnation } => format!("node {} leaving", incarnation.node),
        Event::NodeDrained { node, draining } => format!("node {node} draining: {draining}"),
        Event::SessionEnded { incarnation } => format!("session of boot {} ended", incarnation.boot),
        Event::VariablePut { name, revision, .. } => format!("variable {name} put, revision {revision}"),
        Event::VariableDeleted { name } => format!("variable {name} deleted"),
        Event::SettingChanged(setting) => format!("setting {} = {}", setting.name(), setting.value()),
        Event::Workflow(event) => format!("{event:?}"),
        Event::Lrp(event) => format!("{event:?}"),
        Event::Task(event) => format!("{event:?}"),
        Event::HistoryTrimmed { below } => format!("events below {below} trimmed"),
        Event::SpecsPushed { version, .. } => format!("specs at {}", version.id.short()),
        Event::SpecsDropped { number } => format!("version {number} of the specs dropped"),
    }
}

#[test]
fn every_script_holds() {
    let scripts = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/core")).unwrap();
    let mut paths: Vec<_> = scripts.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        println!("{}", path.display());
        goldenscript::run(&mut Runner::default(), &path).unwrap();
    }
}
