//! The state machine: applies committed entries through the model and writes the rows they change.
//!
//! Entries that are ready together become one batch: their rows, the applied log id and the membership are written at once, then
//! the view is published, then replies are handed out, then openraft is answered. So whoever hears of an entry finds it.

mod checksums;
mod load;

use std::{collections::BTreeSet, io, sync::Arc, time::Duration};

use capstan_model::{
    apply::{apply, apply_blank},
    buggify,
    command::Entry,
    event::Event,
    failpoint,
    ids::{CommandId, RequestId},
    reply::Reply,
    rows::{Key, RowChange, Table},
    state::State,
};
use futures::{FutureExt, Stream, StreamExt};
use openraft::{
    EntryPayload, OptionalSend, Snapshot,
    entry::RaftEntry as _,
    storage::{EntryResponder, RaftStateMachine},
    type_config::alias::SnapshotOf,
};

pub(crate) use self::checksums::Checksums;
pub(crate) use self::load::{Loaded, load};
#[cfg(feature = "simulation")]
use crate::witness::{self, Step};
use crate::{
    engine::{Batch, Direction, Health},
    generation::{self, Generation},
    log::Flushed,
    rows::{self, Applied},
    runtime,
    snapshot::{SnapshotBuilder, SnapshotHandle, Snapshots},
    type_config::{AppliedIndex, LogId, RaftEntry, SnapshotMeta, StoredMembership, TypeConfig},
    view::View,
};

/// How many entries become one batch at most: enough to share the cost of a write, few enough that the first need not wait.
const BATCH_ENTRIES_MAX: usize = 64;
/// How long a slow apply waits before a batch, in simulations.
const APPLY_SLOW: Duration = Duration::from_millis(8);

/// Told what was applied, in order, by the one task that applies.
pub(crate) trait AppliedSink: Send + Sync + 'static {
    /// The view holds what was applied, and this happened since the one before.
    fn applied(&self, view: View, happened: Happened);

    /// An installed snapshot has replaced the state: commands may have been applied whose replies were never here.
    fn installed(&self, view: View);
}

/// What a batch of entries did.
#[derive(Debug, Default)]
pub(crate) struct Happened {
    /// What its commands are answered.
    pub(crate) replies: Vec<(CommandId, Reply)>,
    /// The requests to which something happened.
    pub(crate) requests: BTreeSet<RequestId>,
    /// Whether a node was drained, is leaving or was lost: then the tries of its requests are to be stopped.
    pub(crate) owner_changed: bool,
}

impl Happened {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Workflow(event) => {
                self.requests.insert(event.request());
            }
            Event::NodeDrained { .. } | Event::NodeLeaving { .. } | Event::NodeLost { .. } => {
                self.owner_changed = true;
            }
            _ => {}
        }
    }
}

/// Nobody listens.
impl AppliedSink for () {
    fn applied(&self, _view: View, _happened: Happened) {}

    fn installed(&self, _view: View) {}
}

/// The state machine of one node.
pub(crate) struct StateMachine {
    state: State,
    applied: Option<LogId>,
    membership: StoredMembership,
    /// Set when the membership changed in the batch being made.
    membership_is_unwritten: bool,
    generation: Arc<Generation>,
    parts: Parts,
}

/// What the state machine works with.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) flushed: Arc<Flushed>,
    pub(crate) checksums: Arc<Checksums>,
    pub(crate) live: Arc<Live>,
    pub(crate) health: Health,
    pub(crate) sink: Arc<dyn AppliedSink>,
}

/// The generation that is live now, for those outside the state machine.
pub(crate) struct Live(std::sync::Mutex<Arc<Generation>>);

impl Live {
    pub(crate) fn new(generation: Arc<Generation>) -> Self {
        Self(std::sync::Mutex::new(generation))
    }

    pub(crate) fn get(&self) -> Arc<Generation> {
        Arc::clone(&self.0.lock().expect("nothing panics while holding it"))
    }

    fn set(&self, generation: Arc<Generation>) {
        *self.0.lock().expect("nothing panics while holding it") = generation;
    }
}

impl StateMachine {
    pub(crate) fn new(generation: Arc<Generation>, loaded: Loaded, parts: Parts) -> Self {
        Self {
            state: loaded.state,
            applied: loaded.applied.map(|applied| applied.log_id),
            membership: loaded.membership,
            membership_is_unwritten: false,
            generation,
            parts,
        }
    }

