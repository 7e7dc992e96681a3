//! The variables of an instance's processes, in the order in which they are set: of two of one name the later counts.

use std::net::IpAddr;

use capstan_model::lrp::action::EnvVar;
use serde_json::json;

use super::ports::PortMapping;

/// What the processes of one instance or task have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// What an instance is; a task is none.
    pub identity: Option<Identity>,
    /// As desired.
    pub env: Vec<EnvVar>,
    /// The address of the cell, by which others reach the instance.
    pub address: IpAddr,
    /// In the order of the definition.
    pub ports: Vec<PortMapping>,
    /// Whether the processes are in a network of their own, where they listen on the ports of the definition; on host ports otherwise.
    pub own_network: bool,
}

/// Which instance of its LRP it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The guid of the instance.
    pub guid: String,
    /// Its index.
    pub index: u32,
}

impl Environment {
    /// The variables of a process with variables of its own. The network comes last: nobody may set it otherwise. Beside
    /// what upstream sets there is `CAPSTAN_PORT_<container port>`, the port to listen on: without a network of its own a
    /// process has to listen on the host port.
    pub fn of_process(&self, own: &[EnvVar]) -> Vec<(String, String)> {
        let mut variables = self.identity.as_ref().map(Identity::variables).unwrap_or_default();
        let given = self.env.iter().chain(own);
        variables.extend(given.map(|variable| (variable.name.to_string(), variable.value.to_string())));
        variables.extend(self.network());
        variables
    }

    fn network(&self) -> Vec<(String, String)> {
        let first = self.ports.first();
        let address = match (first, self.address) {
            (None, _) => String::new(),
            (Some(first), IpAddr::V4(address)) => format!("{address}:{}", first.host),
            (Some(first), IpAddr::V6(address)) => format!("[{address}]:{}", first.host),
        };
        let ports: Vec<String> = self.ports.iter().map(as_json).collect();
        let mut variables = vec![
            ("CF_INSTANCE_IP".to_owned(), self.address.to_string()),
            ("CF_INSTANCE_PORT".to_owned(), first.map(|first| first.host.to_string()).unwrap_or_default()),
            ("CF_INSTANCE_ADDR".to_owned(), address),
            ("CF_INSTANCE_PORTS".to_owned(), format!("[{}]", ports.join(","))),
        ];
        let single = |port: &PortMapping| {
            let listened_on = if self.own_network { port.container } else { port.host };
            (format!("CAPSTAN_PORT_{}", port.container), listened_on.to_string())
        };
        variables.extend(self.ports.iter().map(single));
        variables
    }
}

impl Identity {
    fn variables(&self) -> Vec<(String, String)> {
        let index = self.index.to_string();
        let values = [
            ("INSTANCE_GUID", &self.guid),
            ("INSTANCE_INDEX", &index),
            ("CF_INSTANCE_GUID", &self.guid),
            ("CF_INSTANCE_INDEX", &index),
        ];
        values.map(|(name, value)| (name.to_owned(), value.clone())).to_vec()
    }
}

fn as_json(port: &PortMapping) -> String {
    json!({ "external": port.host, "internal": port.container }).to_string()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn variable(name: &str, value: &str) -> EnvVar {
        EnvVar { name: name.into(), value: value.into() }
    }

    fn instance() -> Environment {
        Environment {
            identity: Some(Identity { guid: "some-guid".into(), index: 2 }),
            env: vec![variable("A", "desired"), variable("INSTANCE_INDEX", "mine")],
            address: Ipv4Addr::new(10, 0, 0, 7).into(),
            ports: vec![
                PortMapping { container: 8080, host: 60_413 },
                PortMapping { container: 22, host: 60_414 },
            ],
            own_network: false,
        }
    }

    #[test]
    fn later_variables_count() {
        let variables = instance().of_process(&[variable("A", "own"), variable("CF_INSTANCE_IP", "faked")]);
        let listed: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            listed,
            [
                "INSTANCE_GUID=some-guid",
                "INSTANCE_INDEX=2",
                "CF_INSTANCE_GUID=some-guid",
                "CF_INSTANCE_INDEX=2",
                "A=desired",
                "INSTANCE_INDEX=mine",
                "A=own",
                "CF_INSTANCE_IP=faked",
                "CF_INSTANCE_IP=10.0.0.7",
                "CF_INSTANCE_PORT=60413",
                "CF_INSTANCE_ADDR=10.0.0.7:60413",
                r#"CF_INSTANCE_PORTS=[{"external":60413,"internal":8080},{"external":60414,"internal":22}]"#,
                "CAPSTAN_PORT_8080=60413",
                "CAPSTAN_PORT_22=60414",
            ]
        );
    }

    #[test]
    fn in_a_network_of_its_own_a_process_listens_on_its_own_ports() {
        let variables = Environment { own_network: true, ..instance() }.of_process(&[]);
        let value =
            |wanted: &str| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| &**value);
        assert_eq!(value("CAPSTAN_PORT_8080"), Some("8080"));
        assert_eq!(value("CF_INSTANCE_PORT"), Some("60413"), "where others reach it");
        assert_eq!(value("CF_INSTANCE_ADDR"), Some("10.0.0.7:60413"));
    }

    #[test]
    fn a_task_is_no_instance_and_may_have_no_ports() {
        let task = Environment {
            identity: None,
            env: vec![],
            address: Ipv6Addr::LOCALHOST.into(),
            ports: vec![],
            own_network: false,
        };
        let listed = task.of_process(&[]);
        let texts: Vec<_> = listed.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(
            texts,
            [
                ("CF_INSTANCE_IP", "::1"),
                ("CF_INSTANCE_PORT", ""),
                ("CF_INSTANCE_ADDR", ""),
                ("CF_INSTANCE_PORTS", "[]")
            ]
        );
    }
}
