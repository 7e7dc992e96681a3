//! `/v1/desired_lrps`: what is wanted.

use std::sync::Arc;

use capstan_model::{
    command::Command,
    lrp::{
        command::{Desire, LrpCommand, UpdateDesired},
        guid::ProcessGuid,
        validate::{self, ValidDesired},
    },
};
use http::{StatusCode, header::ETAG};

use super::{
    answer, at_index, draw,
    enforcement::{self, Asked},
    error::Refusal,
    go_json,
    page::Wanted,
    propose, shapes, tag,
};
use crate::{
    answer::{Answer, empty},
    call::{Head, Surface, decode_segment},
    error::{ApiError, CreateError},
    read,
    service::Inner,
};

/// `POST …`.
pub(crate) async fn create(api: &Inner, head: &Head<'_>, body: &[u8]) -> Result<Answer, ApiError> {
    let draft = go_json::from_body(body)?;
    let ValidDesired { process_guid: guid, definition, changeable } =
        validate::desired(draft).map_err(Refusal::Lrp)?;
    let (disk_mb, privileged) = (definition.disk_mb, definition.privileged);
    let asked = Asked { disk_mb, egress_rules: &definition.egress_rules, privileged };
    let created = enforcement::told(empty(StatusCode::CREATED), &asked);
    let location = format!("/v1/desired_lrps/{guid}");
    let draw = draw(&*api.parts.entropy);
    let desire = Desire { guid, definition: Arc::new(definition), changeable, draw };
    let command = Command::Lrp(LrpCommand::Desire(Arc::new(desire)));
    let proposed = propose(api, head, body, command, created).await;
    proposed.map_err(|error| CreateError::locate(error, location))
}

/// `GET …?domain=&after=&limit=`.
pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let wanted = Wanted::of(head.query)?;
    let view = read::view(&api.parts.cluster, head).await?;
    let all = view.state().lrps.desired_after(wanted.after.as_deref());
    let of_domain = all.filter(|desired| wanted.includes(&desired.definition.domain));
    let page = wanted.answer(of_domain.map(|desired| (desired.guid.to_string(), shapes::desired(desired))));
    Ok(at_index(page, view.index()))
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
