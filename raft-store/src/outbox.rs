//! The proposer's side of a write: commands that wait for their replies, two lanes, and the way to the leader.
//!
//! A command waits here from [`Outbox::propose`] until the local apply answers it or its deadline passes. What is lost on the
//! way is sent again under the same id, which the session in the replicated state makes harmless.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use capstan_model::{
    buggify,
    command::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, Command, LONE_COMMAND_BYTES, Opened, Sealed, Settled},
    ids::{CommandId, Incarnation},
    reply::Reply,
    session::{SessionReply, UNSETTLED_MAX},
    sometimes,
    state::State,
};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use crate::{
    handle::{Committed, Lane, ProposeError, ProposeOptions},
    peer::{Batch, ForwardError},
};

/// How many batches of one node may be on their way. While they are, the next one gathers.
pub(crate) const BATCHES_IN_FLIGHT: usize = 4;
/// How many sequence numbers clients may have unsettled; the rest of the session's window is kept for the progress lane.
const CLIENT_WINDOW: u64 = UNSETTLED_MAX - 512;
/// Commands with a natural key are numbered from here on. They need no session, so they must not hold up its window: a report
/// that waits would, and with it all clients of the node.
const KEYED_FROM: u64 = 1 << 63;

/// Commands that wait, and those not yet sent.
pub(crate) struct Outbox {
    incarnation: Incarnation,
    inner: Mutex<Inner>,
    /// Woken when something waits to be sent.
    pub(crate) ready: Notify,
}

struct Inner {
    /// The next number of the session.
    next: u64,
    /// The next number of a command with a natural key.
    next_keyed: u64,
    waiting: BTreeMap<u64, Waiting>,
    progress: VecDeque<Sealed>,
    client: VecDeque<Sealed>,
    /// Set when the client in front must travel alone and the last batch had progress to carry.
    client_gave_way: bool,
    closed: bool,
}

struct Waiting {
    answer: oneshot::Sender<Result<Committed, ProposeError>>,
    since: Instant,
    whereabouts: Whereabouts,
    /// The command itself, if it has a natural key: then no session tells what became of it.
    keyed: Option<Sealed>,
}

/// What is known of a command's way to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whereabouts {
    /// It never left, or came back with the word that nothing was appended.
    Here,
    /// It is on its way.
    Sent,
    /// A send ended without a definite answer: it may have been appended, whatever later sends say.
    Unknown,
}

