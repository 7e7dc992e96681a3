//! How the wait between tries grows: by a factor, up to a bound.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::Wait;

/// What a wait grows to at most: Go's durations are signed 64-bit nanoseconds.
const NANOS_MAX: u128 = i64::MAX as u128;

/// How the waits between the tries of a job or sequence grow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// By what each wait is larger than the one before it.
    pub factor: Factor,
    /// What no wait exceeds.
    pub wait_max: Option<Wait>,
}

/// A factor from 1 to [`Factor::MAX`] with at most three decimals, kept in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Factor(u32);

/// A text or number that is not a factor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a factor from 1 to {max} with at most three decimals, such as 2 or 1.5", max = Factor::MAX)]
pub struct InvalidFactor(String);

impl Backoff {
    /// The wait after `waits` others: `first × factor^waits`, and not above the bound. Each step is cut to nanoseconds.
    pub fn wait_after(&self, first: Duration, waits: u32) -> Duration {
        let wait_max = self.wait_max.as_ref().map_or(NANOS_MAX, |max| max.duration().as_nanos());
        let mut nanos = first.as_nanos().min(wait_max);
        for _ in 0..waits {
            let next = (nanos * u128::from(self.factor.0) / 1_000).min(wait_max);
            if next == nanos {
                break; // It has reached the bound, or does not grow.
            }
            nanos = next;
        }
        Duration::from_nanos(u64::try_from(nanos).expect("waits are bounded"))
    }
}

impl Factor {
    /// The largest.
    pub const MAX: u32 = 1_000;

    /// In thousandths.
    pub fn thousandths(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Factor {
    type Error = InvalidFactor;

    fn try_from(thousandths: u32) -> Result<Self, InvalidFactor> {
        if (1_000..=Self::MAX * 1_000).contains(&thousandths) {
            Ok(Self(thousandths))
        } else {
            Err(InvalidFactor(format!("{thousandths}/1000")))
        }
    }
}

impl From<Factor> for u32 {
    fn from(factor: Factor) -> Self {
        factor.0
    }
}

impl TryFrom<Arc<str>> for Factor {
    type Error = InvalidFactor;

    fn try_from(text: Arc<str>) -> Result<Self, InvalidFactor> {
        let invalid = || InvalidFactor(text.chars().take(100).collect());
        parse(&text).and_then(|thousandths| Self::try_from(thousandths).ok()).ok_or_else(invalid)
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000, self.0 % 1_000);
        if rest == 0 {
            write!(f, "{whole}")
        } else {
            write!(f, "{whole}.{}", format!("{rest:03}").trim_end_matches('0'))
        }
    }
}

/// Reads a decimal number as thousandths.
fn parse(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !decimals.is_none_or(|digits| is_number(digits) && digits.len() <= 3) {
        return None;
    }
    let decimals = format!("{:0<3}", decimals.unwrap_or(""));
    whole.parse::<u32>().ok()?.checked_mul(1_000)?.checked_add(decimals.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_read_exactly() {
        let cases = [
            ("1", Some("1")),
            ("1.0", Some("1")),
            ("1.5", Some("1.5")),
            ("2.125", Some("2.125")),
            ("1.001", Some("1.001")),
            ("1000", Some("1000")),
            ("1000.001", None),
            ("0.999", None),
            ("1.0001", None),
            ("-2", None),
            ("+2", None),
            ("2.", None),
            (".5", None),
            ("1e3", None),
            ("", None),
            ("two", None),
            ("99999999999", None),
        ];
        for (text, shown) in cases {
            let read = Factor::try_from(Arc::<str>::from(text)).ok().map(|factor| factor.to_string());
            assert_eq!(read.as_deref(), shown, "{text:?}");
        }
    }

    #[test]
    fn a_wait_grows_up_to_its_bound() {
        let wait = |text: &str| Wait::try_from(Arc::<str>::from(text)).unwrap();
        let backoff = |factor: &str, max: Option<&str>| Backoff {
            factor: Factor::try_from(Arc::<str>::from(factor)).unwrap(),
            wait_max: max.map(wait),
        };
        let cases = [
            (backoff("2", None), "1s", 0, "1s"),
            (backoff("2", None), "1s", 5, "32s"),
            (backoff("1.5", None), "1s", 2, "2.25s"),
            (backoff("2", Some("10s")), "3s", 2, "10s"),
            (backoff("2", Some("1s")), "3s", 0, "1s"),
            (backoff("1", None), "3s", u32::MAX, "3s"),
            (backoff("1000", None), "1s", u32::MAX, "9223372036.854775807s"),
            (backoff("1.001", None), "1ns", u32::MAX, "1ns"),
            (backoff("3", None), "0s", 7, "0s"),
        ];
        for (backoff, first, waits, expected) in cases {
            let found = backoff.wait_after(wait(first).duration(), waits);
            assert_eq!(found, wait(expected).duration(), "{first} × {}^{waits}", backoff.factor);
        }
    }
}
