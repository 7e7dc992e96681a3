//! Actions: each kind under a member of its own.

use capstan_client::receptor as wire;
use capstan_model::lrp::action::{
    Action, Download, EmitProgress, Kind, List, ResourceLimits, Run, Timeout, Try, Upload,
};

use super::variable;

pub(super) fn shown(action: &Action) -> wire::Action {
    let mut shown = wire::Action::default();
    for kind in &action.kinds {
        match kind {
            Kind::Download(action) => shown.download = Some(download(action)),
            Kind::Upload(action) => shown.upload = Some(upload(action)),
            Kind::Run(action) => shown.run = Some(run(action)),
            Kind::Timeout(action) => shown.timeout = Some(timeout(action)),
            Kind::EmitProgress(action) => shown.emit_progress = Some(emit_progress(action)),
            Kind::Try(action) => shown.try_ = Some(attempt(action)),
            Kind::Parallel(actions) => shown.parallel = Some(list(actions)),
            Kind::Serial(actions) => shown.serial = Some(list(actions)),
            Kind::Codependent(actions) => shown.codependent = Some(list(actions)),
        }
    }
    shown
}

fn inner(action: Option<&Action>) -> Option<Box<wire::Action>> {
    action.map(|action| Box::new(shown(action)))
}

fn download(action: &Download) -> wire::Download {
    wire::Download {
        artifact: action.artifact.to_string(),
        from: action.from.to_string(),
        to: action.to.to_string(),
        cache_key: action.cache_key.to_string(),
        log_source: action.log_source.to_string(),
        user: action.user.to_string(),
    }
}

fn upload(action: &Upload) -> wire::Upload {
    wire::Upload {
        artifact: action.artifact.to_string(),
        from: action.from.to_string(),
        to: action.to.to_string(),
        log_source: action.log_source.to_string(),
        user: action.user.to_string(),
    }
}

fn run(action: &Run) -> wire::Run {
    let ResourceLimits { nofile } = action.resource_limits;
    wire::Run {
        path: action.path.to_string(),
        args: action.args.iter().map(ToString::to_string).collect(),
        dir: action.dir.to_string(),
        env: action.env.iter().map(variable).collect(),
        resource_limits: nofile.map(|nofile| wire::ResourceLimits { nofile: Some(nofile) }),
        user: action.user.to_string(),
        log_source: action.log_source.to_string(),
    }
}

fn timeout(action: &Timeout) -> wire::Timeout {
    wire::Timeout {
        action: inner(action.action.as_deref()),
        timeout: action.timeout_ns,
        log_source: action.log_source.to_string(),
    }
}

fn emit_progress(action: &EmitProgress) -> wire::EmitProgress {
    wire::EmitProgress {
        action: inner(action.action.as_deref()),
        start_message: action.start_message.to_string(),
        success_message: action.success_message.to_string(),
        failure_message_prefix: action.failure_message_prefix.to_string(),
        log_source: action.log_source.to_string(),
    }
}

fn attempt(action: &Try) -> wire::Try {
    wire::Try { action: inner(action.action.as_deref()), log_source: action.log_source.to_string() }
}

fn list(list: &List) -> wire::List {
    wire::List {
        actions: list.actions.iter().map(|action| action.as_ref().map(shown)).collect(),
        log_source: list.log_source.to_string(),
    }
}