    /// Names who is told from now on.
    pub(crate) fn publish_to(&mut self, sink: Arc<dyn AppliedSink>) {
        self.parts.sink = sink;
    }

    /// The last entry applied.
    pub(crate) fn applied(&self) -> Option<LogId> {
        self.applied
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Who is in the cluster, as far as entries were applied.
    #[cfg(feature = "simulation")]
    pub(crate) fn membership(&self) -> &StoredMembership {
        &self.membership
    }

    /// The state as it is now.
    pub(crate) fn view(&self) -> View {
        View::new(self.state.clone(), Arc::clone(&self.generation), self.parts.health.clone())
    }

    fn apply_batch(&mut self, entries: Vec<EntryResponder<TypeConfig>>) -> io::Result<()> {
        let mut batch = Batch::default();
        let mut happened = Happened::default();
        let mut responders = Vec::new();
        for (entry, responder) in entries {
            self.apply_entry(&entry, &mut batch, &mut happened)?;
            responders.extend(responder.map(|responder| (responder, AppliedIndex(entry.index()))));
        }
        if capstan_model::mutant!("position-written-apart") {
            self.generation.engine().write(std::mem::take(&mut batch))?;
        }
        self.put_position(&mut batch);
        failpoint!("apply: not written");
        self.generation.engine().write(batch)?;
        #[cfg(feature = "simulation")]
        if let Some(applied) = self.applied {
            witness::saw(&Step::Stored(witness::position(applied)));
        }
        failpoint!("apply: not published");
        if !happened.requests.is_empty() {
            failpoint!("apply: what happened to requests not published");
        }
        self.parts.sink.applied(self.view(), happened);
        failpoint!("apply: not answered");
        for (responder, index) in responders {
            responder.send(index);
        }
        Ok(())
    }

    fn apply_entry(
        &mut self,
        entry: &RaftEntry,
        batch: &mut Batch,
        happened: &mut Happened,
    ) -> io::Result<()> {
        let (index, term) = (entry.index(), entry.log_id.committed_leader_id().term);
        #[cfg(feature = "simulation")]
        witness::saw(&Step::Applying {
            at: witness::position(entry.log_id),
            content: match &entry.payload {
                EntryPayload::Normal(data) => witness::Content::Commands(&data.0),
                EntryPayload::Blank | EntryPayload::Membership(_) => witness::Content::Blank,
            },
        });
        let changes = match &entry.payload {
            EntryPayload::Normal(data) => {
                let commands: Entry =
                    postcard::from_bytes(&data.0).map_err(|error| self.undecodable(index, error))?;
                let done = apply(&mut self.state, index, &commands);
                happened.replies.extend(done.replies);
                done.events.iter().for_each(|event| happened.note(event));
                done.rows
            }
            EntryPayload::Blank => apply_blank(&mut self.state, index, term),
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                self.membership_is_unwritten = true;
                apply_blank(&mut self.state, index, term)
            }
        };
        #[cfg(feature = "simulation")]
        witness::saw(&Step::Applied { index, rows: &changes });
        for change in changes {
            match change {
                RowChange::Put { key, value } => batch.put(key, value),
                RowChange::Delete { key } => batch.delete(key),
            }
        }
        self.applied = Some(entry.log_id);
        self.parts.checksums.applied(index, &self.state);
        Ok(())
    }

    /// An entry that this program cannot read was written by a newer one, or is damaged: going on would make this replica differ.
    fn undecodable(&self, index: u64, error: postcard::Error) -> io::Error {
        let error =
            io::Error::new(io::ErrorKind::InvalidData, format!("entry {index} is undecodable: {error}"));
        self.parts.health.fail("apply", &error)
    }

    /// Adds how far the rows go to the batch that takes them there.
    fn put_position(&mut self, batch: &mut Batch) {
        if let Some(log_id) = self.applied {
            let log_flushed_upto = self.parts.flushed.index().map(|flushed| flushed.min(log_id.index()));
            let applied = Applied { log_id, log_flushed_upto, checksum: self.state.checksum() };
            batch.put(rows::APPLIED_KEY, rows::encode_applied(&applied));
        }
        if std::mem::take(&mut self.membership_is_unwritten)
            && !capstan_model::mutant!("membership-not-stored")
        {
            batch.put(rows::MEMBERSHIP_KEY, rows::encode_membership(&self.membership));
        }
    }