impl Outbox {
    pub(crate) fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            inner: Mutex::new(Inner {
                next: 1,
                next_keyed: KEYED_FROM,
                waiting: BTreeMap::new(),
                progress: VecDeque::new(),
                client: VecDeque::new(),
                client_gave_way: false,
                closed: false,
            }),
            ready: Notify::new(),
        }
    }

    /// Queues a command and waits for the local apply to answer it.
    pub(crate) async fn propose(
        &self,
        command: Command,
        options: ProposeOptions,
    ) -> Result<Committed, ProposeError> {
        let ProposeOptions { lane, author, idempotency, deadline } = options;
        let (id, answer) = self.enqueue(Opened { author, idempotency, command }, lane)?;
        self.ready.notify_one();
        let waiting = Withdraw { outbox: self, seq: id.seq };
        match tokio::time::timeout(deadline, answer).await {
            Ok(outcome) => outcome.expect("who takes a waiting command out answers it"),
            Err(_elapsed) => Err(waiting.give_up(id, deadline)),
        }
    }

    fn enqueue(
        &self,
        opened: Opened,
        lane: Lane,
    ) -> Result<(CommandId, oneshot::Receiver<Result<Committed, ProposeError>>), ProposeError> {
        let is_keyed = opened.command.has_natural_key();
        // Sealing encodes, so it happens outside the lock; the number is drawn under it.
        let mut sealed = Sealed::seal(CommandId { incarnation: self.incarnation, seq: 0 }, opened)
            .map_err(|error| ProposeError::TooLarge { reason: error.to_string() })?;
        let mut inner = self.lock();
        if inner.closed {
            return Err(ProposeError::ShuttingDown);
        }
        sealed.id.seq = if is_keyed { inner.draw_keyed() } else { inner.draw(lane)? };
        let id = sealed.id;
        let (answer, outcome) = oneshot::channel();
        let waiting = Waiting {
            answer,
            since: Instant::now(),
            whereabouts: Whereabouts::Here,
            keyed: is_keyed.then(|| sealed.clone()),
        };
        inner.waiting.insert(id.seq, waiting);
        match lane {
            Lane::Client => inner.client.push_back(sealed),
            Lane::Progress => inner.progress.push_back(sealed),
        }
        Ok((id, outcome))
    }

    /// Takes the next batch to send: progress first, at most what one entry may hold; `None` when nothing waits.
    ///
    /// A client's command that must travel alone gives way to progress once and then has its turn, or it would wait for as long as
    /// there is progress, and all clients behind it.
    pub(crate) fn take_batch(&self) -> Option<Batch> {
        let mut inner = self.lock();
        // The session forgets somewhat later then.
        let is_late = buggify!("buggify: a session is settled late");
        let below = if is_late { 1 } else { inner.settled_below() };
        let inner = &mut *inner;
        let mut room = Room::new();
        let gave_way = std::mem::take(&mut inner.client_gave_way);
        let is_turn = gave_way && is_lone(&mut inner.client, &inner.waiting);
        let progress = if is_turn { vec![] } else { room.take(&mut inner.progress, &mut inner.waiting) };
        let client = room.take(&mut inner.client, &mut inner.waiting);
        inner.client_gave_way = client.is_empty() && is_lone(&mut inner.client, &inner.waiting);
        let settled = Settled { incarnation: self.incarnation, below };
        (!progress.is_empty() || !client.is_empty()).then_some(Batch { settled, progress, client })
    }

    /// Notes what a send that brought nothing through says of its commands.
    pub(crate) fn came_back(&self, batch: &Batch, error: &ForwardError) {
        let unknown = matches!(error, ForwardError::Unknown { .. });
        let mut inner = self.lock();
        for sealed in batch.progress.iter().chain(&batch.client) {
            if let Some(waiting) = inner.waiting.get_mut(&sealed.id.seq) {
                waiting.whereabouts = match waiting.whereabouts {
                    Whereabouts::Unknown if !capstan_model::mutant!("earlier-unknown-forgotten") => {
                        Whereabouts::Unknown
                    }
                    Whereabouts::Here | Whereabouts::Sent | Whereabouts::Unknown if unknown => {
                        Whereabouts::Unknown
                    }
                    Whereabouts::Here | Whereabouts::Sent | Whereabouts::Unknown => Whereabouts::Here,
                };
            }
        }
    }

    /// Puts back what came back; those still waited for go out again, in front.
    pub(crate) fn put_back(&self, batch: Batch) {
        let mut inner = self.lock();
        for sealed in batch.progress.into_iter().rev() {
            inner.progress.push_front(sealed);
        }
        for sealed in batch.client.into_iter().rev() {
            inner.client.push_front(sealed);
        }
        drop(inner);
        self.ready.notify_one();
    }

    /// Refuses the clients' commands of a batch that the leader had no room for, and takes the others out of it. Left in it are those
    /// clients' commands that an earlier send may have brought into the log: nobody can say that nothing happened to them.
    pub(crate) fn refuse_client(&self, batch: &mut Batch, refusal: &ProposeError) -> Batch {
        let mut inner = self.lock();
        batch.client.retain(|sealed| {
            let seq = sealed.id.seq;
            match inner.waiting.get(&seq).map(|waiting| waiting.whereabouts) {
                Some(Whereabouts::Unknown) => {
                    sometimes!("a client's command in doubt is kept when others are refused");
                    true
                }
                Some(Whereabouts::Here | Whereabouts::Sent) => {
                    inner.answer(seq, Err(refusal.clone()));
                    false
                }
                None => false,
            }
        });
        let progress = std::mem::take(&mut batch.progress);
        Batch { settled: batch.settled, progress, client: vec![] }
    }

    /// Answers the commands of this incarnation among what was just applied.
    pub(crate) fn applied(&self, index: u64, replies: Vec<(CommandId, Reply)>) {
        if replies.iter().all(|(id, _)| id.incarnation != self.incarnation) {
            return;
        }
        let mut inner = self.lock();
        for (id, reply) in replies {
            if id.incarnation == self.incarnation {
                inner.answer(id.seq, Ok(Committed { reply, index }));
            }
        }
    }

    /// Answers what waits from a state that was installed whole. No session holds the replies of commands with a natural key: those that
    /// had left go out again, and are answered as repeats.
    pub(crate) fn installed(&self, state: &State) {
        let mut inner = self.lock();
        let ids: Vec<u64> = inner.waiting.range(..KEYED_FROM).map(|(seq, _)| *seq).collect();
        for seq in ids {
            let id = CommandId { incarnation: self.incarnation, seq };
            if let SessionReply::Reply(reply) = state.session_reply(&id) {
                sometimes!("a command is answered by an installed snapshot");
                inner.answer(seq, Ok(Committed { reply, index: state.index() }));
            }
        }
        let inner = &mut *inner;
        let gone = |waiting: &&mut Waiting| waiting.whereabouts != Whereabouts::Here;
        for waiting in inner.waiting.range_mut(KEYED_FROM..).map(|(_, waiting)| waiting).filter(gone) {
            sometimes!("a report goes out again after a snapshot was installed");
            // Its earlier copy may still be on its way.
            waiting.whereabouts = Whereabouts::Unknown;
            inner.progress.extend(waiting.keyed.clone());
        }
        self.ready.notify_one();
    }

    /// Ends every wait and refuses new ones. Of a command that had left nobody can say whether it will commit.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.progress.clear();
        inner.client.clear();
        for (seq, waiting) in std::mem::take(&mut inner.waiting) {
            let error = match waiting.whereabouts {
                Whereabouts::Here => ProposeError::ShuttingDown,
                Whereabouts::Sent | Whereabouts::Unknown => ProposeError::OutcomeUnknown {
                    id: CommandId { incarnation: self.incarnation, seq },
                    waited: waiting.since.elapsed(),
                },
            };
            // The caller may have gone; then nobody wants the answer.
            drop(waiting.answer.send(Err(error)));
        }
    }

    /// Whether the node is stopping.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of this lock panics")
    }
}

