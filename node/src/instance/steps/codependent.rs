//! `codependent`: all at once; when one ends, however it ends, the others are cancelled. It always fails.

use capstan_model::lrp::action::List;
use futures::stream::{FuturesUnordered, StreamExt};

use super::{Ended, Failure, Scope, VALIDATED, perform as perform_action};
use crate::instance::driver::Driver;

pub(super) async fn perform(driver: &dyn Driver, list: &List, scope: Scope) -> Ended {
    let scope = scope.sourced(&list.log_source).child();
    let start = |action| perform_action(driver, Option::as_ref(action).expect(VALIDATED), scope.clone());
    let mut steps: FuturesUnordered<_> = list.actions.iter().map(start).collect();
    let mut failures = Vec::new();
    while let Some(ended) = steps.next().await {
        failures.push(ended.err().unwrap_or_else(|| Failure::plain("Codependent step exited")));
        scope.cancel();
    }
    Err(Failure::all(&failures))
}
