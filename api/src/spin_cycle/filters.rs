//! The filters of `GET /api/v1/requests`, with upstream's words for what is wrong with them.

use capstan_client::spin_cycle::{RequestFilter, State, UtcTime};

use crate::{error::InputError, query};

/// Reads the filters. Unknown parameters are ignored, and so is `offset` without `limit`; of a parameter that cannot be repeated the
/// first counts.
///
/// # Errors
/// [`InputError::Query`] for the first malformed one in the order state, arg, since, until, limit, offset.
pub(crate) fn read(query: &str) -> Result<RequestFilter, InputError> {
    let all = |name| query::parameters(query).filter(move |(given, _)| given == name).map(|(_, value)| value);
    let given = |name| query::first(query, name).filter(|value| !value.is_empty());

    let states = all("state").map(|name| state(&name)).collect::<Result<_, _>>()?;
    let args = all("arg").map(|pair| arg(&pair)).collect::<Result<_, _>>()?;
    let since = given("since").map(|text| moment("since", &text)).transpose()?;
    let until = given("until").map(|text| moment("until", &text)).transpose()?;
    let limit = given("limit").map(|text| count("limit", &text)).transpose()?;
    let offset = match limit {
        Some(_) => given("offset").map(|text| count("offset", &text)).transpose()?,
        None => None,
    };
    Ok(RequestFilter {
        kind: given("type").map(Into::into),
        user: given("user").map(Into::into),
        states,
        args,
        since,
        until,
        limit: limit.unwrap_or(0),
        offset: offset.unwrap_or(0),
    })
}

fn state(name: &str) -> Result<State, InputError> {
    name.parse().map_err(|_| refused("state", format!("{name:?} is not a valid state name")))
}

fn arg(pair: &str) -> Result<(String, String), InputError> {
    match pair.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(refused("arg", format!("'{pair}' does not match expected format key=value"))),
    }
}

fn moment(name: &str, text: &str) -> Result<UtcTime, InputError> {
    UtcTime::parse(text).ok_or_else(|| {
        let (rest, element) = go_time::first_mismatch(text);
        let (layout, kind) = (go_time::LAYOUT, "time.Time using RFC3339Nano format");
        let cause = format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {element:?}");
        refused(name, format!("{text:?} cannot be parsed to {kind}: {cause}"))
    })
}

fn count(name: &str, text: &str) -> Result<u64, InputError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let parsed = digits.then(|| text.parse().map_err(|_| "value out of range"));
    parsed.unwrap_or(Err("invalid syntax")).map_err(|cause| {
        refused(
            name,
            format!("{text:?} cannot be parsed to uint: strconv.ParseUint: parsing {text:?}: {cause}"),
        )
    })
}

fn refused(name: &str, reason: String) -> InputError {
    InputError::Query { reason: format!("invalid '{name}' parameter: {reason}") }
}

/// Where Go's `time.Parse` gives up, so that messages are upstream's.
mod go_time {
    pub(super) const LAYOUT: &str = "2006-01-02T15:04:05.999999999Z07:00";

    /// The elements of the layout up to the fraction: digits stand for as many digits, the rest for itself.
    const ELEMENTS: [&str; 11] = ["2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05"];

    /// What was left of the text, and the element of the layout it does not match.
    pub(super) fn first_mismatch(text: &str) -> (&str, &'static str) {
        let mut rest = text;
        for element in ELEMENTS {
            match rest.get(..element.len()) {
                Some(given) if matches(given, element) => rest = &rest[element.len()..],
                _ => return (rest, element),
            }
        }
        let fraction =
            rest.strip_prefix('.').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        (fraction.unwrap_or(rest), "Z07:00")
    }

    fn matches(given: &str, element: &str) -> bool {
        given
            .bytes()
            .zip(element.bytes())
            .all(|(g, e)| if e.is_ascii_digit() { g.is_ascii_digit() } else { g == e })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read() {
        let query = "type=t&user=u&state=FAIL&state=STOPPED&arg=a%3Db%3Dc&since=2026-11-20T14:16:53.38Z&limit=2&offset=1&x=y";
        let filter = RequestFilter {
            kind: Some("t".to_owned()),
            user: Some("u".to_owned()),
            states: vec![State::Fail, State::Stopped],
            args: vec![("a".to_owned(), "b=c".to_owned())],
            since: UtcTime::parse("2026-11-20T14:16:53.38Z"),
            until: None,
            limit: 2,
            offset: 1,
        };
        assert_eq!(read(query).unwrap(), filter);
        assert_eq!(
            read("offset=x").unwrap(),
            RequestFilter::default(),
            "without a limit it is not even read"
        );
    }

    #[test]
    fn refusals_are_upstreams() {
        let cases = [
            ("state=BOGUS", r#"invalid 'state' parameter: "BOGUS" is not a valid state name"#),
            (
                "state=COMPLETE,FAIL",
                r#"invalid 'state' parameter: "COMPLETE,FAIL" is not a valid state name"#,
            ),
            ("state=", r#"invalid 'state' parameter: "" is not a valid state name"#),
            ("arg=novalue", "invalid 'arg' parameter: 'novalue' does not match expected format key=value"),
            (
                "since=yesterday",
                concat!(
                    r#"invalid 'since' parameter: "yesterday" cannot be parsed to time.Time using RFC3339Nano format: "#,
                    r#"parsing time "yesterday" as "2006-01-02T15:04:05.999999999Z07:00": cannot parse "yesterday" as "2006""#
                ),
            ),
            (
                "until=2026-11-20T14:16:53",
                concat!(
                    r#"invalid 'until' parameter: "2026-11-20T14:16:53" cannot be parsed to time.Time using RFC3339Nano "#,
                    r#"format: parsing time "2026-11-20T14:16:53" as "2006-01-02T15:04:05.999999999Z07:00": "#,
                    r#"cannot parse "" as "Z07:00""#
                ),
            ),
            (
                "limit=-1",
                concat!(
                    r#"invalid 'limit' parameter: "-1" cannot be parsed to uint: "#,
                    r#"strconv.ParseUint: parsing "-1": invalid syntax"#
                ),
            ),
            (
                "limit=1&offset=99999999999999999999",
                concat!(
                    r#"invalid 'offset' parameter: "99999999999999999999" cannot be parsed to uint: "#,
                    r#"strconv.ParseUint: parsing "99999999999999999999": value out of range"#
                ),
            ),
            ("limit=x&since=y&arg=z&state=S", r#"invalid 'state' parameter: "S" is not a valid state name"#),
        ];
        for (query, message) in cases {
            assert_eq!(read(query).unwrap_err().to_string(), message, "{query}");
        }
    }
}
