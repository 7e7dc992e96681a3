//! `lrp/…`: long-running processes as jobs, for requests that deploy them.
//!
//! Like an `http-request`, each is a process of this program ([`process::main`]) that is told its order on standard input and calls
//! the API of the nodes (ADR 10). So it is fenced, bounded and logged like every other job, whichever node runs it. All of them do no
//! more when they are done twice.

mod args;
mod order;
pub mod process;
mod steps;
mod surface;

use std::{borrow::Cow, sync::Arc, time::Duration};

use capstan_model::{
    spec::JobSignature,
    workflow::{
        graph::{CreateError, CreateOutput},
        json::JsonMap,
    },
};
use futures::future::{BoxFuture, FutureExt, ready};

pub use self::surface::Surface;
use self::{order::Order, surface::Told};
use super::{Description, JobType, Run, RunInput};
use crate::executor::{Outcome, StartSpec};

/// The first argument of this program that makes it one of these jobs.
pub const ARGUMENT: &str = "__lrp-job";

/// How much longer than it waits its process may take before it is killed: two calls, of ten seconds each, and the way there.
const PROCESS_SLACK: Duration = Duration::from_secs(30);

/// What such a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Desires an LRP: `lrp`, the manifest; and optionally `processGuid`, which takes the place of the one in it.
    Desire,
    /// Changes an LRP: `processGuid`; and at least one of `instances`, `routes`, `annotation`.
    Update,
    /// Changes how many instances an LRP has: `processGuid`, `instances`.
    Scale,
    /// Waits until all instances of an LRP run: `processGuid`; and optionally `timeout` (`5m`), `stableFor` and
    /// `onFailure`, `keep` or `delete`.
    WaitRunning,
    /// Desires an LRP no longer, and waits until it is gone: `processGuid`; and optionally `timeout` (`5m`).
    Delete,
}

/// One of the types `lrp/…`.
#[derive(Debug, Clone)]
pub struct LrpJob {
    kind: Kind,
    surface: Arc<Surface>,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Desire, Self::Update, Self::Scale, Self::WaitRunning, Self::Delete];

    fn name(self) -> &'static str {
        match self {
            Self::Desire => "lrp/desire",
            Self::Update => "lrp/update",
            Self::Scale => "lrp/scale",
            Self::WaitRunning => "lrp/wait-running",
            Self::Delete => "lrp/delete",
        }
    }
}

impl Kind {
    /// The args without which there is no job.
    fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Desire => &["lrp"],
            Self::Scale => &["processGuid", "instances"],
            Self::Update | Self::WaitRunning | Self::Delete => &["processGuid"],
        }
    }
}

impl LrpJob {
    /// The type whose calls go there.
    pub fn new(kind: Kind, surface: Arc<Surface>) -> Self {
        Self { kind, surface }
    }
}

impl JobType for LrpJob {
    fn describe(&self) -> Description {
        Description { name: Cow::Borrowed(self.kind.name()), idempotent: true }
    }

    fn signature(&self) -> BoxFuture<'static, JobSignature> {
        ready(JobSignature::needing(self.kind.needs())).boxed()
    }

    fn create(&self, args: JsonMap) -> BoxFuture<'static, Result<CreateOutput, CreateError>> {
        let created = args::order(self.kind, &args).map(|order| {
            let bytes = serde_json::to_vec(&order).expect("texts and numbers are serialisable");
            CreateOutput { bytes: bytes.into(), ..CreateOutput::default() }
        });
        ready(created.map_err(CreateError::Failed)).boxed()
    }

    fn run(&self, input: RunInput) -> Run {
        let order = match serde_json::from_slice::<Order>(&input.bytes) {
            Ok(order) => order,
            Err(error) => return Run::Done(Box::new(Outcome::unmade(&error.to_string()))),
        };
        if self.surface.addresses.is_empty() {
            return Run::Done(Box::new(Outcome::unmade("there is no node whose API could be called")));
        }
        let deadline = order.wait_max().saturating_add(PROCESS_SLACK);
        let told = Told { surface: Surface::clone(&self.surface), order };
        Run::Process(StartSpec {
            args: vec![ARGUMENT.to_owned()],
            stdin: serde_json::to_vec(&told).expect("texts and numbers are serialisable"),
            deadline: Some(deadline),
            ..StartSpec::new(input.key, "/proc/self/exe")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::tests::{args, input};

    fn created(kind: Kind, object: &str) -> bytes::Bytes {
        let job = LrpJob::new(kind, Arc::default());
        job.create(args(object)).now_or_never().unwrap().unwrap().bytes
    }

    #[test]
    fn a_try_is_a_process_of_this_program_that_is_told_where_to_call() {
        let surface = Surface {
            addresses: vec!["127.0.0.1:1".to_owned()],
            username: Some("u".to_owned()),
            password: Some("secret".to_owned()),
        };
        let bytes = created(Kind::WaitRunning, r#"{"processGuid":"p","timeout":"2s"}"#);
        assert!(!String::from_utf8_lossy(&bytes).contains("secret"), "what is replicated holds no password");
        let Run::Process(spec) = LrpJob::new(Kind::WaitRunning, Arc::new(surface)).run(input(&bytes)) else {
            panic!("no process")
        };
        assert_eq!((&*spec.args, spec.deadline), (&[ARGUMENT.to_owned()][..], Some(Duration::from_secs(32))));
        let told: Told = serde_json::from_slice(&spec.stdin).unwrap();
        assert_eq!(
            (&*told.surface.addresses, told.surface.password.as_deref()),
            (&["127.0.0.1:1".to_owned()][..], Some("secret"))
        );
    }

    #[test]
    fn what_cannot_be_run_has_ended() {
        let nowhere = LrpJob::new(Kind::Delete, Arc::default());
        assert!(matches!(nowhere.run(input(&created(Kind::Delete, r#"{"processGuid":"p"}"#))), Run::Done(_)));
        assert!(matches!(nowhere.run(input(b"{}")), Run::Done(_)));
    }

    #[test]
    fn all_may_be_run_again() {
        for kind in Kind::ALL {
            let description = LrpJob::new(kind, Arc::default()).describe();
            assert!(description.idempotent && description.name.starts_with("lrp/"), "{description:?}");
        }
    }
}
