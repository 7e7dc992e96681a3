//! A small cluster's State to start from, beside the rows a store would hold, and what must hold of both.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use capstan_model::{
    apply::{self, Applied},
    archive::{self, Filter, Page},
    auth::{
        Acl, AclEntry, AuthCommand, Author, CreateToken, Credential, PolicyChange,
        token::{SecretHash, TokenId},
    },
    command::{Command, Condition, Entry, Idempotency, IdempotencyScope, NodeJoined, Sealed},
    ids::{ClusterId, CommandId, DiskId, Epoch, Incarnation, JobId, NodeId, RequestId, TryNo},
    invariant,
    rejection::Rejection,
    rows::{RowChange, RowReader},
    settings::Setting,
    spec::Specs,
    state::State,
    time::Timestamp,
    workflow::{
        command::{CreateRequest, FinishTry, StartRetry, StopRequest, TryEnd, TryId, TryReport},
        graph::{Builder, CreateOutput, Created, Step},
        json::{JsonMap, JsonText},
        output::{Output, Tail},
    },
};

const SPECS: &str = "
sequences:
  plain:
    request: true
    args:
      required: [{name: host, desc: where}]
      static: [{name: s, default: 2}]
    nodes:
      a: {category: job, type: sleep, args: [{expected: host}], retry: 2, retryWait: 3s}
      b: {category: sequence, type: part, deps: [a], retry: 1}
      c: {category: job, type: sleep}
  part: {nodes: {e: {category: job, type: sleep, retry: 1}}}
  expanded:
    request: true
    args: {required: [{name: l}]}
    nodes:
      p: {category: sequence, type: pair, each: ['l:x'], parallel: 1, retry: 2}
  pair: {nodes: {f: {category: job, type: sleep}, g: {category: job, type: sleep}}}
";

/// State, and the rows of everything that was applied.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) rows: BTreeMap<Bytes, Bytes>,
    /// The number of the last command.
    seq: u64,
}

impl World {
    /// Two nodes that run requests in several stages.
    pub(crate) fn small() -> Self {
        static SMALL: OnceLock<World> = OnceLock::new();
        SMALL
            .get_or_init(|| {
                let mut world = Self::default();
                for command in scenario() {
                    let id = world.next_id(1);
                    let sealed = Sealed::new(id, None, command).expect("a small command");
                    let time = Timestamp((10 + world.seq) * 1_000_000_000);
                    let applied = world.apply(&Entry::V1 { time, settled: vec![], commands: vec![sealed] });
                    let (_, reply) = &applied.replies[0];
                    assert!(reply.is_ok(), "the scenario goes through: {reply:?}");
                }
                world
            })
            .clone()
    }

    /// Names the next command of a node's newest life.
    pub(crate) fn next_id(&mut self, node: u64) -> CommandId {
        self.seq += 1;
        let known = self.state.nodes.get(&NodeId(node)).map(|node| node.incarnation);
        CommandId { incarnation: known.unwrap_or(life(node, 1)), seq: self.seq }
    }

    /// Applies an entry twice, which must not differ, and checks what must hold after every one.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Applied {
        let index = self.state.index() + 1;
        let before = self.state.clone();
        let applied = apply::apply(&mut self.state, index, entry);
        let mut other = before.clone();
        assert_eq!(apply::apply(&mut other, index, entry), applied, "every replica does the same");
        assert!(other == self.state, "every replica is the same");
        assert!(self.state.log_time() >= before.log_time(), "log time does not run backwards");
        for (id, reply) in &applied.replies {
            assert!(!matches!(reply, Err(Rejection::Bug { .. })), "command {id}: {reply:?}");
        }
        self.write(&applied.rows);
        invariant::check(&self.state).expect("every invariant holds");
        applied
    }

    /// Applies an entry without commands.
    pub(crate) fn apply_blank(&mut self, term: u64) {
        let index = self.state.index() + 1;
        let rows = apply::apply_blank(&mut self.state, index, term);
        self.write(&rows);
    }

    /// Checks that a restart finds what was there, and that all of it can be read.
    pub(crate) fn check(&self) {
        let loaded = State::load(self.rows.clone()).expect("the rows are a State's");
        assert!(loaded == self.state, "State loaded from its rows");
        let listed =
            archive::requests(&self.state, &MemoryRows(&self.rows), &Filter::default(), Page::default());
        for summary in listed.expect("the archive can be read") {
            let detail = archive::request(&self.state, &MemoryRows(&self.rows), summary.id);
            let detail = detail.expect("the archive can be read").expect("what is listed is there");
            assert_eq!(detail.summary.id, summary.id);
            let logs = archive::job_logs(&MemoryRows(&self.rows), summary.id).expect("logs can be read");
            logs.iter().for_each(|log| drop((log.stdout.text(), log.stderr.text())));
        }
    }

    fn write(&mut self, changes: &[RowChange]) {
        for change in changes {
            match change {
                RowChange::Put { key, value } => {
                    self.rows.insert(key.clone(), value.clone());
                }
                RowChange::Delete { key } => {
                    self.rows.remove(key).expect("a deleted row was there");
                }
            }
        }
    }
}

