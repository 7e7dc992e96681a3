//! Egress rules.

use capstan_model::lrp::egress::{EgressRule, IcmpInfo, PortRange};
use serde::de::MapAccess;

use crate::receptor::go_json::{Members, skip, value};

impl Members for EgressRule {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "protocol" => self.protocol = value(map)?,
            "destinations" => self.destinations = value(map)?,
            "ports" => self.ports = value(map)?,
            "port_range" => self.port_range = value(map)?,
            "icmp_info" => self.icmp_info = value(map)?,
            "log" => self.log = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for PortRange {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "start" => self.start = value(map)?,
            "end" => self.end = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for IcmpInfo {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "type" => self.r#type = value(map)?,
            "code" => self.code = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}
