//! The calls of one outgoing connection: what waits to be written, and what waits for an answer.
//!
//! Knows nothing of sockets: [`super::dialer`] moves the bytes. It decides the one thing callers must be able to trust,
//! whether a failed call's bytes ever left.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use capstan_model::ids::NodeId;
use capstan_raft_store::peer::{Channel, PeerError, PeerReply, PeerRequest};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{
    frame,
    message::{Message, PeerMessage},
};

/// The most bytes that wait to be written: two of the largest frames.
const QUEUE_BYTES_MAX: usize = 2 * frame::PAYLOAD_BYTES_MAX + 1024;
/// How many bytes go into one write; what has come together by then goes with the next.
const WRITE_BYTES: usize = 256 * 1024;
/// The shortest pause after a failed attempt to connect; doubled with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause: a peer that comes back is found within it.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// The calls to one node over one channel.
#[derive(Debug)]
pub(super) struct Link {
    /// Who is called.
    pub(super) peer: NodeId,
    /// Over which of the connections.
    pub(super) channel: Channel,
    /// `host:port` that is dialled.
    pub(super) address: String,
    next_id: AtomicU64,
    calls: Mutex<Calls>,
    queued: Notify,
}

#[derive(Debug)]
struct Calls {
    phase: Phase,
    /// Attempts to connect since the last answer.
    failures: u32,
    queue: VecDeque<Queued>,
    queue_bytes: usize,
    /// A call is here from its start until it was answered, failed or given up.
    waiting: HashMap<u64, Waiting>,
}

#[derive(Debug)]
enum Phase {
    /// Nobody dials: the next call has to be followed by a dialler.
    Idle,
    /// The last attempt failed; until then calls fail at once.
    Pausing { until: Instant, reason: String },
    /// A dialler connects or moves bytes.
    Dialled,
}

#[derive(Debug)]
struct Queued {
    id: u64,
    frame: Bytes,
}

#[derive(Debug)]
struct Waiting {
    sent: bool,
    reply: oneshot::Sender<Result<PeerReply, PeerError>>,
}

/// A call that was queued. Dropping it gives the call up: if its bytes have not left by then, they never will.
#[derive(Debug)]
pub(super) struct Ticket {
    link: Arc<Link>,
    id: u64,
    reply: oneshot::Receiver<Result<PeerReply, PeerError>>,
}

/// Whether a queued call needs someone to dial.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// The caller starts a dialler.
    Dialler,
    /// One is at work.
    Nothing,
}

impl Link {
    pub(super) fn new(peer: NodeId, channel: Channel, address: String) -> Self {
        let calls = Calls {
            phase: Phase::Idle,
            failures: 0,
            queue: VecDeque::new(),
            queue_bytes: 0,
            waiting: HashMap::new(),
        };
        Self {
            peer,
            channel,
            address,
            next_id: AtomicU64::new(1),
            calls: Mutex::new(calls),
            queued: Notify::new(),
        }
    }

    /// Queues a call behind all that were queued before.
    ///
    /// # Errors
    /// `Unreachable`: it is too large, the queue is full, or the last attempt to connect has only just failed.
    pub(super) fn start(
        self: &Arc<Self>,
        request: PeerRequest,
        deadline: Duration,
    ) -> Result<(Ticket, Needs), PeerError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let deadline_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        let mut frame = BytesMut::new();
        frame::encode(&PeerMessage::V1(Message::Call { id, deadline_ms, request }), &mut frame)
            .map_err(|error| self.unreachable(error.to_string()))?;

