//! The headers Capstan gives a meaning, read from a call and written to an answer.

use capstan_client::{IDEMPOTENCY_HEADER, INDEX_HEADER};
use capstan_model::{
    command::{Condition, Idempotency, IdempotencyScope},
    spec_store::SpecsId,
};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{IF_MATCH, IF_NONE_MATCH},
};
use xxhash_rust::xxh3::xxh3_128;

use crate::{call::Head, error::InputError};

/// `X-Capstan-Index`: the log index an answer shows, or must show.
pub(crate) const INDEX: HeaderName = HeaderName::from_static("x-capstan-index");
/// `X-Capstan-Next`: where the next page of a list begins; see [`capstan_client::NEXT_HEADER`].
pub(crate) const NEXT: HeaderName = HeaderName::from_static("x-capstan-next");
/// `X-Capstan-Specs`: the version of the specs that a request was built from. A header, since the body is Spin Cycle's to the field.
const SPECS: HeaderName = HeaderName::from_static("x-capstan-specs");
/// `X-Spincycle-Version`: which Spin Cycle an answer is compatible with.
pub(crate) const SPINCYCLE_VERSION: HeaderName = HeaderName::from_static("x-spincycle-version");
/// `Idempotency-Key`: names a write, so that it happens once however often it is sent.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest `Idempotency-Key`, in bytes.
const IDEMPOTENCY_KEY_LEN_MAX: usize = 255;

/// The log index the caller wants to see applied.
///
/// # Errors
/// [`InputError::Header`] when it is no number, or given twice.
pub(crate) fn wanted_index(headers: &HeaderMap) -> Result<Option<u64>, InputError> {
    let Some(value) = single(headers, &INDEX, INDEX_HEADER)? else { return Ok(None) };
    match value.parse() {
        Ok(index) => Ok(Some(index)),
        Err(_) => Err(refused(INDEX_HEADER, "it must be a log index, a whole number below 2^64")),
    }
}

/// Says which of the cluster's specs a request was built from; nothing when they were a node's own.
pub(crate) fn name_specs(headers: &mut HeaderMap, specs: Option<SpecsId>) {
    if let Some(version) = specs {
        let version = HeaderValue::try_from(version.to_string()).expect("digits are legal in a header");
        headers.insert(SPECS, version);
    }
}

/// What must hold of a variable for a write to happen: `If-Match: "<revision>"` or `If-None-Match: *`.
///
/// # Errors
/// [`InputError::Header`] for any other form, and for both at once.
pub(crate) fn condition(headers: &HeaderMap) -> Result<Condition, InputError> {
    let matching = single(headers, &IF_MATCH, "If-Match")?;
    let none_matching = single(headers, &IF_NONE_MATCH, "If-None-Match")?;
    match (matching, none_matching) {
        (None, None) => Ok(Condition::Any),
        (None, Some("*")) => Ok(Condition::Absent),
        (None, Some(_)) => Err(refused("If-None-Match", "a write knows only *, the variable must not exist")),
        (Some(tag), None) => Ok(Condition::Revision(revision(tag)?)),
        (Some(_), Some(_)) => Err(refused("If-Match", "it cannot be combined with If-None-Match")),
    }
}

/// The version of the request specs that a write expects to be current: `If-Match: "<version>"`, or `If-None-Match: *` for none. One
/// of them must be there, so that nobody's push is undone unseen.
///
/// # Errors
/// [`InputError::Header`] for any other form, for both at once, and for neither.
pub(crate) fn expected_specs(headers: &HeaderMap) -> Result<Option<SpecsId>, InputError> {
    const EXPECTED: &str = "it must be one version in quotes, 64 characters of 0-9 a-f";
    let matching = single(headers, &IF_MATCH, "If-Match")?;
    let none_matching = single(headers, &IF_NONE_MATCH, "If-None-Match")?;
    match (matching, none_matching) {
        (Some(tag), None) => {
            let version = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let version = version.and_then(|version| version.parse().ok());
            version.map(Some).ok_or_else(|| refused("If-Match", EXPECTED))
        }
        (None, Some("*")) => Ok(None),
        (None, Some(_)) => Err(refused("If-None-Match", "a push knows only *, there are no specs yet")),
        (None, None) => {
            Err(refused("If-Match", "it must name the current version; If-None-Match: * when there is none"))
        }
        (Some(_), Some(_)) => Err(refused("If-Match", "it cannot be combined with If-None-Match")),
    }
}

