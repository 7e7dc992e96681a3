//! `POST /api/v1/requests`: build the whole chain, then store it with one command. When any step fails nothing is stored.

use std::{sync::Arc, time::Duration};

use capstan_model::{
    command::{Command, Idempotency},
    ids::{JobId, RequestId},
    rejection::Rejection,
    reply::Answer as Reply,
    workflow::{
        command::CreateRequest,
        graph::{Builder, Built, Step},
        json::{JsonMap, JsonText},
    },
};
use capstan_raft_store::{
    handle::{CLIENT_DEADLINE, Committed, Consistency, ProposeOptions},
    ports::Entropy,
};
use http::{HeaderValue, StatusCode, header::LOCATION};
use tokio::time::{Instant, timeout};

use super::{archive, create_body, create_body::Asked, json, location, shapes};
use crate::{
    answer::Answer,
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
    let asked = create_body::read(head, body)?;
    let idempotency = headers::idempotency(head, body)?;
    let (drawn, Committed { reply, index }) = build_and_store(api, &asked, idempotency).await?;
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
    asked: &Asked,
    idempotency: Option<Idempotency>,
) -> Result<(RequestId, Committed), ApiError> {
    let started = Instant::now();
    let mut rebuilds = 0;
    let mut drawn = None;
    loop {
        let in_use = api.specs.of(api.parts.cluster.view().state(), &*api.parts.workflows).await?;
        let version = in_use.version;
        let wait_max = CREATE_WAIT_MAX;
        let built = timeout(wait_max.saturating_sub(started.elapsed()), build(&api.parts, in_use, asked))
            .await
            .map_err(|_| InputError::CreateTimeout { wait_max })??;
        let deadline = CLIENT_DEADLINE.saturating_sub(started.elapsed());
        let options =
            ProposeOptions { idempotency: idempotency.clone(), deadline, ..ProposeOptions::client() };
        let id = *drawn.get_or_insert_with(|| draw_request_id(&api.parts));
        let request = CreateRequest { specs: version, ..built.into_request(id, "".into()) };
        let committed = api.parts.cluster.propose(Command::CreateRequest(Arc::new(request)), options).await;
        let committed = committed.map_err(|source| CreateError { source, location: location(id) })?;
        match &committed.reply {
            // This node has applied the refusal, and with it the specs that are current now.
            Err(Rejection::BuiltFromOtherSpecs { .. }) if rebuilds < REBUILDS_MAX => rebuilds += 1,
            _ => return Ok((id, committed)),
        }
    }
}

/// Whether this node is stopping or was drained: it answers for requests, and takes no new one.
fn is_draining(api: &Inner) -> bool {
    let cluster = &api.parts.cluster;
    let view = cluster.view();
    let record = view.state().nodes.get(&cluster.node_id());
    api.parts.health.draining() || record.is_some_and(|record| record.draining || record.leaving)
}

/// Expands the request, asking the job types as often as the builder needs them.
async fn build(parts: &Parts, in_use: Versioned, asked: &Asked) -> Result<Built, InputError> {
    let args: JsonMap =
        asked.args.iter().map(|(name, value)| (name.as_str().into(), JsonText::from(value))).collect();
    let entropy = Arc::clone(&parts.entropy);
    let mut builder = Builder::new(in_use.specs, &asked.kind, &args, move || draw_job_id(&*entropy));
    let mut created = Vec::new();
    loop {
        match builder.step(std::mem::take(&mut created)) {
            Step::Need(calls) => created = parts.job_types.create(calls).await,
            Step::Done(built) => return Ok(*built),
            Step::Refused(refusal) => return Err(refusal.into()),
        }
    }
}

fn draw_request_id(parts: &Parts) -> RequestId {
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
