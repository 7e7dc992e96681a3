//! What happens to what has arrived.

use bytes::Bytes;
use capstan_client::INDEX_HEADER;
use capstan_model::ids::NodeId;
use capstan_raft_store::peer::{Channel, PeerError, PeerReply, PeerRequest, SnapshotStep};
use http::Request;
use tokio::sync::mpsc;

use super::{
    Arrived, CLIENTS, HTTP_BYTES, Job, Net, NoResponse, Parcel, Services, Waiting, decode, encode,
    is_repeatable,
    post::NOTICED_WITHIN,
    rules::{Leg, Place, Way},
};
use crate::disk::flipped;

impl Net {
    pub(super) fn deliver(&self, parcel: Parcel) {
        match parcel {
            Parcel::Call(arrived) => {
                if self.lock().is_stuck(&arrived) {
                    return;
                }
                let Arrived { call, from, to, channel, .. } = arrived;
                self.trace.event(to, "call", &[from, call, channel as u64], &arrived.bytes);
                self.deliver_call(arrived);
            }
            Parcel::Reply { call, from, to, bytes } => {
                {
                    let inner = &mut *self.lock();
                    if inner.post.rules.is_cut(from, to) {
                        return inner.post.send_late(NOTICED_WITHIN, Parcel::Lost { call });
                    }
                }
                self.trace.event(to, "reply", &[from, call], &bytes);
                if let Some(Waiting::Peer(waiting)) = self.take_waiting(call) {
                    // Whoever waited may have been told to stop meanwhile.
                    let _ = waiting.answer.send(Ok(decode(&bytes)));
                }
            }
            Parcel::ClientCall { call, to, to_life, request } => {
                self.deliver_client_call(call, to, to_life, request);
            }
            Parcel::ClientReply { call, from, response } => {
                self.trace.event(
                    from,
                    "response",
                    &[call, u64::from(response.status().as_u16())],
                    response.body(),
                );
                if let Some(Waiting::Client(waiting)) = self.take_waiting(call) {
                    let _ = waiting.send(Ok(response));
                }
            }
            Parcel::Refused { call, by } => match self.take_waiting(call) {
                Some(Waiting::Peer(waiting)) => {
                    let refused =
                        PeerError::Unreachable { node: NodeId(by), reason: "connection refused".into() };
                    let _ = waiting.answer.send(Err(refused));
                }
                Some(Waiting::Client(waiting)) => {
                    let _ = waiting.send(Err(NoResponse::Refused));
                }
                None => {}
            },
            Parcel::Lost { call } => {
                if let Some(Waiting::Peer(waiting)) = self.take_waiting(call) {
                    let (node, reason) = (NodeId(waiting.to), "the connection was given up".into());
                    let _ = waiting.answer.send(Err(PeerError::NoAnswer { node, reason }));
                }
            }
            Parcel::Break { link, number } => {
                capstan_model::sometimes!("connection broke under calls");
                self.lock().break_connection(link, Some(number));
            }
            Parcel::ClientBreak { call } => {
                if let Some(Waiting::Client(waiting)) = self.take_waiting(call) {
                    let _ = waiting.send(Err(NoResponse::Silence));
                }
            }
            Parcel::Streamed { call, part } => self.deliver_part(call, part),
            Parcel::Again { call, part } => self.lock().send_part(call, part),
        }
    }

    fn deliver_call(&self, arrived: Arrived) {
        let Arrived { call, from, to, channel, to_life: life, .. } = arrived;
        let Some((services, jobs)) = self.addressee(from, to, life) else {
            return self.lock().post.lose(&Parcel::Call(arrived));
        };
        if let Err(reason) = self.introduce(&arrived, &services) {
            let inner = &mut *self.lock();
            if inner.distrusted.contains(&from) || inner.distrusted.contains(&to) {
                inner.refuse(from, to, call);
            } else {
                self.oracle.violated("peers of one cluster admit each other", reason);
            }
            return;
        }
        if channel == Channel::Snapshot {
            self.oracle.snapshot_step(to);
        }
        let mut request: PeerRequest = decode(&arrived.bytes);
        {
            let inner = &mut *self.lock();
            if inner.post.rules.truncates(&mut inner.post.rng) {
                cut_short(&mut request);
            }
            if let PeerRequest::Snapshot(SnapshotStep::Chunk { bytes, .. }) = &mut request
                && inner.post.rules.damages(&mut inner.post.rng)
            {
                *bytes = flipped(bytes, &mut inner.post.rng);
            }
        }
        let net = self.arc();
        let job: Job = Box::new(move || {
            let handled = services.peers.handle(NodeId(from), request);
            Box::pin(async move {
                let reply = handled.await;
                net.answer(to, life, |inner| {
                    // Nobody sends again what was refused: that was the answer.
                    if matches!(reply, PeerReply::Forwarded(Ok(_)) | PeerReply::Heartbeat(_)) {
                        inner.maybe_again(Parcel::Call(arrived));
                    }
                    let bytes = encode(&reply);
                    let way = Way {
                        from: to,
                        to: from,
                        leg: Leg::Answer,
                        channel: Some(channel),
                        bytes: bytes.len(),
                        copies_max: u32::MAX,
                    };
                    inner.post.send(way, Parcel::Reply { call, from: to, to: from, bytes });
                });
            })
        });
        // A node that is going down takes no more work.
        let _ = jobs.send(job);
    }

