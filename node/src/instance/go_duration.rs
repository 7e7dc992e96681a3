//! Durations as Go writes them, which failure texts quote.

use std::fmt::Write;

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// Writes a duration in nanoseconds as Go's `time.Duration.String` does: `1.5s`, `2m0s`, `100ms`, `0s`.
pub fn format(nanos: i64) -> String {
    let mut text = String::new();
    if nanos < 0 {
        text.push('-');
    }
    let nanos = nanos.unsigned_abs();
    match nanos {
        0 => text.push_str("0s"),
        1..1_000 => write_fraction(&mut text, nanos, 1, "ns"),
        1_000..1_000_000 => write_fraction(&mut text, nanos, 1_000, "µs"),
        1_000_000..NANOS_PER_SEC => write_fraction(&mut text, nanos, 1_000_000, "ms"),
        _ => write_clock(&mut text, nanos),
    }
    text
}

/// Hours where there are any, then minutes where there are hours or minutes, then seconds.
fn write_clock(text: &mut String, nanos: u64) {
    let minutes = nanos / NANOS_PER_SEC / 60;
    if minutes >= 60 {
        write!(text, "{}h", minutes / 60).expect("texts can be written to");
    }
    if minutes > 0 {
        write!(text, "{}m", minutes % 60).expect("texts can be written to");
    }
    write_fraction(text, nanos % (60 * NANOS_PER_SEC), NANOS_PER_SEC, "s");
}

/// Writes `nanos / unit` as a decimal without trailing zeros. A unit is a power of ten.
fn write_fraction(text: &mut String, nanos: u64, unit: u64, name: &str) {
    write!(text, "{}", nanos / unit).expect("texts can be written to");
    let rest = nanos % unit;
    if rest > 0 {
        let digits = unit.ilog10() as usize;
        let fraction = format!("{rest:0digits$}");
        write!(text, ".{}", fraction.trim_end_matches('0')).expect("texts can be written to");
    }
    text.push_str(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_writes_them() {
        let cases = [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (100_000_000, "100ms"),
            (2_000_000_000, "2s"),
            (3_300_000_000, "3.3s"),
            (60_000_000_000, "1m0s"),
            (245_000_000_000, "4m5s"),
            (245_001_000_000, "4m5.001s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (28_800_000_000_001, "8h0m0.000000001s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
            (-1_500_000_000, "-1.5s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(format(nanos), text);
        }
    }
}
