//! `emit_progress`: says in the output that what it holds begins, and how it ended.

use capstan_model::lrp::action::EmitProgress;

use super::{Ended, Scope, VALIDATED, perform as perform_action};
use crate::instance::driver::{Driver, Stream};

/// The source of its own messages is not handed down, as upstream's is not.
pub(super) async fn perform(driver: &dyn Driver, progress: &EmitProgress, scope: Scope) -> Ended {
    let own = scope.sourced(&progress.log_source);
    let say = |stream, text: &str| {
        if !text.is_empty() {
            own.say(driver, stream, &format!("{text}\n"));
        }
    };
    say(Stream::Stdout, &progress.start_message);
    let ended = perform_action(driver, progress.action.as_deref().expect(VALIDATED), scope).await;
    let prefix = &*progress.failure_message_prefix;
    match &ended {
        Ok(()) => say(Stream::Stdout, &progress.success_message),
        Err(failure) => match failure.told() {
            Some(told) if !prefix.is_empty() => say(Stream::Stderr, &format!("{prefix}: {told}")),
            _ => say(Stream::Stderr, prefix),
        },
    }
    ended
}
