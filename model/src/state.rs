//! The live replicated facts, in persistent ordered maps.
//!
//! A clone shares everything with its original and costs a few reference counts, so a view of it never blocks apply.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    cluster::{self, Cluster},
    event::Event,
    history::History,
    idempotency::IdempotencyKeys,
    ids::{CommandId, Incarnation},
    lrp::{Lrps, cell::Used},
    nodes::{self, Nodes},
    rows::{self, Key, LoadError, RowSink, Table},
    session::{SessionReply, Sessions},
    settings::Settings,
    spec_store::SpecStore,
    task::Tasks,
    time::Timestamp,
    variables::Variables,
    workflow::LiveRequests,
};

/// Everything that is live. Changed by [`crate::apply`] alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    pub(crate) index: u64,
    pub(crate) log_time: Timestamp,
    pub(crate) term: u64,
    pub(crate) checksum: u128,
    /// Who the cluster is; `None` until it is founded.
    pub cluster: Option<Cluster>,
    /// The replicated settings.
    pub settings: Settings,
    /// Every node that ever joined.
    pub nodes: Nodes,
    /// What live incarnations proposed and were answered.
    pub sessions: Sessions,
    /// What calls with an idempotency key were answered.
    pub idempotency: IdempotencyKeys,
    /// Named values.
    pub variables: Variables,
    /// Unfinished requests.
    pub requests: LiveRequests,
    /// What is desired to run for long, what there is of it, cells and domains.
    pub lrps: Lrps,
    /// What is to be done once.
    pub tasks: Tasks,
    /// The request specs and their older versions.
    pub specs: SpecStore,
    /// Which public events are kept as rows.
    pub history: History,
}

/// The row of what changes with every entry.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tick {
    index: u64,
    log_time: Timestamp,
    term: u64,
    variable_revision: u64,
}

impl State {
    /// The log index of the last entry applied; zero before the first.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The newest stamp; what "now" is to replicated code.
    pub fn log_time(&self) -> Timestamp {
        self.log_time
    }

    /// The term of the last entry applied: every leader's first entry is a blank one.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// The sum of the hashes of all live rows, modulo 2^128: equal on every node at the same index.
    pub fn checksum(&self) -> u128 {
        self.checksum
    }

    /// What instances and tasks take of a cell in one life.
    pub fn used(&self, cell: Incarnation) -> Used {
        self.lrps.used(cell) + self.tasks.used(cell)
    }

    /// What is known of a command that may have been applied.
    pub fn session_reply(&self, id: &CommandId) -> SessionReply {
        self.sessions.reply(id)
    }

    /// Builds the State whose live rows these are, given in key order. Archive rows and the store's own are passed over.
    ///
    /// # Errors
    /// A row of no known shape, or rows that contradict each other.
    pub fn load(rows: impl IntoIterator<Item = (Bytes, Bytes)>) -> Result<Self, LoadError> {
        let mut state = Self::default();
        for (key, value) in rows {
            let table = Table::of(&key).ok_or_else(|| LoadError::unknown_key(&key))?;
            if table.is_live() {
                state.load_row(table, &key, &value)?;
                state.checksum = state.checksum.wrapping_add(rows::row_hash(&key, &value));
            }
        }
        state.requests.finish_load()?;
        state.lrps.finish_load()?;
        state.tasks.finish_load()?;
        state.specs.finish_load()?;
        Ok(state)
    }

