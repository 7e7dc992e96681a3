//! A call whose answer goes on: at one node after the other until one begins to answer.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Client,
    address::shown,
    call::{Answer, Call, Findings, Lost, PAUSE_MAX, PAUSE_MIN, Verdict, lost, verdict},
    error::CallError,
};

/// An answer that has begun.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) response: reqwest::Response,
    /// The place of its node among those the client knows.
    pub(super) place: usize,
    /// The node, for people.
    pub(super) address: String,
}

impl Client {
    /// Makes the call at one node after the other, first at the one behind `after`, until one begins to answer or the time is up.
    pub(super) async fn open(&self, call: &Call, after: Option<usize>) -> Result<Opened, CallError> {
        let started = Instant::now();
        let mut findings = Findings::default();
        let mut pause = PAUSE_MIN;
        loop {
            let mut nodes: Vec<_> = self.nodes.in_order().collect();
            if let Some(first) = after.and_then(|after| nodes.iter().position(|node| node.place == after)) {
                let count = nodes.len();
                nodes.rotate_left((first + 1) % count);
            }
            for node in nodes {
                let left = self.options.timeout.saturating_sub(started.elapsed());
                if left.is_zero() {
                    return Err(findings.give_up(call, started.elapsed()));
                }
                let address = shown(node.url);
                let patience = left.min(self.options.attempt_timeout);
                let sent = tokio::time::timeout(patience, self.prepared(call, node).send()).await;
                let response = match sent {
                    Ok(Ok(response)) => response,
                    Ok(Err(error)) => {
                        findings.note_lost(address, lost(&error));
                        continue;
                    }
                    Err(_) => {
                        findings.note_lost(address, Lost::AfterSending("no answer in time".to_owned()));
                        continue;
                    }
                };
                if response.status().is_success() {
                    self.nodes.prefer(node);
                    return Ok(Opened { response, place: node.place, address });
                }
                let answer = refusal(response, address, patience).await;
                match verdict(answer.status) {
                    Verdict::Final => return Err(answer.refusal()),
                    verdict => findings.note_refused(answer, verdict),
                }
            }
            // A stream that was open comes back with the next leader; a first call is not kept waiting for nodes that are not there.
            let patience = match after {
                None if findings.only_unreachable() => self.options.connect_patience,
                _ => self.options.timeout,
            };
            if started.elapsed() + pause >= patience {
                return Err(findings.give_up(call, started.elapsed()));
            }
            tokio::time::sleep(rand::random_range(pause / 2..=pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// An answer that is a refusal, with as much of its body as comes in time.
async fn refusal(response: reqwest::Response, address: String, patience: Duration) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = tokio::time::timeout(patience, response.bytes()).await;
    let body = body.ok().and_then(Result::ok).unwrap_or_default();
    Answer { status, headers, body, address }
}
