//! `timeout`: cancels what it holds when its time is over.

use std::time::Duration;

use capstan_model::lrp::action::Timeout;

use super::{Ended, Failure, Scope, VALIDATED, perform as perform_action};
use crate::instance::{driver::Driver, go_duration};

pub(super) async fn perform(driver: &dyn Driver, timeout: &Timeout, scope: Scope) -> Ended {
    let scope = scope.sourced(&timeout.log_source).child();
    let action = timeout.action.as_deref().expect(VALIDATED);
    let mut inner = perform_action(driver, action, scope.clone());
    let wait = Duration::from_nanos(u64::try_from(timeout.timeout_ns).expect(VALIDATED));
    tokio::select! {
        biased;
        ended = &mut inner => ended,
        () = tokio::time::sleep(wait) => {
            scope.cancel();
            let mut text = format!("exceeded {} timeout", go_duration::format(timeout.timeout_ns));
            if let Err(failure) = inner.await
                && let Some(told) = failure.told()
            {
                text = format!("{text}; {told}");
            }
            Err(Failure::tellable(text))
        }
    }
}
