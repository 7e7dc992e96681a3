//! `sleep`: waits for `duration` milliseconds. It takes no slot: a waiting try costs a timer.

use std::{borrow::Cow, time::Duration};

use capstan_model::{
    spec::JobSignature,
    workflow::{
        graph::{CreateError, CreateOutput},
        json::JsonMap,
    },
};
use futures::future::{BoxFuture, FutureExt, ready};
use serde::{Deserialize, Serialize};

use super::{Description, JobType, Run, RunInput, text_arg};
use crate::executor::Outcome;

/// The type `sleep`.
#[derive(Debug, Clone, Copy)]
pub struct Sleep;

/// What a try is given, as upstream's sample job stores it.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    /// In nanoseconds, as Go writes a `time.Duration`.
    duration: u64,
}

impl JobType for Sleep {
    fn describe(&self) -> Description {
        Description { name: Cow::Borrowed("sleep"), idempotent: true }
    }

    fn signature(&self) -> BoxFuture<'static, JobSignature> {
        ready(JobSignature::needing(&["duration"])).boxed()
    }

    fn create(&self, args: JsonMap) -> BoxFuture<'static, Result<CreateOutput, CreateError>> {
        let created = text_arg(&args, "duration").and_then(|text| parse_millis(&text)).map(|duration| {
            let bytes = serde_json::to_vec(&Stored { duration }).expect("a number is serialisable");
            CreateOutput { bytes: bytes.into(), ..CreateOutput::default() }
        });
        ready(created.map_err(CreateError::Failed)).boxed()
    }

    fn run(&self, input: RunInput) -> Run {
        match serde_json::from_slice::<Stored>(&input.bytes) {
            Ok(Stored { duration }) => {
                Run::Timer { duration: Duration::from_nanos(duration), status: "sleeping" }
            }
            Err(error) => Run::Done(Box::new(Outcome::unmade(&error.to_string()))),
        }
    }
}

/// Reads milliseconds, with or without a fraction, as nanoseconds.
fn parse_millis(text: &str) -> Result<u64, String> {
    const NANOS_PER_MILLI: u64 = 1_000_000;
    const FRACTION_DIGITS: usize = 6;
    let refused = |why| format!("arg duration is {text:?}: {why}, expected milliseconds such as \"1000\"");
    if text.starts_with('-') {
        return Err(refused("negative"));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return Err(refused("not a number"));
    }
    let kept: String = fraction.chars().chain(std::iter::repeat('0')).take(FRACTION_DIGITS).collect();
    let nanos = whole.parse::<u64>().ok().and_then(|millis| millis.checked_mul(NANOS_PER_MILLI));
    let nanos = nanos.and_then(|nanos| nanos.checked_add(kept.parse().expect("six digits are a number")));
    // Go's durations, which others read these bytes as, end here: after 292 years.
    nanos.filter(|nanos| i64::try_from(*nanos).is_ok()).ok_or_else(|| refused("too long"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::jobs::tests::{args, input};

    fn create(object: &str) -> Result<Bytes, String> {
        Sleep
            .create(args(object))
            .now_or_never()
            .unwrap()
            .map(|created| created.bytes)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_bytes_are_upstreams() {
        let bytes = create(r#"{"duration":"300"}"#).unwrap();
        assert_eq!(bytes, &br#"{"duration":300000000}"#[..]);
        let run = Sleep.run(input(&bytes));
        assert_eq!(run, Run::Timer { duration: Duration::from_millis(300), status: "sleeping" });
        assert_eq!(create(r#"{"duration":300}"#), Ok(bytes), "a number is as good");
    }

    #[test]
    fn durations_are_milliseconds() {
        let cases = [("0", 0), ("1", 1_000_000), ("0.5", 500_000), ("1.0000019", 1_000_001)];
        for (text, nanos) in cases {
            assert_eq!(parse_millis(text), Ok(nanos), "{text}");
        }
        let refused = [
            ("", "not a number"),
            ("abc", "not a number"),
            ("1s", "not a number"),
            ("1.", "not a number"),
            (".5", "not a number"),
            ("+1", "not a number"),
            ("-5", "negative"),
            ("9223372036855", "too long"),
            ("99999999999999999999", "too long"),
        ];
        for (text, why) in refused {
            let error = parse_millis(text).unwrap_err();
            assert!(error.contains(why) && error.contains(&format!("{text:?}")), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(create("{}"), Err("required arg duration is not set".into()));
        assert!(create(r#"{"duration":true}"#).unwrap_err().contains("duration is true"));
        let Run::Done(outcome) = Sleep.run(input(b"{}")) else { panic!("ran without bytes") };
        assert!(outcome.error.starts_with("problem creating job runner: "), "{}", outcome.error);
    }
}
