//! `serial`: one after the other, up to the first that fails.

use capstan_model::lrp::action::List;

use super::{Ended, Failure, Scope, VALIDATED, perform as perform_action};
use crate::instance::driver::Driver;

/// The source of its output is not handed down, as upstream's is not.
pub(super) async fn perform(driver: &dyn Driver, list: &List, scope: Scope) -> Ended {
    for action in &list.actions {
        // A step that swallows its cancellation, such as `try`, must not let the next one begin.
        if scope.is_cancelled() {
            return Err(Failure::cancelled());
        }
        perform_action(driver, action.as_ref().expect(VALIDATED), scope.clone()).await?;
    }
    Ok(())
}
