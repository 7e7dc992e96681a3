//! A replica for tests: State, beside it the rows a store would hold, and somebody who follows its public events.

mod follower;
pub(crate) mod memory_rows;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use capstan_model::{
    apply::{self, Applied},
    command::{Command, Entry, Idempotency, NodeJoined, Sealed, Settled},
    ids::{CommandId, DiskId, Incarnation, NodeId},
    invariant,
    rows::{RowChange, Table, row_hash},
    state::State,
    time::Timestamp,
};

use self::follower::Follower;

/// State and rows after the same entries.
#[derive(Default)]
pub(crate) struct Replica {
    pub(crate) state: State,
    pub(crate) rows: BTreeMap<Bytes, Bytes>,
    follower: Follower,
}

impl Replica {
    /// Applies an entry and checks what must hold after every one.
    pub(crate) fn apply(&mut self, index: u64, entry: &Entry) -> Applied {
        let before = self.state.log_time();
        let applied = apply::apply(&mut self.state, index, entry);
        self.write(&applied.rows);
        assert!(self.state.log_time() >= before, "log time ran backwards");
        self.check();
        self.follower.follow(&self.state, &self.rows);
        applied
    }

    pub(crate) fn write(&mut self, changes: &[RowChange]) {
        for change in changes {
            match change {
                RowChange::Put { key, value } => self.rows.insert(key.clone(), value.clone()),
                RowChange::Delete { key } => Some(self.rows.remove(key).expect("a deleted row existed")),
            };
        }
    }

    /// State loaded from the rows equals State, and so do their checksums.
    pub(crate) fn check(&self) {
        let loaded = State::load(self.rows.clone()).expect("the rows are a State's");
        assert_eq!(loaded, self.state, "State loaded from its rows");
        let live = self.rows.iter().filter(|(key, _)| Table::of(key).is_some_and(Table::is_live));
        let sum = live.fold(0_u128, |sum, (key, value)| sum.wrapping_add(row_hash(key, value)));
        assert_eq!(sum, self.state.checksum(), "the checksum of the live rows");
        invariant::check(&self.state).expect("every invariant holds");
    }
}

pub(crate) fn incarnation(node: u64, boot: u64) -> Incarnation {
    Incarnation { node: NodeId(node), boot, nonce: 0 }
}

pub(crate) fn command_id(node: u64, boot: u64, seq: u64) -> CommandId {
    CommandId { incarnation: incarnation(node, boot), seq }
}

/// The first heartbeat of a life, on the disk that is the node's own.
pub(crate) fn joined(node: u64, boot: u64) -> NodeJoined {
    NodeJoined {
        incarnation: incarnation(node, boot),
        disk: DiskId(u128::from(node)),
        peer_address: Arc::from(format!("10.0.0.{node}:8741")),
        http_address: Arc::from(format!("10.0.0.{node}:8641")),
        slots: 4,
        job_types: ["noop", "shell-command", "sleep"].map(Arc::from).to_vec(),
    }
}

pub(crate) fn sealed(id: CommandId, idempotency: Option<Idempotency>, command: Command) -> Sealed {
    Sealed::new(id, idempotency, command).expect("a small command")
}

pub(crate) fn entry(secs: u64, settled: Vec<Settled>, commands: Vec<Sealed>) -> Entry {
    Entry::V1 { time: Timestamp(secs * 1_000_000_000), settled, commands }
}
