//! `POST /api/v1/requests`: build the whole chain, then store it with one command. When any step fails nothing is stored.

use std::{sync::Arc, time::Duration};

use capstan_model::{
    command::Idempotency,
    ids::{JobId, RequestId},
    rejection::Rejection,
    reply::Answer as Reply,
    sometimes,
    spec::Specs,
    workflow::{
        graph::{Builder, Built, Step},
        json::{JsonMap, JsonText},
    },
};
use capstan_raft_store::{
    handle::{CLIENT_DEADLINE, Committed, Consistency, ProposeOptions},
    ports::Entropy,
};
use http::{HeaderValue, StatusCode, header::LOCATION};
use tokio::time::{Instant, timeout_at};

use super::{archive, create_body, create_body::Asked, json, location, shapes};
use crate::{
    answer::Answer,
    auth,
    call::Head,
    error::{ApiError, CreateError, InputError},
    headers,
    service::{Inner, Parts},
    specs_in_use::Versioned,
};

/// How long the job types may take for all jobs of a request. What is left of [`CLIENT_DEADLINE`] is for storing it.
const CREATE_WAIT_MAX: Duration = Duration::from_secs(3);
/// How often a request is built again because other specs became current.
const REBUILDS_MAX: u32 = 3;
const JOB_ID_DIGITS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

pub(crate) async fn create(api: &Inner, head: &Head<'_>, body: &[u8]) -> Result<Answer, ApiError> {
    if is_draining(api) {
        return Err(InputError::Draining.into());
    }
    let (kind, args) = asked(head, body)?;
    let idempotency = headers::idempotency(head, body)?;
    let (drawn, Committed { reply, index }) = build_and_store(api, head, (&kind, &args), idempotency).await?;
    // A repeat under the same idempotency key is answered with the request the first call made.
    let Reply::RequestCreated { id, .. } = reply? else { unreachable!("a creation is answered as one") };
    let id = if capstan_model::mutant!("answered-own-id") { drawn } else { id };
    let view = api.parts.cluster.read(Consistency::AtLeast(index)).await?;
    let found = archive::request(view.clone(), id).await?;
    let detail = found.ok_or_else(|| InputError::NoSuchRequest { id: id.to_string() })?;
    let body = shapes::created(&detail, &view.state().nodes);
    let mut answer = json::answer(StatusCode::CREATED, &body, json::Layout::of(head));
    let location = HeaderValue::try_from(location(id)).expect("a path of ids is legal in a header");
    answer.headers_mut().insert(LOCATION, location);
    headers::name_specs(answer.headers_mut(), detail.created.specs);
    answer.headers_mut().insert(headers::INDEX, HeaderValue::from(view.index()));
    Ok(answer)
}

/// Builds the request and proposes it; again, when other specs have become current meanwhile. Returns the id that was drawn for it.
async fn build_and_store(
    api: &Inner,
    head: &Head<'_>,
    (kind, args): (&str, &JsonMap),
    idempotency: Option<Idempotency>,
) -> Result<(RequestId, Committed), ApiError> {
    let started = Instant::now();
    let mut rebuilds = Rebuilds::default();
    let mut drawn = None;
    loop {
        let in_use = api.specs_in_use(api.parts.cluster.view().state()).await?;
        let acl = auth::requests::may_start(api, head, &in_use.specs, kind)?;
        let built = build_in_time(&api.parts, in_use, (kind, args), started).await?;
        let deadline = CLIENT_DEADLINE.saturating_sub(started.elapsed());
        let options = ProposeOptions { deadline, ..auth::options_for(head, idempotency.clone(), acl) };
        let id = *drawn.get_or_insert_with(|| draw_request_id(&api.parts));
        let committed = api.parts.cluster.propose(built.into_command(id, head.caller().name), options).await;
        let committed = committed.map_err(|source| CreateError { source, location: location(id) })?;
        if !rebuilds.is_due(&committed) {
            return Ok((id, committed));
        }
    }
}

/// Counts how often a request was built again because other specs became current.
#[derive(Default)]
pub(crate) struct Rebuilds(u32);

impl Rebuilds {
    /// Whether what was proposed is to be built again. This node has applied the refusal, and with it the specs that are current now.
    pub(crate) fn is_due(&mut self, committed: &Committed) -> bool {
        let is_old = matches!(committed.reply, Err(Rejection::BuiltFromOtherSpecs { .. }));
        let is_due = is_old && self.0 < REBUILDS_MAX;
        sometimes!("a request is built again, because other specs are in use", is_due);
        self.0 += u32::from(is_due);
        is_due
    }
}

/// Whether this node is stopping or was drained: it answers for requests, and takes no new one.
pub(crate) fn is_draining(api: &Inner) -> bool {
    let cluster = &api.parts.cluster;
    let view = cluster.view();
    let record = view.state().nodes.get(&cluster.node_id());
    api.parts.health.draining() || record.is_some_and(|record| record.draining || record.leaving)
}

/// The type and args of the request that a call asks for.
pub(crate) fn asked(head: &Head<'_>, body: &[u8]) -> Result<(String, JsonMap), InputError> {
    let Asked { kind, args } = create_body::read(head, body)?;
    Ok((kind, args.iter().map(|(name, value)| (name.as_str().into(), JsonText::from(value))).collect()))
}

/// Expands a request, and gives up when the job types take too long, counted from when the call began.
pub(crate) async fn build_in_time(
    parts: &Parts,
    in_use: Versioned,
    (kind, args): (&str, &JsonMap),
    started: Instant,
) -> Result<Built, InputError> {
    let wait_max = CREATE_WAIT_MAX;
    let Versioned { specs, version } = in_use;
    let built = timeout_at(started + wait_max, build(parts, specs, kind, args)).await;
    let built = built.map_err(|_| InputError::CreateTimeout { wait_max })??;
    Ok(Built { specs: version, ..built })
}

/// Expands a request, asking the job types as often as the builder needs them.
async fn build(parts: &Parts, specs: Arc<Specs>, kind: &str, args: &JsonMap) -> Result<Built, InputError> {
    let entropy = Arc::clone(&parts.entropy);
    let mut builder = Builder::new(specs, kind, args, move || draw_job_id(&*entropy));
    let mut created = Vec::new();
    loop {
        match builder.step(std::mem::take(&mut created)) {
            Step::Need(calls) => created = parts.job_types.create(calls).await,
            Step::Done(built) => return Ok(*built),
            Step::Refused(refusal) => return Err(refusal.into()),
        }
    }
}

pub(crate) fn draw_request_id(parts: &Parts) -> RequestId {
    let unix_secs = u32::try_from(parts.clock.wall().as_secs()).unwrap_or(u32::MAX);
    RequestId::from_parts(unix_secs, parts.entropy.u64().to_be_bytes())
}

fn draw_job_id(entropy: &dyn Entropy) -> JobId {
    let mut bits = entropy.u64();
    let mut digit = || {
        let digit = JOB_ID_DIGITS[(bits % 62) as usize];
        bits /= 62;
        digit
    };
    JobId([digit(), digit(), digit(), digit()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_built_again_for_other_specs_alone_and_not_for_ever() {
        let refused = |rejection| Committed { reply: Err(rejection), index: 1 };
        let other_specs = refused(Rejection::BuiltFromOtherSpecs { current: None });
        let mut rebuilds = Rebuilds::default();
        assert!(!rebuilds.is_due(&refused(Rejection::NotFinished { request: RequestId([1; 12]) })));
        for _ in 0..REBUILDS_MAX {
            assert!(rebuilds.is_due(&other_specs));
        }
        assert!(!rebuilds.is_due(&other_specs));
    }
}
