//! The bodies callers send, as drafts that are still to be checked.

mod action;
mod egress;

use capstan_model::{
    lrp::validate::draft::{DesiredDraft, UpdateDraft},
    task::validate::TaskDraft,
};
use serde::de::MapAccess;

use super::go_json::{Members, skip, value};

impl Members for DesiredDraft {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "process_guid" => self.process_guid = value(map)?,
            "domain" => self.domain = value(map)?,
            "rootfs" => self.rootfs = value(map)?,
            "instances" => self.instances = value(map)?,
            "env" => self.env = value(map)?,
            "setup" => self.setup = value(map)?,
            "action" => self.action = value(map)?,
            "monitor" => self.monitor = value(map)?,
            "start_timeout" => self.start_timeout_secs = value(map)?,
            "disk_mb" => self.disk_mb = value(map)?,
            "memory_mb" => self.memory_mb = value(map)?,
            "cpu_weight" => self.cpu_weight = value(map)?,
            "privileged" => self.privileged = value(map)?,
            "ports" => self.ports = value(map)?,
            "routes" => self.routes = value(map)?,
            "log_guid" => self.log_guid = value(map)?,
            "log_source" => self.log_source = value(map)?,
            "metrics_guid" => self.metrics_guid = value(map)?,
            "annotation" => self.annotation = value(map)?,
            "egress_rules" => self.egress_rules = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for UpdateDraft {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "instances" => self.instances = value(map)?,
            "routes" => self.routes = value(map)?,
            "annotation" => self.annotation = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for TaskDraft {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "task_guid" => self.task_guid = value(map)?,
            "domain" => self.domain = value(map)?,
            "rootfs" => self.rootfs = value(map)?,
            "env" => self.env = value(map)?,
            "action" => self.action = value(map)?,
            "disk_mb" => self.disk_mb = value(map)?,
            "memory_mb" => self.memory_mb = value(map)?,
            "cpu_weight" => self.cpu_weight = value(map)?,
            "privileged" => self.privileged = value(map)?,
            "result_file" => self.result_file = value(map)?,
            "completion_callback_url" => self.completion_callback_url = value(map)?,
            "log_guid" => self.log_guid = value(map)?,
            "log_source" => self.log_source = value(map)?,
            "metrics_guid" => self.metrics_guid = value(map)?,
            "annotation" => self.annotation = value(map)?,
            "egress_rules" => self.egress_rules = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