impl Inner {
    /// The next number of the session, while its window has room for it.
    fn draw(&mut self, lane: Lane) -> Result<u64, ProposeError> {
        let unsettled_max = match lane {
            Lane::Client => CLIENT_WINDOW,
            Lane::Progress => UNSETTLED_MAX,
        };
        if self.next - self.settled_below() >= unsettled_max {
            return Err(ProposeError::QueueFull);
        }
        self.next += 1;
        Ok(self.next - 1)
    }

    /// The next number of a command with a natural key. They are as many as nodes, tries and retries have something to report.
    fn draw_keyed(&mut self) -> u64 {
        self.next_keyed += 1;
        self.next_keyed - 1
    }

    fn answer(&mut self, seq: u64, outcome: Result<Committed, ProposeError>) {
        if let Some(waiting) = self.waiting.remove(&seq) {
            let was_open = outcome.is_ok() && waiting.whereabouts == Whereabouts::Unknown;
            sometimes!("a command that was sent in doubt turns out to be committed", was_open);
            // The caller may have gone; then nobody wants the answer.
            drop(waiting.answer.send(outcome));
        }
    }

    fn settled_below(&self) -> u64 {
        if capstan_model::mutant!("settled-too-early") {
            return self.next;
        }
        self.waiting.range(..KEYED_FROM).next().map_or(self.next, |(seq, _)| *seq)
    }
}

/// Whether the next command of a queue must travel alone; those nobody waits for any more are dropped on the way to it.
fn is_lone(queue: &mut VecDeque<Sealed>, waiting: &BTreeMap<u64, Waiting>) -> bool {
    while queue.pop_front_if(|next| !waiting.contains_key(&next.id.seq)).is_some() {}
    queue.front().is_some_and(|next| next.bytes.len() > LONE_COMMAND_BYTES)
}

/// What still fits into a batch.
struct Room {
    commands: usize,
    bytes: usize,
    lone: bool,
}

impl Room {
    fn new() -> Self {
        Self { commands: BATCH_COMMANDS_MAX, bytes: BATCH_BYTES_MAX, lone: false }
    }

    fn take(&mut self, queue: &mut VecDeque<Sealed>, waiting: &mut BTreeMap<u64, Waiting>) -> Vec<Sealed> {
        let mut taken = Vec::new();
        while let Some(next) = queue.front() {
            if !taken.is_empty() && buggify!("buggify: a batch leaves before it is full") {
                break;
            }
            let Some(waiter) = waiting.get_mut(&next.id.seq) else {
                queue.pop_front();
                continue;
            };
            let bytes = next.bytes.len();
            let empty = self.commands == BATCH_COMMANDS_MAX;
            let fits = self.commands > 0 && bytes <= self.bytes && bytes <= LONE_COMMAND_BYTES;
            if self.lone || !(fits || empty) {
                break;
            }
            if waiter.whereabouts == Whereabouts::Here {
                waiter.whereabouts = Whereabouts::Sent;
            }
            self.lone = bytes > LONE_COMMAND_BYTES;
            self.commands -= 1;
            self.bytes = self.bytes.saturating_sub(bytes);
            taken.extend(queue.pop_front());
        }
        taken
    }
}

/// Forgets a command when nobody waits for it any more, so that it counts as settled.
struct Withdraw<'a> {
    outbox: &'a Outbox,
    seq: u64,
}

impl Withdraw<'_> {
    fn give_up(&self, id: CommandId, waited: Duration) -> ProposeError {
        let removed = self.outbox.lock().waiting.remove(&self.seq);
        match removed {
            Some(Waiting { whereabouts: Whereabouts::Here, .. }) => {
                sometimes!("a command is given up before it left");
                ProposeError::NoLeader { waited }
            }
            Some(Waiting { whereabouts: Whereabouts::Sent, .. })
                if capstan_model::mutant!("sent-taken-for-waiting") =>
            {
                ProposeError::NoLeader { waited }
            }
            _ => {
                sometimes!("a command is given up and nobody knows what became of it");
                ProposeError::OutcomeUnknown { id, waited }
            }
        }
    }
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.outbox.lock().waiting.remove(&self.seq);
    }
}

#[cfg(test)]
mod tests;
