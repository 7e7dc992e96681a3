//! The rules of actions (reference 2.8).

use super::Faults;
use crate::lrp::action::{Action, Kind, List};

/// What is wrong with an action, innermost first. Of several kinds in one wrapper only the first is looked at.
pub(super) fn faults(action: &Action) -> Faults {
    let mut faults = Faults::default();
    let Some(kind) = action.kind() else {
        faults.field("inner-action");
        return faults;
    };
    match kind {
        Kind::Download(download) => {
            faults.field_unless("from", !download.from.is_empty());
            faults.field_unless("to", !download.to.is_empty());
            faults.field_unless("user", !download.user.is_empty());
        }
        Kind::Upload(upload) => {
            faults.field_unless("to", !upload.to.is_empty());
            faults.field_unless("from", !upload.from.is_empty());
            faults.field_unless("user", !upload.user.is_empty());
        }
        Kind::Run(run) => {
            faults.field_unless("path", !run.path.is_empty());
            faults.field_unless("user", !run.user.is_empty());
        }
        Kind::Timeout(timeout) => {
            inner(&mut faults, timeout.action.as_deref());
            faults.field_unless("timeout", timeout.timeout_ns > 0);
        }
        Kind::EmitProgress(progress) => inner(&mut faults, progress.action.as_deref()),
        Kind::Try(r#try) => inner(&mut faults, r#try.action.as_deref()),
        Kind::Parallel(list) | Kind::Serial(list) | Kind::Codependent(list) => each(&mut faults, list),
    }
    faults
}

fn inner(faults: &mut Faults, action: Option<&Action>) {
    match action {
        Some(action) => faults.append(self::faults(action)),
        None => faults.field("action"),
    }
}

fn each(faults: &mut Faults, list: &List) {
    faults.field_unless("actions", !list.actions.is_empty());
    for (index, action) in list.actions.iter().enumerate() {
        match action {
            Some(action) => faults.append(self::faults(action)),
            None => faults.field(&format!("action at index {index}")),
        }
    }
}
