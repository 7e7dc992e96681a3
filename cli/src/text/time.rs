//! Moments and durations in words.

use std::time::Duration;

use capstan_client::spin_cycle::UtcTime;

/// A moment and how long ago it was: `2026-11-20 14:16:50 UTC (3 min ago)`.
pub(crate) fn when(moment: UtcTime, now: UtcTime) -> String {
    format!("{} ({})", second(moment), ago(moment, now))
}

/// How long ago a moment was. One that lies ahead, since clocks differ, is told as such.
pub(crate) fn ago(moment: UtcTime, now: UtcTime) -> String {
    match between(moment, now) {
        Some(age) if age < Duration::from_secs(1) => "just now".to_owned(),
        Some(age) => format!("{} ago", rounded(age)),
        None => format!("in {}", rounded(between(now, moment).unwrap_or_default())),
    }
}

/// How long it was from `start` to `end`; `None` when the end comes first.
pub(crate) fn between(start: UtcTime, end: UtcTime) -> Option<Duration> {
    let nanos = u64::try_from(end.unix_nanos() - start.unix_nanos()).ok()?;
    Some(Duration::from_nanos(nanos))
}

/// A duration in at most two units: `312 ms`, `4.2 s`, `3 min 5 s`, `2 h 4 min`, `3 d 4 h`.
pub(crate) fn duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{secs}.{} s", duration.subsec_millis() / 100),
        60..3_600 => format!("{} min {} s", secs / 60, secs % 60),
        3_600..86_400 => format!("{} h {} min", secs / 3_600, secs % 3_600 / 60),
        _ => format!("{} d {} h", secs / 86_400, secs % 86_400 / 3_600),
    }
}

/// A duration in its largest whole unit.
fn rounded(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0..60 => format!("{secs} s"),
        60..3_600 => format!("{} min", secs / 60),
        3_600..86_400 => format!("{} h", secs / 3_600),
        _ => format!("{} d", secs / 86_400),
    }
}

fn second(moment: UtcTime) -> String {
    let text = moment.to_string();
    let whole = text.split(['.', 'Z']).next().unwrap_or_default();
    format!("{} UTC", whole.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_two_units_at_most() {
        let cases = [
            (0, "0 ms"),
            (312, "312 ms"),
            (1_000, "1.0 s"),
            (59_999, "59.9 s"),
            (185_000, "3 min 5 s"),
            (7_440_000, "2 h 4 min"),
            (273_600_000, "3 d 4 h"),
        ];
        for (millis, expected) in cases {
            assert_eq!(duration(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn moments_are_told_with_their_age() {
        let moment = UtcTime::parse("2026-11-20T14:16:50.211851Z").unwrap();
        let cases = [
            ("2026-11-20T14:16:51Z", "2026-11-20 14:16:50 UTC (just now)"),
            ("2026-11-20T14:20:51Z", "2026-11-20 14:16:50 UTC (4 min ago)"),
            ("2026-11-23T14:20:51Z", "2026-11-20 14:16:50 UTC (3 d ago)"),
            ("2026-11-20T14:16:45Z", "2026-11-20 14:16:50 UTC (in 5 s)"),
        ];
        for (now, expected) in cases {
            assert_eq!(when(moment, UtcTime::parse(now).unwrap()), expected);
        }
    }
}