/// Rows in memory, read as the store's view reads them.
pub(crate) struct MemoryRows<'a>(pub(crate) &'a BTreeMap<Bytes, Bytes>);

impl MemoryRows<'_> {
    fn range(&self, from: &[u8], to: &[u8]) -> impl DoubleEndedIterator<Item = (Bytes, Bytes)> {
        let (from, to) = (Bytes::copy_from_slice(from), Bytes::copy_from_slice(to));
        let range = (from < to).then(|| self.0.range(from..to));
        range.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone()))
    }
}

impl RowReader for MemoryRows<'_> {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key).cloned()
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        self.range(from, to).take(limit).collect()
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        self.range(from, to).rev().take(limit).collect()
    }
}

/// One of each command, by name: most of them go through after the scenario.
pub(crate) fn commands() -> Vec<(&'static str, Command)> {
    let id = try_id(1, "0005");
    vec![
        ("found", Command::FoundCluster { cluster: ClusterId(0xc1) }),
        ("join", Command::NodeJoined(joined(1, 2))),
        ("join-third", Command::NodeJoined(joined(3, 1))),
        ("put", put("b", Condition::Absent)),
        ("put-revision", put("a", Condition::Revision(1))),
        ("delete", Command::DeleteVariable { name: name("a"), condition: Condition::Any }),
        ("setting", Command::SetSetting(Setting::SuspendedHours(300))),
        ("create", Command::CreateRequest(create(9, "plain"))),
        ("create-expanded", Command::CreateRequest(create(9, "expanded"))),
        ("finish", finish(id, TryEnd::Complete)),
        ("fail", finish(id, TryEnd::Failed)),
        ("cut-off", finish(id, TryEnd::CutOff)),
        ("retry", Command::StartRetry(StartRetry { id: try_id(1, "0004") })),
        ("stop", Command::StopRequest(StopRequest { request: request(1) })),
        ("lose", Command::NodeLost { incarnation: life(1, 1), term: 0 }),
        ("take-over", Command::TakeOver),
        ("drain", Command::DrainNode { node: NodeId(1) }),
        ("undrain", Command::UndrainNode { node: NodeId(1) }),
        ("leave", Command::NodeLeaving { incarnation: life(1, 1) }),
        ("end-suspended", Command::EndSuspended { request: request(1) }),
        ("token", Command::Auth(AuthCommand::CreateToken(Box::new(token())))),
        ("revoke", Command::Auth(AuthCommand::RevokeToken { id: token().id })),
        (
            "policy",
            Command::Auth(AuthCommand::ChangePolicy(PolicyChange {
                required: Some(true),
                strict: Some(true),
                admin_roles: Some(vec!["root".into()]),
            })),
        ),
        ("drop-expired", Command::Auth(AuthCommand::DropExpired)),
    ]
}

/// A token that ends.
fn token() -> CreateToken {
    CreateToken {
        id: TokenId([7; 8]),
        caller: "ann".into(),
        roles: vec!["root".into(), "dba".into()],
        hash: SecretHash([7; 32]),
        created_by: "".into(),
        lifetime_secs: Some(300),
    }
}