        let mut calls = self.lock();
        let needs = match &calls.phase {
            Phase::Dialled => Needs::Nothing,
            Phase::Pausing { until, reason } if Instant::now() < *until => {
                return Err(self.unreachable(reason.clone()));
            }
            Phase::Idle | Phase::Pausing { .. } => Needs::Dialler,
        };
        if calls.queue_bytes + frame.len() > QUEUE_BYTES_MAX {
            return Err(self.unreachable(format!("{} bytes already wait to be sent", calls.queue_bytes)));
        }
        let (sender, reply) = oneshot::channel();
        calls.phase = Phase::Dialled;
        calls.queue_bytes += frame.len();
        calls.queue.push_back(Queued { id, frame: frame.freeze() });
        calls.waiting.insert(id, Waiting { sent: false, reply: sender });
        drop(calls);
        self.queued.notify_one();
        Ok((Ticket { link: Arc::clone(self), id, reply }, needs))
    }

    /// Moves queued frames to the end of `out`, in order, until it holds enough for one write. From then on their calls
    /// count as sent.
    pub(super) fn take(&self, out: &mut BytesMut) {
        let mut calls = self.lock();
        while out.len() < WRITE_BYTES {
            let Some(Queued { id, frame }) = calls.queue.pop_front() else { break };
            calls.queue_bytes -= frame.len();
            if let Some(waiting) = calls.waiting.get_mut(&id) {
                waiting.sent = true;
                out.extend_from_slice(&frame);
            }
        }
    }

    /// Waits until something may have been queued.
    pub(super) async fn queued(&self) {
        self.queued.notified().await;
    }

    /// Hands an answer to its caller, if that still waits.
    pub(super) fn answer(&self, id: u64, reply: PeerReply) {
        let mut calls = self.lock();
        calls.failures = 0;
        if let Some(waiting) = calls.waiting.remove(&id) {
            drop(calls);
            // The caller may have given up in this moment.
            let _ = waiting.reply.send(Ok(reply));
        }
    }

    /// Ends the dialler's work: everything queued or unanswered fails, and the next calls fail at once for a while.
    pub(super) fn ended(&self, reason: &str) {
        let mut calls = self.lock();
        calls.failures = calls.failures.saturating_add(1);
        let until = Instant::now() + pause(calls.failures, rand::random());
        calls.phase = Phase::Pausing { until, reason: reason.to_owned() };
        calls.queue.clear();
        calls.queue_bytes = 0;
        let waiting = std::mem::take(&mut calls.waiting);
        drop(calls);
        for Waiting { sent, reply } in waiting.into_values() {
            let error =
                if sent { self.no_answer(reason.to_owned()) } else { self.unreachable(reason.to_owned()) };
            let _ = reply.send(Err(error));
        }
    }

    pub(super) fn unreachable(&self, reason: String) -> PeerError {
        PeerError::Unreachable { node: self.peer, reason }
    }

    fn no_answer(&self, reason: String) -> PeerError {
        PeerError::NoAnswer { node: self.peer, reason }
    }

    /// Forgets a call whose caller has gone; says whether its bytes had left.
    fn forget(&self, id: u64) -> bool {
        let mut calls = self.lock();
        let sent = calls.waiting.remove(&id).is_none_or(|waiting| waiting.sent);
        // What nobody waits for any more must not fill the queue of a connection that stands still.
        while let Some(front) = calls.queue.front()
            && !calls.waiting.contains_key(&front.id)
        {
            let bytes = front.frame.len();
            calls.queue.pop_front();
            calls.queue_bytes -= bytes;
        }
        sent
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().expect("no code that holds this lock panics")
    }
}

impl Ticket {
    /// Waits for the answer, at most until `deadline` has passed.
    ///
    /// # Errors
    /// `Unreachable` when the call's bytes never left, `NoAnswer` when they may have.
    pub(super) async fn answer(mut self, deadline: Duration) -> Result<PeerReply, PeerError> {
        match tokio::time::timeout(deadline, &mut self.reply).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_dropped)) => Err(self.link.no_answer("the link was dropped".to_owned())),
            Err(_late) => {
                let reason = format!("the deadline of {deadline:?} has passed");
                if self.link.forget(self.id) {
                    Err(self.link.no_answer(reason))
                } else {
                    Err(self.link.unreachable(reason))
                }
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.reply.is_terminated() {
            self.link.forget(self.id);
        }
    }
}

