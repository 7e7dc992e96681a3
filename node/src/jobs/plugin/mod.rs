//! Job plugins: executables below the jobs directory, each a job type of the name of its file.
//!
//! A plugin is called as `TYPE describe`, `TYPE create` and `TYPE run`, always through the [`Executor`]. It is described
//! when it is first needed, not when the node starts: nothing can be run before a life of the node has begun, and one
//! plugin that does not answer must not keep the others waiting. A call goes on when its caller has given up.
//!
//! * `discover`: which files are plugins. `manifest`: what `describe` prints, open to the fuzzer.

mod discover;
#[doc(hidden)]
pub mod manifest;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use capstan_model::{
    spec::JobSignature,
    workflow::{
        command::TryEnd,
        graph::{CreateError, CreateOutput},
        json::JsonMap,
    },
};
use capstan_raft_store::runtime;
use futures::future::{BoxFuture, FutureExt, Shared};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

pub use self::discover::{DiscoverError, discover};
use self::manifest::{Create, Manifest};
use super::{Description, JobType, Run, RunInput};
use crate::{
    executor::{Executor, Outcome, StartRefused, StartSpec},
    guardian::ProcessKey,
};

/// How long `describe` and `create` may take.
const CALL_MAX: Duration = Duration::from_secs(5);
/// How many calls of a node run side by side, over all its plugins and requests; further ones wait.
const CALLS_AT_ONCE: usize = 32;
/// How much of what a plugin said goes into an error.
const SAID_CHARS_MAX: usize = 500;

/// A job type that is an executable.
#[derive(Clone)]
pub struct Plugin {
    name: Arc<str>,
    program: PathBuf,
    caller: Caller,
    described: Arc<Mutex<Option<Described>>>,
}

/// What `describe` answers, or will answer; shared by all who wait for it.
type Described = Shared<BoxFuture<'static, Result<Arc<Manifest>, CreateError>>>;

/// Runs the calls of all plugins of a node, [`CALLS_AT_ONCE`] of them at a time.
#[derive(Clone)]
struct Caller {
    executor: Arc<dyn Executor>,
    permits: Arc<Semaphore>,
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
    fn new(name: Arc<str>, program: PathBuf, caller: Caller) -> Self {
        Self { name, program, caller, described: Arc::default() }
    }

    /// What it says of itself; asked once, and again only after a failure. Must be called within the runtime.
    fn manifest(&self) -> Described {
        let mut described = self.described.lock().expect("no holder of this lock panics");
        if let Some(known) = described.as_ref().filter(|known| !matches!(known.peek(), Some(Err(_)))) {
            return known.clone();
        }
        let plugin = self.clone();
        let asked = async move {
            let outcome = plugin.call("describe", Vec::new()).await?;
            let manifest = Manifest::parse(&outcome.stdout.bytes);
            manifest.map(Arc::new).map_err(|error| plugin.failure("describe", &error))
        };
        let asked = asked.boxed().shared();
        // A caller that does not wait for the answer must not keep it from those behind it.
        runtime::spawn(asked.clone());
        *described = Some(asked.clone());
        asked
    }

    /// Runs it for its answer. What it answered without success is an error in its own words.
    async fn call(&self, verb: &str, stdin: Vec<u8>) -> Result<Arc<Outcome>, CreateError> {
        let spec = StartSpec {
            args: vec![verb.to_owned()],
            stdin,
            // The executor gives it a key of its own.
            ..StartSpec::new(ProcessKey::Call(0), self.program())
        };
        let outcome = self.caller.call(spec).await.map_err(|refused| self.refusal(verb, &refused))?;
        match outcome.end {
            TryEnd::Complete => return Ok(outcome),
            TryEnd::CutOff => return Err(CreateError::Unavailable(self.complaint(verb, &outcome.error))),
            _ => {}
        }
        let said = last_line(&outcome.stderr.bytes).map_or_else(String::new, |line| format!(": {line}"));
        Err(self.failure(verb, &format!("{}{said}", outcome.error)))
    }

    /// Why it was not run; a reason that passes says so to the caller.
    fn refusal(&self, verb: &str, refused: &StartRefused) -> CreateError {
        let reason = self.complaint(verb, &refused.to_string());
        match refused {
            StartRefused::NotBegun
            | StartRefused::LeaseOver
            | StartRefused::LeftoversAlive
            | StartRefused::Gone(_) => CreateError::Unavailable(reason),
            StartRefused::Settled { .. } | StartRefused::TooLarge { .. } => CreateError::Failed(reason),
        }
    }

    fn failure(&self, verb: &str, problem: &str) -> CreateError {
        CreateError::Failed(self.complaint(verb, problem))
    }

    fn complaint(&self, verb: &str, problem: &str) -> String {
        format!("plugin {} {verb}: {problem}", self.name)
    }

    fn program(&self) -> String {
        self.program.to_str().expect("only paths in UTF-8 are taken for plugins").to_owned()
    }
}

impl Caller {
    fn new(executor: Arc<dyn Executor>) -> Self {
        Self { executor, permits: Arc::new(Semaphore::new(CALLS_AT_ONCE)) }
    }

    /// Runs a process for its answer. Its place is taken until it has ended, whoever still waits for it.
    async fn call(&self, spec: StartSpec) -> Result<Arc<Outcome>, StartRefused> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("it is never closed");
        let executor = Arc::clone(&self.executor);
        let called = runtime::spawn(async move {
            let _permit = permit;
            executor.call(spec, CALL_MAX).await
        });
        // The task ends early only with the runtime, and with it the node's life.
        called.await.unwrap_or(Err(StartRefused::NotBegun))
    }
}

impl JobType for Plugin {
    fn describe(&self) -> Description {
        let described = self.described.lock().expect("no holder of this lock panics");
        let manifest = described.as_ref().and_then(|described| described.peek()?.as_ref().ok());
        let idempotent = manifest.is_some_and(|manifest| manifest.idempotent);
        Description { name: Cow::Owned(self.name.to_string()), idempotent }
    }

    fn signature(&self) -> BoxFuture<'static, JobSignature> {
        let plugin = self.clone();
        async move {
            match plugin.manifest().await {
                Ok(manifest) => manifest.signature(),
                Err(error) => JobSignature::Silent(error.to_string()),
            }
        }
        .boxed()
    }

    fn create(&self, args: JsonMap) -> BoxFuture<'static, Result<CreateOutput, CreateError>> {
        let plugin = self.clone();
        async move {
            let manifest = plugin.manifest().await?;
            if let Some(missing) = manifest.args.iter().find(|name| !args.contains_key(name.as_str())) {
                return Err(CreateError::Failed(format!("required arg {missing} is not set")));
            }
            let created = match manifest.create {
                Create::None => {
                    CreateOutput { bytes: encoded(&raw(&args)).into(), ..CreateOutput::default() }
                }
                Create::Run => {
                    let stdin = encoded(&CreateInput { args: raw(&args) });
                    plugin.call("create", stdin).await?.created.clone()
                }
            };
            match manifest.sets.iter().find(|name| !created.args.contains_key(name.as_str())) {
                Some(unset) => Err(plugin.failure("create", &format!("did not set {unset}"))),
                None => Ok(created),
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
