//! Actions: a wrapper with a member for each kind.

use capstan_model::lrp::action::{
    Action, Download, EmitProgress, EnvVar, Kind, List, ResourceLimits, Run, Timeout, Try, Upload,
};
use serde::{
    Deserializer,
    de::{Error, MapAccess},
};

use crate::receptor::go_json::{FromGo, Members, skip, value};

/// The members of a wrapper, in the order in which they count.
#[derive(Default)]
struct Wrapper {
    download: Option<Download>,
    upload: Option<Upload>,
    run: Option<Run>,
    timeout: Option<Timeout>,
    emit_progress: Option<EmitProgress>,
    r#try: Option<Try>,
    parallel: Option<List>,
    serial: Option<List>,
    codependent: Option<List>,
}

impl Members for Wrapper {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "download" => self.download = value(map)?,
            "upload" => self.upload = value(map)?,
            "run" => self.run = value(map)?,
            "timeout" => self.timeout = value(map)?,
            "emit_progress" => self.emit_progress = value(map)?,
            "try" => self.r#try = value(map)?,
            "parallel" => self.parallel = value(map)?,
            "serial" => self.serial = value(map)?,
            "codependent" => self.codependent = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl FromGo for Action {
    fn from_go<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrapper = Wrapper::from_go(deserializer)?;
        let kinds = [
            wrapper.download.map(Kind::Download),
            wrapper.upload.map(Kind::Upload),
            wrapper.run.map(Kind::Run),
            wrapper.timeout.map(Kind::Timeout),
            wrapper.emit_progress.map(Kind::EmitProgress),
            wrapper.r#try.map(Kind::Try),
            wrapper.parallel.map(Kind::Parallel),
            wrapper.serial.map(Kind::Serial),
            wrapper.codependent.map(Kind::Codependent),
        ];
        Ok(Self { kinds: kinds.into_iter().flatten().collect() })
    }
}

/// Reads a wrapper inside another action.
fn inner<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Box<Action>>, A::Error> {
    Ok(value::<Option<Action>, A>(map)?.map(Box::new))
}

impl Members for Download {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "artifact" => self.artifact = value(map)?,
            "from" => self.from = value(map)?,
            "to" => self.to = value(map)?,
            "cache_key" => self.cache_key = value(map)?,
            "user" => self.user = value(map)?,
            "log_source" => self.log_source = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for Upload {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "artifact" => self.artifact = value(map)?,
            "from" => self.from = value(map)?,
            "to" => self.to = value(map)?,
            "user" => self.user = value(map)?,
            "log_source" => self.log_source = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for Run {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "path" => self.path = value(map)?,
            "args" => self.args = value(map)?,
            "dir" => self.dir = value(map)?,
            // Names are not checked here as they are in an LRP's own `env`, so a `null` would pass for a variable.
            "env" => {
                let variables: Option<Vec<_>> = value::<Vec<Option<EnvVar>>, A>(map)?.into_iter().collect();
                self.env = variables.ok_or_else(|| A::Error::custom("Invalid field: env"))?;
            }
            "resource_limits" => self.resource_limits = value(map)?,
            "user" => self.user = value(map)?,
            "log_source" => self.log_source = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for ResourceLimits {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "nofile" => self.nofile = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for Timeout {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "action" => self.action = inner(map)?,
            "timeout" => self.timeout_ns = value(map)?,
            "log_source" => self.log_source = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for EmitProgress {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "action" => self.action = inner(map)?,
            "start_message" => self.start_message = value(map)?,
            "success_message" => self.success_message = value(map)?,
            "failure_message_prefix" => self.failure_message_prefix = value(map)?,
            "log_source" => self.log_source = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for Try {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "action" => self.action = inner(map)?,
            "log_source" => self.log_source = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for List {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "actions" => self.actions = value(map)?,
            "log_source" => self.log_source = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for EnvVar {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "name" => self.name = value(map)?,
            "value" => self.value = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}