    fn deliver_client_call(&self, call: u64, to: Place, life: u64, request: Request<Bytes>) {
        let Some((services, jobs)) = self.addressee(CLIENTS, to, life) else {
            return self.lock().refuse_unless_heard(to, life, call);
        };
        if self.is_opened(call) {
            // A node that is going down takes no more work.
            let _ = jobs.send(self.stream_job(call, (to, life), services.api, request));
            return;
        }
        let net = self.arc();
        let is_write = is_write(&request);
        let job: Job = Box::new(move || {
            Box::pin(async move {
                let again = is_repeatable(&request).then(|| request.clone());
                let response = services.api.call(request).await;
                let is_acknowledged = is_write && response.status().is_success();
                let index =
                    response.headers().get(INDEX_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
                net.answer(to, life, |inner| {
                    if let (true, Some(request)) = (is_acknowledged, again) {
                        inner.maybe_again(Parcel::ClientCall { call, to, to_life: life, request });
                    }
                    let way = Way {
                        from: to,
                        to: CLIENTS,
                        leg: Leg::Answer,
                        channel: None,
                        bytes: HTTP_BYTES + response.body().len(),
                        copies_max: u32::MAX,
                    };
                    inner.post.send(way, Parcel::ClientReply { call, from: to, response });
                });
                if is_acknowledged {
                    net.oracle.write_acknowledged(index);
                }
            })
        });
        let _ = jobs.send(job);
    }

    /// The addressee of something that has arrived, if it is still the one it was sent to.
    fn addressee(&self, from: Place, to: Place, life: u64) -> Option<(Services, mpsc::UnboundedSender<Job>)> {
        let inner = self.lock();
        if inner.post.rules.is_cut(from, to) {
            return None;
        }
        let station = inner.stations.get(&to).filter(|station| station.life == life)?;
        Some((station.services.clone()?, station.jobs.clone()))
    }

    /// The hello of a connection, once for each pair of lives.
    fn introduce(&self, arrived: &Arrived, services: &Services) -> Result<(), String> {
        let pair = (arrived.from_life, arrived.to_life);
        let sender = {
            let inner = self.lock();
            if inner.introduced.contains(&pair) {
                return Ok(());
            }
            let station =
                inner.stations.get(&arrived.from).filter(|station| station.life == arrived.from_life);
            station.and_then(|station| station.services.clone())
        };
        // Who sends before it serves, or has gone since, introduces itself next time.
        let Some(sender) = sender else { return Ok(()) };
        services.peers.admit(&sender.peers.identity())?;
        sender.peers.admit(&services.peers.identity())?;
        self.lock().introduced.insert(pair);
        Ok(())
    }
}

/// Cuts openraft's part of a message short.
fn cut_short(request: &mut PeerRequest) {
    match request {
        PeerRequest::Append(bytes)
        | PeerRequest::Vote(bytes)
        | PeerRequest::PreVote(bytes)
        | PeerRequest::TransferLeader(bytes)
        | PeerRequest::Snapshot(
            SnapshotStep::Begin { manifest: bytes, .. } | SnapshotStep::End { vote_and_meta: bytes, .. },
        ) => bytes.truncate(bytes.len() / 2),
        _ => {}
    }
}

/// Whether a call changes something when it succeeds: one that asks what would be does not.
fn is_write(request: &Request<Bytes>) -> bool {
    let has = |words: &[u8]| request.body().windows(words.len()).any(|part| part == words);
    let is_question = request.uri().query() == Some("dry_run") || has(b"\"preview\":true");
    request.method() != http::Method::GET && !is_question
}
