//! `/v1/desired_lrps`: what is wanted.

use std::sync::Arc;

use capstan_model::{
    command::Command,
    lrp::{
        command::{Desire, LrpCommand, UpdateDesired},
        definition::Definition,
        guid::ProcessGuid,
        validate::{self, ValidDesired},
    },
};
use http::{HeaderName, HeaderValue, StatusCode, header::ETAG};

use super::{answer, at_index, draw, error::Refusal, go_json, propose, shapes, tag};
use crate::{
    answer::{Answer, empty},
    call::{Head, Surface, decode_segment},
    error::{ApiError, CreateError},
    query, read,
    service::Inner,
};

/// `X-Capstan-Not-Enforced`: which members of a new LRP are kept and shown, but not enforced by cells that run host processes.
const NOT_ENFORCED: HeaderName = HeaderName::from_static("x-capstan-not-enforced");

/// `POST …`.
pub(crate) async fn create(api: &Inner, head: &Head<'_>, body: &[u8]) -> Result<Answer, ApiError> {
    let draft = go_json::from_body(body)?;
    let ValidDesired { process_guid: guid, definition, changeable } =
        validate::desired(draft).map_err(Refusal::Lrp)?;
    let mut created = empty(StatusCode::CREATED);
    if let Some(members) = not_enforced(&definition) {
        created.headers_mut().insert(NOT_ENFORCED, members);
    }
    let location = format!("/v1/desired_lrps/{guid}");
    let draw = draw(&*api.parts.entropy);
    let desire = Desire { guid, definition: Arc::new(definition), changeable, draw };
    let command = Command::Lrp(LrpCommand::Desire(Arc::new(desire)));
    let proposed = propose(api, head, body, command, created).await;
    proposed.map_err(|error| CreateError::locate(error, location))
}

/// `GET …?domain=`.
pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let domain = query::first(head.query, "domain").filter(|domain| !domain.is_empty());
    let view = read::view(&api.parts.cluster, head).await?;
    let all = view.state().lrps.all_desired();
    let wanted =
        all.filter(|desired| domain.as_deref().is_none_or(|domain| *desired.definition.domain == *domain));
    let shown: Vec<_> = wanted.map(|desired| shapes::desired(desired)).collect();
    Ok(at_index(answer::json(StatusCode::OK, &shown), view.index()))
}

/// `GET …/{process_guid}`.
pub(crate) async fn get(api: &Inner, head: &Head<'_>, guid: &str) -> Result<Answer, ApiError> {
    let guid = decode_segment(guid)?;
    let view = read::view(&api.parts.cluster, head).await?;
    let answer = match view.state().lrps.desired(&guid) {
        Some(desired) => {
            let mut answer = answer::json(StatusCode::OK, &shapes::desired(desired));
            answer.headers_mut().insert(ETAG, tag::etag(desired.tag));
            answer
        }
        None => ApiError::from(no_such_lrp(&guid)).answer(Surface::Receptor),
    };
    Ok(at_index(answer, view.index()))
}

/// `PUT …/{process_guid}`: changes what the body names.
pub(crate) async fn update(
    api: &Inner,
    head: &Head<'_>,
    guid: &str,
    body: &[u8],
) -> Result<Answer, ApiError> {
    let update = validate::update(go_json::from_body(body)?).map_err(Refusal::Lrp)?;
    let guid = process_guid(guid)?;
    let if_tag = tag::wanted(head.headers)?;
    let update = UpdateDesired { guid, update, draw: draw(&*api.parts.entropy), if_tag };
    let command = Command::Lrp(LrpCommand::Update(Box::new(update)));
    propose(api, head, body, command, empty(StatusCode::NO_CONTENT)).await
}

/// `DELETE …/{process_guid}`: its instances are stopped in the background.
pub(crate) async fn remove(
    api: &Inner,
    head: &Head<'_>,
    guid: &str,
    body: &[u8],
) -> Result<Answer, ApiError> {
    let (guid, if_tag) = (process_guid(guid)?, tag::wanted(head.headers)?);
    let command = Command::Lrp(LrpCommand::Remove { guid, if_tag });
    propose(api, head, body, command, empty(StatusCode::NO_CONTENT)).await
}

/// The LRP a path names. What cannot name one names none.
fn process_guid(segment: &str) -> Result<ProcessGuid, ApiError> {
    let text = decode_segment(segment)?;
    Ok(text.parse().map_err(|_| no_such_lrp(&text))?)
}

fn no_such_lrp(guid: &str) -> Refusal {
    Refusal::NoSuchLrp { guid: guid.to_owned() }
}

fn not_enforced(definition: &Definition) -> Option<HeaderValue> {
    let members = [
        ("disk_mb", definition.disk_mb > 0),
        ("egress_rules", !definition.egress_rules.is_empty()),
        ("privileged", definition.privileged),
    ];
    let asked: Vec<&str> = members.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name).collect();
    let text = asked.join(", ");
    (!text.is_empty()).then(|| HeaderValue::try_from(text).expect("names of members are legal in a header"))
}
