//! `/v1/actual_lrps`: what there is of each LRP, one record an index.

use capstan_client::receptor::ActualLrp;
use capstan_model::{
    command::Command,
    lrp::{
        actual::{ActualKey, Group},
        command::LrpCommand,
    },
};
use http::StatusCode;

use super::{answer, at_index, draw, error::Refusal, page::Wanted, propose, shapes};
use crate::{
    answer::{Answer, empty},
    call::{Head, Surface, decode_segment},
    error::ApiError,
    read,
    service::Inner,
};

/// `GET …?domain=&after=&limit=`.
pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let wanted = Wanted::of(head.query)?;
    let after = wanted.after.as_deref().map(page_key).transpose()?;
    let view = read::view(&api.parts.cluster, head).await?;
    let groups = view.state().lrps.groups_after(after.as_ref());
    let records = groups.filter_map(|(key, group)| {
        let (presence, actual) = group.resolved(wanted.domain())?;
        Some((format!("{}/{}", key.guid, key.index), shapes::actual(key, presence, actual)))
    });
    Ok(at_index(wanted.answer(records), view.index()))
}

/// `GET …/{process_guid}`: of an LRP that does not exist there is nothing.
pub(crate) async fn of_lrp(api: &Inner, head: &Head<'_>, guid: &str) -> Result<Answer, ApiError> {
    let guid = decode_segment(guid)?.parse().ok();
    let view = read::view(&api.parts.cluster, head).await?;
    let groups = guid.iter().flat_map(|guid| view.state().lrps.groups_of(guid));
    let shown: Vec<ActualLrp> = groups.filter_map(|(key, group)| shown(key, group)).collect();
    Ok(at_index(answer::json(StatusCode::OK, &shown), view.index()))
}

/// `GET …/{process_guid}/index/{index}`.
pub(crate) async fn get(api: &Inner, head: &Head<'_>, guid: &str, index: &str) -> Result<Answer, ApiError> {
    let asked = Asked::of(guid, index)?;
    let view = read::view(&api.parts.cluster, head).await?;
    let found = asked.key.as_ref().and_then(|key| shown(key, view.state().lrps.group(key)?));
    let answer = match found {
        Some(actual) => answer::json(StatusCode::OK, &actual),
        None => {
            let nothing = Refusal::NothingAtIndex { guid: asked.guid, index: asked.index };
            ApiError::from(nothing).answer(Surface::Receptor)
        }
    };
    Ok(at_index(answer, view.index()))
}

/// `DELETE …/{process_guid}/index/{index}`: stops the instance; another takes its place.
pub(crate) async fn kill(
    api: &Inner,
    head: &Head<'_>,
    guid: &str,
    index: &str,
    body: &[u8],
) -> Result<Answer, ApiError> {
    let Asked { guid, index, key } = Asked::of(guid, index)?;
    let key = key.ok_or(Refusal::NoSuchIndex { guid, index })?;
    let command = Command::Lrp(LrpCommand::Kill { key, draw: draw(&*api.parts.entropy) });
    propose(api, head, body, command, empty(StatusCode::NO_CONTENT)).await
}

fn shown(key: &ActualKey, group: &Group) -> Option<ActualLrp> {
    let (presence, actual) = group.resolved(None)?;
    Some(shapes::actual(key, presence, actual))
}

/// The index behind which a page begins, as the page before named it.
fn page_key(text: &str) -> Result<ActualKey, Refusal> {
    let key = text
        .split_once('/')
        .and_then(|(guid, index)| Some(ActualKey::new(&guid.parse().ok()?, index.parse().ok()?)));
    key.ok_or_else(|| Refusal::Request("after must be a guid, a slash and an index".to_owned()))
}

/// One index, as a path names it.
pub(super) struct Asked {
    pub(super) guid: String,
    pub(super) index: i64,
    /// `None` when there can be no such LRP or index.
    pub(super) key: Option<ActualKey>,
}

impl Asked {
    /// Reads the two segments.
    ///
    /// # Errors
    /// One of them cannot be decoded, or the index is no whole number.
    pub(super) fn of(guid: &str, index: &str) -> Result<Self, ApiError> {
        let not_a_number = || Refusal::Request("index not a number".to_owned());
        let index: i64 = decode_segment(index)?.parse().map_err(|_| not_a_number())?;
        let guid = decode_segment(guid)?;
        let key = guid.parse().ok().zip(u32::try_from(index).ok());
        let key = key.map(|(guid, index)| ActualKey::new(&guid, index));
        Ok(Self { guid: guid.into_owned(), index, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_a_whole_number() {
        for (text, expected) in
            [("0", Some(0)), ("+07", Some(7)), ("4294967295", Some(u32::MAX)), ("-0", Some(0))]
        {
            assert_eq!(Asked::of("p", text).unwrap().key.map(|key| key.index), expected, "{text}");
        }
        // Whole numbers that no instance has.
        for text in ["-1", "4294967296", "9223372036854775807"] {
            assert!(Asked::of("p", text).unwrap().key.is_none(), "{text}");
        }
        for text in ["", "x", "1.5", "1e3", "%201", "9223372036854775808"] {
            assert!(Asked::of("p", text).is_err(), "{text}");
        }
        assert!(Asked::of("a%20b", "0").unwrap().key.is_none());
    }
}
