//! Runs a tree of actions, a file for each kind.
//!
//! A step succeeds or fails with a text that its owner reads as a crash reason, so the texts are Diego's to the letter.
//! A step that is cancelled ends what it started and fails, as a rule with `cancelled`. Steps side by side share one
//! task: nothing is spawned, so nothing outlives the future.

pub mod codependent;
pub mod download;
pub mod emit_progress;
pub mod failure;
pub mod parallel;
pub mod run;
pub mod scope;
pub mod serial;
pub mod timeout;
pub mod r#try;
pub mod upload;

use capstan_model::lrp::action::{Action, Kind};
use futures::future::{BoxFuture, FutureExt};

pub use self::{failure::Failure, scope::Scope};
use super::driver::Driver;

/// How a step ended.
pub type Ended = Result<(), Failure>;

/// What can be run is validated before it is stored.
pub(crate) const VALIDATED: &str = "actions are validated before they are stored";

/// Runs an action to its end.
pub fn perform<'a>(driver: &'a dyn Driver, action: &'a Action, scope: Scope) -> BoxFuture<'a, Ended> {
    match action.kind().expect(VALIDATED) {
        Kind::Download(download) => download::perform(driver, download, scope).boxed(),
        Kind::Upload(upload) => upload::perform(driver, upload, scope).boxed(),
        Kind::Run(run) => run::perform(driver, run, scope).boxed(),
        Kind::Timeout(timeout) => timeout::perform(driver, timeout, scope).boxed(),
        Kind::EmitProgress(progress) => emit_progress::perform(driver, progress, scope).boxed(),
        Kind::Try(attempt) => r#try::perform(driver, attempt, scope).boxed(),
        Kind::Parallel(list) => parallel::perform(driver, list, scope).boxed(),
        Kind::Serial(list) => serial::perform(driver, list, scope).boxed(),
        Kind::Codependent(list) => codependent::perform(driver, list, scope).boxed(),
    }
}

#[cfg(test)]
mod tests;
