//! `try`: succeeds, whatever becomes of what it holds.

use capstan_model::lrp::action::Try;

use super::{Ended, Scope, VALIDATED, perform as perform_action};
use crate::instance::driver::Driver;

pub(super) async fn perform(driver: &dyn Driver, attempt: &Try, scope: Scope) -> Ended {
    let action = attempt.action.as_deref().expect(VALIDATED);
    let scope = scope.sourced(&attempt.log_source);
    // Its failure is in the output, if it is anywhere.
    let _ = perform_action(driver, action, scope).await;
    Ok(())
}
