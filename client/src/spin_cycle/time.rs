//! Times of requests on the wire.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// A moment as RFC 3339 in UTC: at most nine digits of fraction, without trailing zeros, and none for a whole
/// second, as Go's `RFC3339Nano` writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcTime(OffsetDateTime);

impl UtcTime {
    /// The moment `unix_nanos` nanoseconds after the Unix epoch.
    pub fn from_unix_nanos(unix_nanos: u64) -> Self {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_nanos));
        Self(moment.expect("64 bits of nanoseconds end in the year 2554"))
    }

    /// Nanoseconds since the Unix epoch; negative before it.
    pub fn unix_nanos(self) -> i128 {
        self.0.unix_timestamp_nanos()
    }

    /// Reads RFC 3339 with any offset and fraction; `None` when `text` is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        Some(Self(moment.checked_to_offset(UtcOffset::UTC)?))
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for UtcTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UtcTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not an RFC 3339 time")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_lose_their_trailing_zeros() {
        let cases = [
            (1_795_184_210_211_851_194, "2026-11-20T14:16:50.211851194Z"),
            (1_795_184_210_211_851_000, "2026-11-20T14:16:50.211851Z"),
            (1_795_184_210_200_000_000, "2026-11-20T14:16:50.2Z"),
            (1_795_184_210_000_000_000, "2026-11-20T14:16:50Z"),
            (0, "1970-01-01T00:00:00Z"),
        ];
        for (unix_nanos, text) in cases {
            let moment = UtcTime::from_unix_nanos(unix_nanos);
            assert_eq!(moment.to_string(), text);
            assert_eq!(UtcTime::parse(text), Some(moment));
        }
    }

    #[test]
    fn other_offsets_become_utc() {
        let moment = UtcTime::parse("2026-11-20T15:16:50.5+01:00").expect("an offset is legal");
        assert_eq!(moment.to_string(), "2026-11-20T14:16:50.5Z");
        assert_eq!(UtcTime::parse("yesterday"), None);
    }
}
