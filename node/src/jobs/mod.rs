//! Job types: what a job of a request can be.
//!
//! A type checks the args when a request is built ([`JobType::create`]) and says how one try is run
//! ([`JobType::run`]); it runs nothing itself. Processes go to the [`crate::executor`], timers to the actor that
//! holds the try, so that both can be stopped, logged and simulated in one place.

mod create;
mod ending;
pub mod http_request;
pub mod lrp;
pub mod noop;
pub mod plugin;
pub mod shell_command;
pub mod sleep;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use capstan_model::{
    spec::JobSignature,
    workflow::{
        graph::{CreateError, CreateOutput},
        json::JsonMap,
    },
};
use futures::future::{BoxFuture, FutureExt, join_all};
use serde_json::Value;

use crate::executor::{Outcome, StartSpec, TryKey};

/// One kind of job.
pub trait JobType: Send + Sync {
    /// What the type is called and how it behaves.
    fn describe(&self) -> Description;

    /// What its jobs need and set, for those who check specs. A plugin is asked.
    fn signature(&self) -> BoxFuture<'static, JobSignature>;

    /// Checks the args of a job and makes what its tries will be given.
    ///
    /// # Errors
    /// Says what is wrong with which arg, or that the type cannot be asked just now; the request is then refused with
    /// this text.
    fn create(&self, args: JsonMap) -> BoxFuture<'static, Result<CreateOutput, CreateError>>;

    /// Says how one try is run.
    fn run(&self, input: RunInput) -> Run;
}

/// What others need to know of a job type. Whether it takes a slot is a rule of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name in specs.
    pub name: Cow<'static, str>,
    /// Whether running it again does no harm. A try lost with its node is then repeated without spending a retry.
    pub idempotent: bool,
}

/// What a try is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInput {
    /// The try.
    pub key: TryKey,
    /// What [`JobType::create`] made.
    pub bytes: Bytes,
    /// What the jobs before it and its own earlier tries passed on.
    pub job_data: Arc<JsonMap>,
}

/// How a try is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// A process, whose outcome is the try's.
    Process(StartSpec),
    /// A wait, after which the try is complete; stopped before that, it is stopped.
    Timer {
        /// How long.
        duration: Duration,
        /// Its real-time status meanwhile.
        status: &'static str,
    },
    /// It has ended already.
    Done(Box<Outcome>),
}

/// The job types of a node.
#[derive(Clone, Default)]
pub struct JobTypes {
    types: BTreeMap<Cow<'static, str>, Arc<dyn JobType>>,
}

impl JobTypes {
    /// The types that need nothing but this program.
    pub fn built_in() -> Self {
        let mut types = Self::default();
        types.add(Arc::new(noop::Noop));
        types.add(Arc::new(sleep::Sleep));
        types.add(Arc::new(shell_command::ShellCommand));
        types.add(Arc::new(http_request::HttpRequest));
        types.reach_lrps(lrp::Surface::default());
        types
    }

    /// Says where the calls of `lrp/…` jobs go. Before, such jobs can be created, but not run.
    pub fn reach_lrps(&mut self, surface: lrp::Surface) {
        let surface = Arc::new(surface);
        for job_type in lrp::Kind::ALL.map(|kind| lrp::LrpJob::new(kind, Arc::clone(&surface))) {
            self.add(Arc::new(job_type));
        }
    }

    /// Adds a type, in the place of one of the same name.
    pub fn add(&mut self, job_type: Arc<dyn JobType>) {
        self.types.insert(job_type.describe().name, job_type);
    }

    /// Looks a type up.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn JobType>> {
        self.types.get(name)
    }

    /// The names of all types, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(AsRef::as_ref)
    }

    /// What the jobs of each type need and set. All are asked side by side; how many plugins run at a time is bounded where they
    /// are called.
    pub fn signatures(&self) -> BoxFuture<'static, BTreeMap<Arc<str>, JobSignature>> {
        let names: Vec<Arc<str>> = self.types.keys().map(|name| Arc::from(&**name)).collect();
        let asked = join_all(self.types.values().map(|job_type| job_type.signature()));
        async move { names.into_iter().zip(asked.await).collect() }.boxed()
    }
}

/// Takes a required arg; a number is taken for its text, as users write both.
fn text_arg(args: &JsonMap, name: &str) -> Result<String, String> {
    optional_text_arg(args, name)?.ok_or_else(|| format!("required arg {name} is not set"))
}

/// Takes an arg that may be missing or null.
fn optional_text_arg(args: &JsonMap, name: &str) -> Result<Option<String>, String> {
    let Some(arg) = args.get(name) else { return Ok(None) };
    match arg.to_value() {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        // As it was written: 1000.0 is not made 1e3.
        Value::Number(_) => Ok(Some(arg.as_str().to_owned())),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!("arg {name} is {arg}: expected text"))
        }
    }
}

#[cfg(test)]
mod tests {
    use capstan_model::{
        ids::{Epoch, JobId, RequestId, TryNo},
        workflow::json::JsonText,
    };

    use super::*;

    /// Args from one JSON object.
    pub(super) fn args(object: &str) -> JsonMap {
        let object: serde_json::Map<String, Value> = serde_json::from_str(object).unwrap();
        object.iter().map(|(name, value)| (name.as_str().into(), JsonText::from(value))).collect()
    }

    /// A try with these bytes.
    pub(super) fn input(bytes: &[u8]) -> RunInput {
        let key =
            TryKey { request: RequestId([1; 12]), job: JobId(*b"job1"), try_no: TryNo(1), epoch: Epoch(1) };
        RunInput { key, bytes: Bytes::copy_from_slice(bytes), job_data: Arc::default() }
    }

    #[test]
    fn types_are_found_by_name_and_listed_in_order() {
        let types = JobTypes::built_in();
        let names: Vec<_> = types.names().filter(|name| !name.starts_with("lrp/")).collect();
        assert_eq!(names, ["http-request", "noop", "shell-command", "sleep"]);
        assert!(types.get("sleep").is_some_and(|found| found.describe().idempotent));
        assert!(types.get("Sleep").is_none());
    }

    #[test]
    fn args_are_text_or_numbers() {
        let args = args(r#"{"t":"x","n":5,"nil":null,"list":[1]}"#);
        assert_eq!(text_arg(&args, "t"), Ok("x".into()));
        assert_eq!(text_arg(&args, "n"), Ok("5".into()));
        assert_eq!(optional_text_arg(&args, "nil"), Ok(None));
        assert_eq!(text_arg(&args, "none"), Err("required arg none is not set".into()));
        assert_eq!(text_arg(&args, "list"), Err("arg list is [1]: expected text".into()));
    }
}