    fn load_row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        match table {
            Table::Tick => {
                let tick: Tick = rows::decode(key, value)?;
                self.index = tick.index;
                self.log_time = tick.log_time;
                self.term = tick.term;
                self.variables.load_revision(tick.variable_revision);
            }
            Table::History => self.history = rows::decode(key, value)?,
            Table::Cluster => self.cluster = Some(rows::decode(key, value)?),
            Table::Setting => self.settings.load_row(key, value)?,
            Table::Node => nodes::load_row(&mut self.nodes, key, value)?,
            Table::Session => self.sessions.load_row(key, value)?,
            Table::SessionReplies => self.sessions.load_replies_row(key, value)?,
            Table::Variable => self.variables.load_row(key, value)?,
            Table::Idempotency => self.idempotency.load_row(key, value)?,
            Table::Request | Table::Chain | Table::Job | Table::Sequence | Table::Parallel => {
                self.requests.load_row(key, value)?;
            }
            Table::LrpDefinition | Table::LrpChangeable | Table::ActualLrp | Table::Domain | Table::Cell => {
                self.lrps.load_row(key, value)?;
            }
            Table::TaskDefinition | Table::Task => self.tasks.load_row(key, value)?,
            Table::SpecVersion => self.specs.load_version(key, value)?,
            Table::SpecText => self.specs.load_text(key, value)?,
            Table::Store
            | Table::FinishedRequest
            | Table::FinishedChain
            | Table::FinishedJobs
            | Table::JobLog
            | Table::ByCreation
            | Table::ByType
            | Table::ByUser
            | Table::ByState
            | Table::Event => return Err(LoadError::unknown_key(key)),
        }
        Ok(())
    }

    /// Applies one event, and tells the sink which rows that changes.
    pub(crate) fn evolve(&mut self, event: &Event, sink: &mut RowSink) {
        match event {
            Event::ClusterFounded(founded) => cluster::evolve(&mut self.cluster, *founded, sink),
            Event::NodeJoined(joined) => {
                nodes::evolve_joined(&mut self.nodes, joined, sink);
                self.sessions.evolve_opened(joined.incarnation, sink);
            }
            Event::NodeLost { incarnation } => nodes::evolve_lost(&mut self.nodes, *incarnation, sink),
            Event::NodeLeaving { incarnation } => nodes::evolve_leaving(&mut self.nodes, *incarnation, sink),
            Event::NodeDrained { node, draining } => {
                nodes::evolve_drained(&mut self.nodes, *node, *draining, sink);
            }
            Event::SessionEnded { incarnation } => self.sessions.evolve_ended(*incarnation, sink),
            Event::VariablePut { name, value, revision } => {
                self.variables.evolve_put(name, value, *revision, sink);
            }
            Event::VariableDeleted { name } => self.variables.evolve_deleted(name, sink),
            Event::SettingChanged(setting) => self.settings.evolve(*setting, sink),
            Event::Workflow(event) => self.requests.evolve(event, sink),
            Event::Lrp(event) => self.lrps.evolve(event, sink),
            Event::Task(event) => self.tasks.evolve(event, sink),
            Event::HistoryTrimmed { below } => self.history.evolve_trimmed(*below, sink),
            Event::SpecsPushed { version, texts } => self.specs.evolve_pushed(version, texts, sink),
            Event::SpecsDropped { number } => self.specs.evolve_dropped(*number, sink),
        }
    }

    /// Writes every live row as if it were new.
    pub(crate) fn dump(&self, sink: &mut RowSink) {
        if self.index > 0 {
            sink.replace(&Key::new(Table::Tick), None, Some(&self.tick()));
        }
        if let Some(cluster) = &self.cluster {
            sink.replace(&Key::new(Table::Cluster), None, Some(cluster));
        }
        self.settings.dump(sink);
        nodes::dump(&self.nodes, sink);
        self.sessions.dump(sink);
        self.variables.dump(sink);
        self.idempotency.dump(sink);
        self.requests.dump(sink);
        self.lrps.dump(sink);
        self.tasks.dump(sink);
        self.specs.dump(sink);
        History::default().replace_with(&self.history, sink);
    }

    /// The row that is written with every entry.
    pub(crate) fn tick(&self) -> Tick {
        Tick {
            index: self.index,
            log_time: self.log_time,
            term: self.term,
            variable_revision: self.variables.revision(),
        }
    }
}

impl Tick {
    /// Writes the row as it is now over this one; before the first entry there is none.
    pub(crate) fn replace_with(&self, now: &Self, sink: &mut RowSink) {
        let before = (self.index > 0).then_some(self);
        sink.replace(&Key::new(Table::Tick), before, Some(now));
    }
}
