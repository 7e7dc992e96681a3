//! Modification tags as clients see them: a UUID and a number, together an entity tag.

use capstan_client::receptor;
use capstan_model::lrp::tag::ModificationTag;
use http::{HeaderMap, HeaderValue, header::IF_MATCH};

use super::error::Refusal;

/// The form in a body.
pub(super) fn shown(tag: ModificationTag) -> receptor::ModificationTag {
    receptor::ModificationTag { epoch: uuid(tag.epoch), index: tag.index }
}

/// 128 bits as RFC 9562 writes them.
pub(super) fn uuid(bits: u128) -> String {
    let digits = format!("{bits:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// The form in the header `ETag`: `"<epoch>/<index>"`.
pub(super) fn etag(tag: ModificationTag) -> HeaderValue {
    let text = format!("\"{}/{}\"", uuid(tag.epoch), tag.index);
    HeaderValue::try_from(text).expect("digits, dashes and quotes are legal in a header")
}

/// The tag a desired LRP must have for a write to happen: `If-Match: "<epoch>/<index>"`. `*` asks for nothing beyond what each write does.
pub(super) fn wanted(headers: &HeaderMap) -> Result<Option<ModificationTag>, Refusal> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if value == "*" && values.next().is_none() {
        return Ok(None);
    }
    let tag = value.to_str().ok().filter(|_| values.next().is_none()).and_then(parsed);
    tag.map(Some).ok_or_else(|| {
        Refusal::Request("If-Match must be one entity tag, as a GET of the desired LRP shows it".to_owned())
    })
}

fn parsed(tag: &str) -> Option<ModificationTag> {
    let (epoch, index) = tag.strip_prefix('"')?.strip_suffix('"')?.split_once('/')?;
    let bits = u128::from_str_radix(&epoch.replace('-', ""), 16).ok()?;
    let plain = uuid(bits) == epoch && !index.starts_with('+');
    Some(ModificationTag { epoch: bits, index: index.parse().ok().filter(|_| plain)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn if_match(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (IF_MATCH, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn an_entity_tag_is_read_back() {
        let tag = ModificationTag { epoch: 0x0123_4567_89ab_4def_8123_4567_89ab_cdef, index: 7 };
        assert_eq!(etag(tag), "\"01234567-89ab-4def-8123-456789abcdef/7\"");
        let sent = HeaderMap::from_iter([(IF_MATCH, etag(tag))]);
        assert_eq!(wanted(&sent).unwrap(), Some(tag));
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(wanted(&HeaderMap::new()).unwrap(), None);
        assert_eq!(wanted(&if_match(&["*"])).unwrap(), None);
        let epoch = "01234567-89ab-4def-8123-456789abcdef";
        let tag = format!("\"{epoch}/7\"");
        let cases: [&[&str]; 7] = [
            &["7"],
            &["\"7\""],
            &["\"x/7\""],
            &[epoch],
            &[&format!("\"{epoch}/+7\"")],
            &[&format!("\"{epoch}/x\"")],
            &[&tag, &tag],
        ];
        for values in cases {
            assert!(wanted(&if_match(values)).is_err(), "{values:?}");
        }
    }
}