/// Who shows it, and what a spec says of him.
pub(crate) fn author() -> Author {
    let entry = AclEntry { role: "dba".into(), admin: false, start: true, stop: false };
    Author { name: "ann".into(), credential: Credential::Token(token().id), acl: Some(Acl(vec![entry])) }
}

/// The idempotency of a call.
pub(crate) fn call() -> Idempotency {
    let [caller, method, path, key] = ["ann", "PUT", "/cluster/v1/variables/a", "k"].map(Arc::from);
    Idempotency { scope: IdempotencyScope { caller, method, path, key }, body_hash: 0xfeed << 64 }
}

fn scenario() -> Vec<Command> {
    vec![
        Command::FoundCluster { cluster: ClusterId(0xc1) },
        Command::NodeJoined(joined(1, 1)),
        put("a", Condition::Any),
        Command::SetSetting(Setting::VariablesMax(300)),
        Command::CreateRequest(create(1, "plain")),
        finish(try_id(1, "0004"), TryEnd::Failed),
        Command::CreateRequest(create(2, "plain")),
        Command::StopRequest(StopRequest { request: request(2) }),
        finish(try_id(2, "0004"), TryEnd::Stopped),
        finish(try_id(2, "0005"), TryEnd::Stopped),
        Command::CreateRequest(create(3, "expanded")),
        Command::NodeJoined(joined(2, 1)),
        Command::CreateRequest(create(4, "plain")),
    ]
}

fn put(name: &str, condition: Condition) -> Command {
    Command::PutVariable { name: self::name(name), value: "value".into(), condition }
}

fn name(text: &str) -> capstan_model::ids::VariableName {
    text.parse().expect("a legal name")
}

fn life(node: u64, boot: u64) -> Incarnation {
    Incarnation { node: NodeId(node), boot, nonce: 0 }
}

fn joined(node: u64, boot: u64) -> NodeJoined {
    NodeJoined {
        incarnation: life(node, boot),
        disk: DiskId(u128::from(node)),
        peer_address: Arc::from(format!("10.0.0.{node}:8741")),
        http_address: Arc::from(format!("10.0.0.{node}:8641")),
        slots: 4,
        job_types: ["noop", "sleep"].map(Arc::from).to_vec(),
    }
}

fn request(number: u8) -> RequestId {
    RequestId([number; 12])
}

fn try_id(number: u8, job: &str) -> TryId {
    TryId {
        request: request(number),
        job: job.parse().expect("a legal id"),
        try_no: TryNo(1),
        epoch: Epoch(1),
        incarnation: life(1, 1),
    }
}

fn finish(id: TryId, end: TryEnd) -> Command {
    let report = TryReport {
        end,
        exit: -7,
        error: "no luck".into(),
        stdout: Output::new(Tail { bytes: b"short", dropped: 300 }, 100),
        stderr: Output::Deflated(Bytes::from_static(&[0x4b, 0x04, 0x00])),
        started_at: Timestamp(1_700_000_000_000_000_001),
        finished_at: Timestamp(1_700_000_001_000_000_001),
        job_data: JsonMap::from([("k".into(), JsonText::string("v"))]),
    };
    Command::FinishTry(Box::new(FinishTry { id, report }))
}

fn create(number: u8, request_type: &str) -> Arc<CreateRequest> {
    let specs = Arc::new(Specs::load([("specs.yaml", SPECS)]).expect("these specs load"));
    let args = match request_type {
        "expanded" => JsonMap::from([("l".into(), JsonText::try_from(Arc::from("[1,2]")).expect("a list"))]),
        _ => JsonMap::from([("host".into(), JsonText::string("db7"))]),
    };
    let mut next = 0_u32;
    let draw = move || {
        next += 1;
        format!("{:04}", next - 1).parse::<JobId>().expect("four digits")
    };
    let mut builder = Builder::new(specs, request_type, &args, draw);
    let mut answers = Vec::new();
    loop {
        match builder.step(std::mem::take(&mut answers)) {
            Step::Done(built) => return Arc::new(built.into_request(request(number), "Ann".into())),
            Step::Refused(error) => panic!("these requests can be built: {error}"),
            Step::Need(calls) => answers.extend(
                calls.into_iter().map(|call| Created { job: call.job, result: Ok(CreateOutput::default()) }),
            ),
        }
    }
}
