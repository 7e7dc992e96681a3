//! Which status codes an `http-request` takes for success.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Serialize};

/// Ranges of status codes, as in `2xx`, `200,404` or `200-299,304`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Expected {
    text: String,
    ranges: Vec<RangeInclusive<u16>>,
}

/// The first and the last code there can be.
const CODES: RangeInclusive<u16> = 100..=599;
/// The codes that lead elsewhere (RFC 9110, 15.4), but for one.
const REDIRECTIONS: RangeInclusive<u16> = 300..=399;
/// What was asked for has not changed.
const NOT_MODIFIED: u16 = 304;

impl Expected {
    /// Whether this code is expected.
    pub(super) fn contains(&self, code: u16) -> bool {
        self.ranges.iter().any(|range| range.contains(&code))
    }

    /// Whether a redirection is itself an expected answer, and so must not be followed. 304 leads nowhere.
    pub(super) fn contains_redirection(&self) -> bool {
        REDIRECTIONS.filter(|code| *code != NOT_MODIFIED).any(|code| self.contains(code))
    }
}

/// Success of every kind.
impl Default for Expected {
    fn default() -> Self {
        Self { text: "2xx".to_owned(), ranges: vec![200..=299] }
    }
}

impl FromStr for Expected {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ranges = text.split(',').map(|part| range(part.trim())).collect::<Option<Vec<_>>>();
        let ranges = ranges.ok_or("expected status codes such as 200, 200,404, 200-299 or 2xx")?;
        Ok(Self { text: text.to_owned(), ranges })
    }
}

fn range(part: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = match part.strip_suffix("xx") {
        Some(class) => {
            let first = class.parse::<u16>().ok()?.checked_mul(100)?;
            (first, first.checked_add(99)?)
        }
        None => {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            (first.trim().parse().ok()?, last.trim().parse().ok()?)
        }
    };
    (CODES.contains(&first) && CODES.contains(&last) && first <= last).then_some(first..=last)
}

impl TryFrom<String> for Expected {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Expected> for String {
    fn from(expected: Expected) -> Self {
        expected.text
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_redirection_is_known() {
        let contains = |text: &str| text.parse::<Expected>().unwrap().contains_redirection();
        assert!(
            contains("300")
                && contains("302")
                && contains("200,308")
                && contains("200-399")
                && contains("3xx")
        );
        assert!(!contains("2xx") && !contains("200,304") && !contains("4xx"));
    }

    #[test]
    fn codes_ranges_and_classes() {
        let cases = [
            ("2xx", [true, true, false]),
            ("200", [true, false, false]),
            ("200,404", [true, false, true]),
            ("201-404", [false, true, true]),
            (" 200 , 204 ", [true, true, false]),
        ];
        for (text, expected) in cases {
            let parsed: Expected = text.parse().unwrap();
            assert_eq!([200, 204, 404].map(|code| parsed.contains(code)), expected, "{text}");
            assert_eq!(parsed.to_string(), text);
        }
        for text in ["", "ok", "99", "600", "300-200", "7xx", "2xx,", "65xx", "-1"] {
            assert!(text.parse::<Expected>().is_err(), "{text:?}");
        }
    }
}
