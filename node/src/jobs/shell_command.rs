//! `shell-command`: runs the program `cmd` with the words of `args`. In spite of its name there is no shell.

use std::borrow::Cow;

use capstan_model::{
    spec::JobSignature,
    workflow::{
        graph::{CreateError, CreateOutput},
        json::JsonMap,
    },
};
use futures::future::{BoxFuture, FutureExt, ready};
use serde::{Deserialize, Serialize};

use super::{Description, JobType, Run, RunInput, optional_text_arg, text_arg};
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
        Description { name: Cow::Borrowed("shell-command"), idempotent: false }
    }

    fn signature(&self) -> BoxFuture<'static, JobSignature> {
        ready(JobSignature::needing(&["cmd"])).boxed()
    }

    fn create(&self, args: JsonMap) -> BoxFuture<'static, Result<CreateOutput, CreateError>> {
        let created = parse(&args).map(|stored| {
            let bytes = serde_json::to_vec(&stored).expect("texts are serialisable");
            CreateOutput { bytes: bytes.into(), ..CreateOutput::default() }
        });
        ready(created.map_err(CreateError::Failed)).boxed()
    }

    fn run(&self, input: RunInput) -> Run {
        match serde_json::from_slice::<Stored>(&input.bytes) {
            Ok(Stored { cmd, args }) => Run::Process(StartSpec { args, ..StartSpec::new(input.key, cmd) }),
            Err(error) => Run::Done(Box::new(Outcome::unmade(&error.to_string()))),
        }
    }
}

fn parse(args: &JsonMap) -> Result<Stored, String> {
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
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::jobs::tests::{args, input};

    fn create(object: &str) -> Result<Bytes, String> {
        ShellCommand
            .create(args(object))
            .now_or_never()
            .unwrap()
            .map(|created| created.bytes)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_bytes_are_upstreams() {
        let bytes = create(r#"{"cmd":"/bin/echo","args":" hello  world "}"#).unwrap();
        assert_eq!(bytes, &br#"{"cmd":"/bin/echo","args":["hello","world"]}"#[..]);
        let Run::Process(spec) = ShellCommand.run(input(&bytes)) else { panic!("no process") };
        assert_eq!((&*spec.program, spec.args), ("/bin/echo", vec!["hello".to_owned(), "world".to_owned()]));
        let bytes = create(r#"{"cmd":"/bin/false","args":""}"#).unwrap();
        assert_eq!(bytes, &br#"{"cmd":"/bin/false"}"#[..]);
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
