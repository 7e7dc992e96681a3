//! `shell-command`: runs the program `cmd` with the words of `args`. In spite of its name there is no shell.

use std::borrow::Cow;

use futures::future::{BoxFuture, FutureExt, ready};
use serde::{Deserialize, Serialize};

use super::{Args, Created, Description, JobType, Run, RunInput, optional_text_arg, text_arg};
use crate::executor::{Outcome, StartSpec};

/// The type `shell-command`.
#[derive(Debug, Clone, Copy)]
pub struct ShellCommand;

/// What a try is given, as upstream's sample job stores it.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    cmd: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    args: Vec<String>,
}

impl JobType for ShellCommand {
    fn describe(&self) -> Description {
        Description { name: Cow::Borrowed("shell-command"), takes_slot: true, idempotent: false }
    }

    fn create(&self, args: Args) -> BoxFuture<'static, Result<Created, String>> {
        let created = parse(&args).map(|stored| {
            let bytes = serde_json::to_vec(&stored).expect("texts are serialisable");
            Created { bytes, args: Args::new() }
        });
        ready(created).boxed()
    }

    fn run(&self, input: RunInput) -> Run {
        match serde_json::from_slice::<Stored>(&input.bytes) {
            Ok(Stored { cmd, args }) => Run::Process(StartSpec { args, ..StartSpec::new(input.key, cmd) }),
            Err(error) => Run::Done(Box::new(Outcome::unmade(&error.to_string()))),
        }
    }
}

fn parse(args: &Args) -> Result<Stored, String> {
    let cmd = text_arg(args, "cmd")?;
    if cmd.trim().is_empty() {
        return Err("arg cmd is empty: expected a program".into());
    }
    let words = optional_text_arg(args, "args")?.unwrap_or_default();
    if cmd.contains('\0') || words.contains('\0') {
        return Err("args cmd and args must not contain the character NUL".into());
    }
    Ok(Stored { cmd, args: words.split_whitespace().map(str::to_owned).collect() })
}

#[cfg(test)]
pub(super) mod tests {
    use capstan_model::ids::{Epoch, JobId, RequestId, TryNo};
    use serde_json::Map;

    use super::*;
    use crate::executor::TryKey;

    /// A try with these bytes.
    pub(in crate::jobs) fn input(bytes: &[u8]) -> RunInput {
        let key =
            TryKey { request: RequestId([1; 12]), job: JobId(*b"job1"), try_no: TryNo(1), epoch: Epoch(1) };
        RunInput { key, bytes: bytes.to_vec(), job_data: Map::new() }
    }

    fn create(args: &str) -> Result<Created, String> {
        ShellCommand.create(serde_json::from_str(args).unwrap()).now_or_never().unwrap()
    }

    #[test]
    fn the_bytes_are_upstreams() {
        let created = create(r#"{"cmd":"/bin/echo","args":" hello  world "}"#).unwrap();
        assert_eq!(created.bytes, br#"{"cmd":"/bin/echo","args":["hello","world"]}"#);
        let Run::Process(spec) = ShellCommand.run(input(&created.bytes)) else { panic!("no process") };
        assert_eq!((&*spec.program, spec.args), ("/bin/echo", vec!["hello".to_owned(), "world".to_owned()]));
        assert_eq!(create(r#"{"cmd":"/bin/false","args":""}"#).unwrap().bytes, br#"{"cmd":"/bin/false"}"#);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(create("{}"), Err("required arg cmd is not set".into()));
        assert_eq!(create(r#"{"cmd":" "}"#), Err("arg cmd is empty: expected a program".into()));
        assert!(create(r#"{"cmd":"a\u0000"}"#).unwrap_err().contains("NUL"));
        assert!(create(r#"{"cmd":"a","args":["b"]}"#).unwrap_err().contains("arg args"));
        assert!(matches!(ShellCommand.run(input(b"[]")), Run::Done(_)));
    }
}
