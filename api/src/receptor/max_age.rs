//! For how long a domain is to be fresh: the header `Cache-Control: max-age=SECONDS` (reference 3.4).

use http::{HeaderMap, header::CACHE_CONTROL};

use super::error::Refusal;

const DIRECTIVE: &str = "max-age=";

/// The seconds; `None` is for ever, which is what zero and no header at all ask for.
///
/// # Errors
/// A header that no line of begins with `max-age=`, or one whose value is no number of seconds below 2^32. Upstream takes negative and
/// larger ones for other numbers than they are.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let mut lines = headers.get_all(CACHE_CONTROL).iter().peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    let lines = lines.map(|line| String::from_utf8_lossy(line.as_bytes()));
    let directive = lines.into_iter().find(|line| line.starts_with(DIRECTIVE));
    let missing = || Refusal::Request("max-age directive missing from request".to_owned());
    let directive = directive.ok_or_else(missing)?;
    match directive[DIRECTIVE.len()..].parse::<i64>().map(u32::try_from) {
        Ok(Ok(0)) => Ok(None),
        Ok(Ok(secs)) => Ok(Some(secs.into())),
        _ => Err(Refusal::Request(format!("invalid-max-age-directive: {directive}"))),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// The lines of the header, and the seconds or the refusal.
    type Case = (&'static [&'static str], Result<Option<u64>, String>);

    #[test]
    fn a_domain_is_fresh_for_the_seconds_asked_for() {
        let missing = || Err("max-age directive missing from request".to_owned());
        let invalid = |line: &str| Err(format!("invalid-max-age-directive: {line}"));
        let cases: [Case; 16] = [
            (&[], Ok(None)),
            (&["max-age=60"], Ok(Some(60))),
            (&["max-age=0"], Ok(None)),
            (&["max-age=+060"], Ok(Some(60))),
            (&["no-store", "max-age=1", "max-age=2"], Ok(Some(1))),
            (&["max-age=4294967295"], Ok(Some(4_294_967_295))),
            (&["max-age=4294967296"], invalid("max-age=4294967296")),
            (&["max-age=-5"], invalid("max-age=-5")),
            (&["max-age=x"], invalid("max-age=x")),
            (&["max-age="], invalid("max-age=")),
            (&["max-age=1.5"], invalid("max-age=1.5")),
            (&["max-age=60, public"], invalid("max-age=60, public")),
            (&[""], missing()),
            (&["no-store"], missing()),
            (&["public, max-age=60"], missing()),
            (&["Max-Age=60"], missing()),
        ];
        for (lines, expected) in cases {
            let headers: HeaderMap =
                lines.iter().map(|line| (CACHE_CONTROL, HeaderValue::from_str(line).unwrap())).collect();
            assert_eq!(of(&headers).map_err(|refusal| refusal.to_string()), expected, "{lines:?}");
        }
    }
}