    /// Makes a snapshot's state this node's own.
    ///
    /// # Errors
    /// The snapshot is damaged, or the disk failed; after a crash the state is either the old or the new one.
    pub(crate) async fn install(&mut self, snapshot: SnapshotHandle) -> io::Result<()> {
        let current = Arc::clone(&self.generation);
        let parts = self.parts.clone();
        let (generation, loaded) =
            runtime::spawn_blocking(move || install(&parts, &current, &snapshot)).await.flatten()?;
        generation::retire(&self.generation);
        let parts = self.parts.clone();
        *self = Self::new(Arc::new(generation), loaded, parts);
        self.parts.live.set(Arc::clone(&self.generation));
        #[cfg(feature = "simulation")]
        if let Some(applied) = self.applied {
            let (checksum, voters) = (self.state.checksum(), witness::voters(&self.membership));
            witness::saw(&Step::Installed { at: witness::position(applied), checksum, voters });
        }
        self.parts.sink.installed(self.view());
        Ok(())
    }
}

/// Builds the new database beside the live one and switches to it only when it was read back and found right.
fn install(
    parts: &Parts,
    current: &Generation,
    snapshot: &SnapshotHandle,
) -> io::Result<(Generation, Loaded)> {
    snapshot.check()?;
    let manifest = snapshot.manifest();
    // What the snapshot says of a log is said of its maker's.
    let log_flushed_upto = parts.flushed.index().map(|flushed| flushed.min(manifest.last_log_id.index()));
    let applied = Applied { log_id: manifest.last_log_id, log_flushed_upto, checksum: manifest.checksum };
    let generation = generation::build(current, snapshot, |engine| {
        let mut batch = Batch::default();
        batch.put(rows::APPLIED_KEY, rows::encode_applied(&applied));
        if capstan_model::mutant!("events-lost-at-install") {
            let events = Key::new(Table::Event);
            for (key, _) in engine.scan(&events, &events.clone().end(), usize::MAX, Direction::Forward)? {
                batch.delete(key);
            }
        }
        engine.write(batch)
    })?;
    let loaded = load(generation.engine())?;
    failpoint!("install: not adopted");
    parts.snapshots.adopt(snapshot)?;
    failpoint!("install: not switched to");
    generation::switch_to(&generation)?;
    failpoint!("install: not live");
    tracing::info!(index = manifest.last_log_id.index(), "snapshot installed");
    Ok((generation, loaded))
}

/// A panic here (a command's own is contained by the model) leaves a node that votes and never applies: it must stop.
impl Drop for StateMachine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.parts.health.fail("applying entries", &io::Error::other("the state machine panicked"));
        }
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotHandle;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        // The end may be met while gathering, and again when looking for the next batch.
        let mut entries = entries.fuse();
        while let Some(first) = entries.next().await {
            let mut batch = vec![first?];
            while batch.len() < BATCH_ENTRIES_MAX && !buggify!("buggify: entries are applied one by one") {
                let Some(Some(next)) = entries.next().now_or_never() else { break };
                batch.push(next?);
            }
            if buggify!("buggify: apply is slow") {
                tokio::time::sleep(APPLY_SLOW).await;
            }
            let is_full = batch.len() == BATCH_ENTRIES_MAX;
            self.apply_batch(batch)?;
            if is_full {
                // There is more to apply, and others have waited.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<SnapshotBuilder> {
        if self.applied.is_none() && !force {
            return None;
        }
        let snapshots = Arc::clone(&self.parts.snapshots);
        Some(SnapshotBuilder::start(snapshots, Arc::clone(&self.generation)).await)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder::start(Arc::clone(&self.parts.snapshots), Arc::clone(&self.generation)).await
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotHandle) -> io::Result<()> {
        if *meta != snapshot.manifest().meta() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the snapshot is not the one that was announced",
            ));
        }
        self.install(snapshot).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<TypeConfig, SnapshotHandle>>> {
        let newest = self.parts.snapshots.newest();
        Ok(newest.map(|snapshot| Snapshot { meta: snapshot.manifest().meta(), snapshot }))
    }
}
