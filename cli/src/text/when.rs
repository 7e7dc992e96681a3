//! Moments as people name them: a time, or an age.

use std::time::Duration;

use capstan_client::spin_cycle::UtcTime;

/// A moment as people name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    At(UtcTime),
    Ago(Duration),
}

impl When {
    pub(crate) fn from(self, now: UtcTime) -> UtcTime {
        match self {
            Self::At(moment) => moment,
            Self::Ago(age) => {
                let nanos = u64::try_from(now.unix_nanos()).unwrap_or(0);
                UtcTime::from_unix_nanos(
                    nanos.saturating_sub(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)),
                )
            }
        }
    }
}

/// Reads a time in RFC 3339, or a duration for how long ago it was.
pub(crate) fn parse(text: &str) -> Result<When, String> {
    if let Some(moment) = UtcTime::parse(text) {
        return Ok(When::At(moment));
    }
    let age = humantime::parse_duration(text);
    age.map(When::Ago).map_err(|_| "neither a time like 2026-11-20T14:00:00Z nor an age like 90m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_may_be_named_by_its_age() {
        let now = UtcTime::parse("2026-11-20T14:00:00Z").unwrap();
        let cases = [
            ("90m", "2026-11-20T12:30:00Z"),
            ("1d", "2026-11-19T14:00:00Z"),
            ("2026-01-02T03:04:05.5Z", "2026-01-02T03:04:05.5Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap().from(now).to_string(), expected, "{text}");
        }
        assert!(parse("yesterday").is_err());
    }
}
