//! Durations as specs write them: Go's syntax.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

/// A wait in Go's duration syntax, kept as written: decimal numbers with a unit (`ns us µs ms s m h`),
/// concatenated, with an optional sign; a bare `0` is legal. A negative one is no wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct Wait {
    text: Arc<str>,
    duration: Duration,
}

/// A text that is not a duration in Go's syntax.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration such as 500ms, 3s or 1h30m")]
pub struct InvalidWait(String);

/// The units and their nanoseconds; a unit that starts another comes after it.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000), // U+00B5, the micro sign
    ("μs", 1_000), // U+03BC, the Greek letter
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl Wait {
    /// No wait, written as upstream writes its default.
    pub fn zero() -> Self {
        Self { text: "0s".into(), duration: Duration::ZERO }
    }

    /// As written.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// How long to wait.
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

impl TryFrom<Arc<str>> for Wait {
    type Error = InvalidWait;

    fn try_from(text: Arc<str>) -> Result<Self, InvalidWait> {
        match parse(&text) {
            Some(duration) => Ok(Self { text, duration }),
            None => Err(InvalidWait(text.chars().take(100).collect())),
        }
    }
}

impl From<Wait> for Arc<str> {
    fn from(wait: Wait) -> Self {
        wait.text
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse(text: &str) -> Option<Duration> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanos = 0_u64;
    let mut rest = unsigned;
    loop {
        let (part, after) = parse_part(rest)?;
        // Go's durations are signed 64-bit nanoseconds.
        nanos = nanos.checked_add(part).filter(|sum| i64::try_from(*sum).is_ok())?;
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    Some(if text.starts_with('-') { Duration::ZERO } else { Duration::from_nanos(nanos) })
}

/// Takes one number with its unit from the front.
fn parse_part(text: &str) -> Option<(u64, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits(text));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (unit, nanos_per_unit) = UNITS.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
    let whole_nanos =
        if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.checked_mul(nanos_per_unit)? };
    // Digits below a nanosecond of the largest unit change nothing.
    let (fraction_nanos, _) = fraction.bytes().fold((0_u64, nanos_per_unit), |(sum, place), digit| {
        let place = place / 10;
        (sum + u64::from(digit - b'0') * place, place)
    });
    Some((whole_nanos.checked_add(fraction_nanos)?, &rest[unit.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        let cases = [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("3s", Some(3_000_000_000)),
            ("+3s", Some(3_000_000_000)),
            ("-3s", Some(0)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5ms", Some(500_000)),
            ("1.s", Some(1_000_000_000)),
            ("7µs", Some(7_000)),
            ("7μs", Some(7_000)),
            ("7us3ns", Some(7_003)),
            ("2562047h", Some(9_223_369_200_000_000_000)),
            ("2562048h", None),
            ("5", None),
            ("", None),
            ("s", None),
            (".s", None),
            ("1d", None),
            ("1 s", None),
            ("3s ", None),
            ("--3s", None),
            ("99999999999999999999s", None),
        ];
        for (text, nanos) in cases {
            let read = Wait::try_from(Arc::from(text)).ok().map(|wait| wait.duration());
            assert_eq!(read, nanos.map(Duration::from_nanos), "{text:?}");
        }
    }
}
