//! Job plugins: executables below the jobs directory, each a job type of the name of its file.
//!
//! A plugin is called as `TYPE describe`, `TYPE create` and `TYPE run`, always through the [`Executor`]. It is described
//! when it is first needed, not when the node starts: nothing can be run before a life of the node has begun, and one
//! plugin that does not answer must not keep the others waiting.
//!
//! * `discover`: which files are plugins. `manifest`: what `describe` prints.

mod discover;
mod manifest;

use std::{borrow::Cow, collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use capstan_model::workflow::{command::TryEnd, graph::CreateOutput, json::JsonMap};
use futures::future::{BoxFuture, FutureExt};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::OnceCell;

pub use self::discover::{DiscoverError, discover};
use self::manifest::{Create, Manifest};
use super::{Description, JobType, Run, RunInput};
use crate::{
    executor::{Executor, Outcome, StartSpec},
    guardian::ProcessKey,
};

/// How long `describe` and `create` may take.
const CALL_MAX: Duration = Duration::from_secs(5);
/// How much of what a plugin said goes into an error.
const SAID_CHARS_MAX: usize = 500;

/// A job type that is an executable.
#[derive(Clone)]
pub struct Plugin {
    name: Arc<str>,
    program: PathBuf,
    executor: Arc<dyn Executor>,
    manifest: Arc<OnceCell<Manifest>>,
}

/// What `create` reads from standard input.
#[derive(Serialize)]
struct CreateInput<'a> {
    args: BTreeMap<&'a str, &'a RawValue>,
}

/// What `run` reads from standard input.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunObject<'a> {
    bytes: String,
    job_data: BTreeMap<&'a str, &'a RawValue>,
    request_id: String,
    job_id: String,
    r#try: u32,
    epoch: u64,
}

impl Plugin {
    fn new(name: Arc<str>, program: PathBuf, executor: Arc<dyn Executor>) -> Self {
        Self { name, program, executor, manifest: Arc::default() }
    }

    /// What it says of itself; asked once, and again only after a failure.
    async fn manifest(&self) -> Result<&Manifest, String> {
        self.manifest
            .get_or_try_init(|| async {
                let outcome = self.call("describe", Vec::new()).await?;
                Manifest::parse(&outcome.stdout.bytes).map_err(|error| self.complaint("describe", &error))
            })
            .await
    }

    /// Runs it for its answer. What it answered without success is an error in its own words.
    async fn call(&self, verb: &str, stdin: Vec<u8>) -> Result<Arc<Outcome>, String> {
        let spec = StartSpec {
            args: vec![verb.to_owned()],
            stdin,
            // The executor gives it a key of its own.
            ..StartSpec::new(ProcessKey::Call(0), self.program())
        };
        let outcome = self
            .executor
            .call(spec, CALL_MAX)
            .await
            .map_err(|refused| self.complaint(verb, &refused.to_string()))?;
        if outcome.end == TryEnd::Complete {
            return Ok(outcome);
        }
        let said = last_line(&outcome.stderr.bytes).map_or_else(String::new, |line| format!(": {line}"));
        Err(self.complaint(verb, &format!("{}{said}", outcome.error)))
    }

    fn complaint(&self, verb: &str, problem: &str) -> String {
        format!("plugin {} {verb}: {problem}", self.name)
    }

    fn program(&self) -> String {
        self.program.to_str().expect("only paths in UTF-8 are taken for plugins").to_owned()
    }
}

impl JobType for Plugin {
    fn describe(&self) -> Description {
        let idempotent = self.manifest.get().is_some_and(|manifest| manifest.idempotent);
        Description { name: Cow::Owned(self.name.to_string()), idempotent }
    }

    fn create(&self, args: JsonMap) -> BoxFuture<'static, Result<CreateOutput, String>> {
        let plugin = self.clone();
        async move {
            let manifest = plugin.manifest().await?;
            if let Some(missing) = manifest.args.iter().find(|name| !args.contains_key(name.as_str())) {
                return Err(format!("required arg {missing} is not set"));
            }
            match manifest.create {
                Create::None => {
                    Ok(CreateOutput { bytes: encoded(&raw(&args)).into(), ..CreateOutput::default() })
                }
                Create::Run => {
                    let stdin = encoded(&CreateInput { args: raw(&args) });
                    Ok(plugin.call("create", stdin).await?.created.clone())
                }
            }
        }
        .boxed()
    }

    fn run(&self, input: RunInput) -> Run {
        let object = RunObject {
            bytes: STANDARD.encode(&input.bytes),
            job_data: raw(&input.job_data),
            request_id: input.key.request.to_string(),
            job_id: input.key.job.to_string(),
            r#try: input.key.try_no.0,
            epoch: input.key.epoch.0,
        };
        Run::Process(StartSpec {
            args: vec!["run".to_owned()],
            stdin: encoded(&object),
            ..StartSpec::new(input.key, self.program())
        })
    }
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data with text keys is serialisable")
}

/// The same values for an encoder, each as it was written.
fn raw(map: &JsonMap) -> BTreeMap<&str, &RawValue> {
    let value = |text| serde_json::from_str::<&RawValue>(text).expect("the text was checked to be JSON");
    map.iter().map(|(name, text)| (&**name, value(text.as_str()))).collect()
}

/// The last line that says something, cut to what fits an error.
fn last_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(SAID_CHARS_MAX).collect())
}
