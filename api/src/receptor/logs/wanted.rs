//! Which lines a call asks for: `?since=&tail=&stream=&follow`.

use capstan_client::spin_cycle::UtcTime;
use capstan_model::time::Timestamp;
use capstan_raft_store::peer::{OutputFrom, OutputStream};

use crate::{error::InputError, query};

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) from: OutputFrom,
    pub(super) stream: Option<OutputStream>,
    /// Whether those that are yet to come are, too.
    pub(super) follow: bool,
}

impl Wanted {
    /// Reads the parameters; of one that is repeated the first counts.
    ///
    /// # Errors
    /// [`InputError::Query`] for one that makes no sense.
    pub(super) fn of(query: &str) -> Result<Self, InputError> {
        let since = query::first(query, "since").map(|text| since(&text)).transpose()?;
        let tail = query::first(query, "tail").map(|text| tail(&text)).transpose()?;
        let stream = match query::first(query, "stream").as_deref() {
            None => None,
            Some("stdout") => Some(OutputStream::Stdout),
            Some("stderr") => Some(OutputStream::Stderr),
            Some(other) => return Err(refused("stream", other, "stdout or stderr")),
        };
        let follow = match query::first(query, "follow").as_deref() {
            None | Some("false") => false,
            Some("" | "true") => true,
            Some(other) => return Err(refused("follow", other, "true or false")),
        };
        Ok(Self { from: OutputFrom::Lines { since, tail }, stream, follow })
    }
}

fn since(text: &str) -> Result<Timestamp, InputError> {
    let expected = "a time such as 2026-11-20T14:16:50Z";
    let time = UtcTime::parse(text).ok_or_else(|| refused("since", text, expected))?;
    Ok(Timestamp(u64::try_from(time.unix_nanos().max(0)).unwrap_or(u64::MAX)))
}

fn tail(text: &str) -> Result<u64, InputError> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let count = text.parse().ok().filter(|_| digits);
    count.ok_or_else(|| refused("tail", text, "a number of lines"))
}

fn refused(name: &str, given: &str, expected: &str) -> InputError {
    let shown: String = given.chars().take(100).collect();
    InputError::Query { reason: format!("parameter {name}: {shown:?} is not {expected}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_by_time_number_and_stream() {
        let all = OutputFrom::Lines { since: None, tail: None };
        let cases = [
            ("", all, None, false),
            ("follow", all, None, true),
            ("follow=true&stream=stderr", all, Some(OutputStream::Stderr), true),
            ("follow=false&tail=0", OutputFrom::Lines { since: None, tail: Some(0) }, None, false),
            (
                "since=1970-01-01T00:00:02.5%2B00:00&stream=stdout",
                OutputFrom::Lines { since: Some(Timestamp(2_500_000_000)), tail: None },
                Some(OutputStream::Stdout),
                false,
            ),
            (
                "since=1960-01-01T00:00:00Z",
                OutputFrom::Lines { since: Some(Timestamp(0)), tail: None },
                None,
                false,
            ),
        ];
        for (query, from, stream, follow) in cases {
            assert_eq!(Wanted::of(query).unwrap(), Wanted { from, stream, follow }, "{query}");
        }
        for query in ["since=yesterday", "since=", "tail=-1", "tail=+1", "tail=", "stream=out", "follow=1"] {
            assert!(matches!(Wanted::of(query), Err(InputError::Query { .. })), "{query}");
        }
    }
}