/// How long to wait after so many failures in a row; between half and all of the doubled pause, so that nodes that lost
/// the same peer do not return in step.
fn pause(failures: u32, random: u32) -> Duration {
    let doubled = PAUSE_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(PAUSE_MAX);
    doubled.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Arc<Link> {
        Arc::new(Link::new(NodeId(2), Channel::Raft, "127.0.0.1:1".to_owned()))
    }

    fn append(bytes: usize) -> PeerRequest {
        PeerRequest::Append(vec![0; bytes].into())
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_differ() {
        let longest = [1, 2, 3, 5, 6, 100].map(|failures| pause(failures, u32::MAX).as_millis());
        assert_eq!(longest, [20, 40, 80, 320, 500, 500]);
        assert_eq!(pause(6, 0).as_millis(), 250);
    }

    #[tokio::test]
    async fn only_the_first_call_asks_for_a_dialler() {
        let link = link();
        let (_first, needs) = link.start(append(1), SECOND).unwrap();
        assert_eq!(needs, Needs::Dialler);
        let (_second, needs) = link.start(append(1), SECOND).unwrap();
        assert_eq!(needs, Needs::Nothing);
    }

    #[tokio::test]
    async fn a_lost_connection_tells_sent_calls_from_unsent_ones() {
        let link = link();
        let (sent, _) = link.start(append(1), SECOND).unwrap();
        link.take(&mut BytesMut::new());
        let (unsent, _) = link.start(append(1), SECOND).unwrap();
        link.ended("cut");
        assert!(matches!(sent.answer(SECOND).await, Err(PeerError::NoAnswer { .. })));
        assert!(matches!(unsent.answer(SECOND).await, Err(PeerError::Unreachable { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_past_its_deadline_never_leaves_later() {
        let link = link();
        let (sent, _) = link.start(append(1), SECOND).unwrap();
        link.take(&mut BytesMut::new());
        assert!(matches!(sent.answer(SECOND).await, Err(PeerError::NoAnswer { .. })));
        let (late, _) = link.start(append(1), SECOND).unwrap();
        assert!(matches!(late.answer(SECOND).await, Err(PeerError::Unreachable { .. })));
        let mut out = BytesMut::new();
        link.take(&mut out);
        assert!(out.is_empty());
    }

    #[tokio::test]
    async fn a_dropped_call_never_leaves_and_frees_its_room() {
        let link = link();
        let (dropped, _) = link.start(append(frame::PAYLOAD_BYTES_MAX - 64), SECOND).unwrap();
        drop(dropped);
        let _kept = [(); 2].map(|()| link.start(append(frame::PAYLOAD_BYTES_MAX - 64), SECOND).unwrap());
    }

    #[tokio::test]
    async fn a_full_queue_refuses_before_anything_happens() {
        let link = link();
        let _kept = [(); 2].map(|()| link.start(append(frame::PAYLOAD_BYTES_MAX - 64), SECOND).unwrap());
        let refused = link.start(append(2048), SECOND).unwrap_err();
        assert!(matches!(refused, PeerError::Unreachable { node: NodeId(2), .. }), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_calls_fail_at_once_until_the_pause_is_over() {
        let link = link();
        let (_first, _) = link.start(append(1), SECOND).unwrap();
        link.ended("connection refused");
        let refused = link.start(append(1), SECOND).unwrap_err();
        assert!(refused.to_string().contains("connection refused"), "{refused}");
        tokio::time::advance(PAUSE_MAX).await;
        assert_eq!(link.start(append(1), SECOND).unwrap().1, Needs::Dialler);
    }

    #[tokio::test]
    async fn frames_leave_in_the_order_of_their_calls() {
        let link = link();
        let tickets: Vec<_> = (0..100).map(|i| link.start(append(i), SECOND).unwrap()).collect();
        let mut out = BytesMut::new();
        link.take(&mut out);
        let mut frames = frame::Frames::default();
        frames.trust();
        let mut socket = &out[..];
        for (i, (ticket, _)) in tickets.iter().enumerate() {
            let PeerMessage::V1(Message::Call { id, request, .. }) =
                frames.receive(&mut socket).await.unwrap()
            else {
                panic!("not a call");
            };
            assert_eq!((id, request), (ticket.id, append(i)));
        }
    }
}
