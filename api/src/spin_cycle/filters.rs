//! The filters of `GET /api/v1/requests`, with upstream's words for what is wrong with them.

use std::collections::BTreeSet;

use capstan_client::spin_cycle::{State, UtcTime};
use capstan_model::{
    archive::{Filter, Page, Place},
    time::Timestamp,
    workflow::request::RequestState,
};

use crate::{error::InputError, query};

/// The most args that one call may ask for: each has an index to look into at every step.
const ARGS_MAX: usize = 64;

/// What a list of requests is asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// `None` when only states were asked for that no request is ever in.
    pub(crate) filter: Option<Filter>,
    pub(crate) page: Page,
}

/// Reads the filters. Unknown parameters are ignored, and so is `offset` without `limit`; of a parameter that cannot be repeated the
/// first counts.
///
/// # Errors
/// [`InputError::Query`] for the first malformed one in the order state, arg, since, until, limit, offset, after.
pub(crate) fn read(query: &str) -> Result<Wanted, InputError> {
    let all = |name| query::parameters(query).filter(move |(given, _)| given == name).map(|(_, value)| value);
    let given = |name| query::first(query, name).filter(|value| !value.is_empty());

    let named = all("state").map(|name| state(&name)).collect::<Result<Vec<_>, _>>()?;
    let args = all("arg").map(|pair| arg(&pair)).collect::<Result<BTreeSet<_>, _>>()?;
    if args.len() > ARGS_MAX {
        return Err(refused("arg", format!("{} are more than the {ARGS_MAX} that may be given", args.len())));
    }
    let since = given("since").map(|text| moment("since", &text)).transpose()?;
    let until = given("until").map(|text| moment("until", &text)).transpose()?;
    let limit = given("limit").map(|text| count("limit", &text)).transpose()?;
    let offset = match limit {
        Some(_) => given("offset").map(|text| count("offset", &text)).transpose()?,
        None => None,
    };
    let after = given("after").map(|text| place(&text)).transpose()?;
    let states = named.iter().filter_map(|state| RequestState::from_name(state.name()));
    let mut states: Vec<_> = states.collect();
    states.sort_by_key(|state| state.number());
    states.dedup();
    let matches_nothing = states.is_empty() && !named.is_empty();
    let filter = Filter {
        request_type: given("type").map(Into::into),
        user: given("user").map(Into::into),
        states,
        args: args.into_iter().collect(),
        since: since.map(timestamp),
        until: until.map(timestamp),
    };
    Ok(Wanted { filter: (!matches_nothing).then_some(filter), page: page(after, limit, offset) })
}

/// Upstream takes a limit of zero for none, and knows no offset without a limit.
fn page(after: Option<Place>, limit: Option<u64>, offset: Option<u64>) -> Page {
    let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    match limit {
        None | Some(0) => Page { after, ..Page::default() },
        Some(limit) => Page { after, offset: count(offset.unwrap_or(0)), limit: Some(count(limit)) },
    }
}

/// The nearest moment a stamp can name.
fn timestamp(time: UtcTime) -> Timestamp {
    Timestamp(u64::try_from(time.unix_nanos().max(0)).unwrap_or(u64::MAX))
}

fn place(text: &str) -> Result<Place, InputError> {
    text.parse().map_err(|error| {
        let shown: String = text.chars().take(100).collect();
        let header = capstan_client::NEXT_HEADER;
        refused("after", format!("{shown:?}: {error}, as the {header} of the page before has it"))
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
        let query = "type=t&user=u&state=FAIL&state=STOPPED&arg=a%3Db%3Dc&since=2026-11-20T14:16:53.38Z&limit=2&offset=1&x=y\
            &after=7-9m4e2mr0ui3e8a215n4g";
        let Wanted { filter, page } = read(query).unwrap();
        let filter = filter.unwrap();
        assert_eq!((filter.request_type.as_deref(), filter.user.as_deref()), (Some("t"), Some("u")));
        assert_eq!(filter.states, [RequestState::Failed, RequestState::Stopped]);
        assert_eq!(filter.args, [("a".to_owned(), "b=c".to_owned())]);
        assert_eq!(filter.since, UtcTime::parse("2026-11-20T14:16:53.38Z").map(timestamp));
        assert_eq!(filter.until, None);
        assert_eq!((page.offset, page.limit), (1, Some(2)));
        assert_eq!(page.after.unwrap().to_string(), "7-9m4e2mr0ui3e8a215n4g");
    }

    #[test]
    fn what_is_said_twice_counts_once_and_not_too_much_may_be_said() {
        let twice = "arg=a%3D1&state=FAIL&".repeat(1_000);
        let filter = read(&twice).unwrap().filter.unwrap();
        assert_eq!((filter.args.len(), filter.states.len()), (1, 1));
        let args = |count: usize| (0..count).map(|n| format!("arg=a{n}%3D1&")).collect::<String>();
        assert_eq!(read(&args(64)).unwrap().filter.unwrap().args.len(), 64);
        let refused = read(&args(65)).unwrap_err().to_string();
        assert_eq!(refused, "invalid 'arg' parameter: 65 are more than the 64 that may be given");
    }

    #[test]
    fn an_offset_needs_a_limit() {
        let of = |query| {
            let page = read(query).unwrap().page;
            (page.offset, page.limit)
        };
        assert_eq!(of("offset=x"), (0, None), "without a limit it is not even read");
        assert_eq!(of("limit=0&offset=5"), (0, None));
        assert_eq!(of("limit=2&offset=5"), (5, Some(2)));
    }

    #[test]
    fn states_no_request_is_in_match_nothing() {
        let of = |query| read(query).unwrap().filter.map(|filter| filter.states);
        assert_eq!(of("state=RESERVED&state=UNKNOWN"), None);
        assert_eq!(of("state=RESERVED&state=FAIL"), Some(vec![RequestState::Failed]));
        assert_eq!(of(""), Some(vec![]));
    }

    #[test]
    fn times_out_of_range_become_the_nearest() {
        let cases = [
            ("1969-12-31T23:59:59Z", 0),
            ("1970-01-01T00:00:01Z", 1_000_000_000),
            ("2600-01-01T00:00:00Z", u64::MAX),
        ];
        for (text, nanos) in cases {
            assert_eq!(timestamp(UtcTime::parse(text).unwrap()), Timestamp(nanos), "{text}");
        }
    }

    #[test]
    fn a_cursor_that_is_none_is_refused_with_what_would_be_right() {
        let refused = read("after=3").unwrap_err().to_string();
        let expected = "invalid 'after' parameter: \"3\": a place in a list is a whole number, a hyphen and a request id, as the \
            X-Capstan-Next of the page before has it";
        assert_eq!(refused, expected);
        assert!(read("limit=x&after=3").unwrap_err().to_string().contains("'limit'"), "it is read last");
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