/// The revision an entity tag names. A well-formed tag that no variable ever had reads as revision 0, which none has.
fn revision(tag: &str) -> Result<u64, InputError> {
    let quoted =
        tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(|inner| !inner.contains('"'));
    match quoted {
        Some(digits) if digits.starts_with('+') => Ok(0),
        Some(digits) => Ok(digits.parse().unwrap_or(0)),
        None => Err(refused("If-Match", "it must be one revision in quotes, such as \"7\"")),
    }
}

/// What makes this call the same as an earlier one, when its sender said so.
///
/// # Errors
/// [`InputError::Header`] for a key that is empty, too long or not visible ASCII.
pub(crate) fn idempotency(head: &Head<'_>, body: &[u8]) -> Result<Option<Idempotency>, InputError> {
    let Some(key) = single(head.headers, &IDEMPOTENCY_KEY, IDEMPOTENCY_HEADER)? else { return Ok(None) };
    let legal =
        (1..=IDEMPOTENCY_KEY_LEN_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if !legal {
        return Err(refused(IDEMPOTENCY_HEADER, "it must have 1 to 255 visible ASCII characters"));
    }
    let scope = IdempotencyScope {
        caller: head.caller().name,
        method: head.method.as_str().into(),
        path: if capstan_model::mutant!("key-scope-without-path") { "" } else { head.path }.into(),
        key: key.into(),
    };
    Ok(Some(Idempotency { scope, body_hash: xxh3_128(body) }))
}

/// The entity tag of a revision.
pub(crate) fn etag(revision: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\"")).expect("digits and quotes are legal in a header")
}

/// The value of a header that may be given once.
///
/// # Errors
/// [`InputError::Header`] when it is given twice, or is no visible ASCII.
pub(crate) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    shown: &'static str,
) -> Result<Option<&'a str>, InputError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused(shown, "it must be given once"));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(refused(shown, "it must be visible ASCII")),
    }
}

/// What is told of a header that cannot be read; `reason` says what would be right.
pub(crate) fn refused(name: &'static str, reason: &'static str) -> InputError {
    InputError::Header { name, reason }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn conditions_are_revisions_or_absence() {
        let cases = [
            (&[][..], Some(Condition::Any)),
            (&[("if-match", "\"7\"")], Some(Condition::Revision(7))),
            (&[("if-match", "\"abc\"")], Some(Condition::Revision(0))),
            (&[("if-match", "\"+7\"")], Some(Condition::Revision(0))),
            (&[("if-none-match", "*")], Some(Condition::Absent)),
            (&[("if-match", "7")], None),
            (&[("if-match", "\"7\", \"8\"")], None),
            (&[("if-match", "W/\"7\"")], None),
            (&[("if-none-match", "\"7\"")], None),
            (&[("if-match", "\"7\""), ("if-none-match", "*")], None),
        ];
        for (pairs, expected) in cases {
            assert_eq!(condition(&headers(pairs)).ok(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn an_index_is_a_plain_number() {
        let cases =
            [("0", Some(0)), ("18446744073709551615", Some(u64::MAX)), ("18446744073709551616", None)];
        for (text, expected) in cases.into_iter().chain([("-1", None), ("", None), ("1.5", None)]) {
            assert_eq!(
                wanted_index(&headers(&[("x-capstan-index", text)])).ok().flatten(),
                expected,
                "{text:?}"
            );
        }
        let twice = headers(&[("x-capstan-index", "1"), ("x-capstan-index", "2")]);
        assert!(wanted_index(&twice).is_err());
    }

    #[test]
    fn an_idempotency_key_is_visible_ascii() {
        let longest = "k".repeat(255);
        let too_long = "k".repeat(256);
        for (key, legal) in [("a", true), (&*longest, true), (&*too_long, false), ("", false), ("a b", false)]
        {
            let headers = headers(&[("idempotency-key", key)]);
            let head = Head::new(&Method::PUT, "/x", "", &headers);
            assert_eq!(idempotency(&head, b"body").is_ok(), legal, "{key:?}");
        }
    }

    #[test]
    fn the_same_key_with_another_body_has_another_hash() {
        let headers = headers(&[("idempotency-key", "k")]);
        let head = Head::new(&Method::PUT, "/x", "", &headers);
        let of = |body| idempotency(&head, body).unwrap().unwrap();
        assert_eq!(of(b"a"), of(b"a"));
        assert_eq!(of(b"a").scope, of(b"b").scope);
        assert_ne!(of(b"a").body_hash, of(b"b").body_hash);
    }
}
