//! Manifests: files in JSON or YAML in the shape of a body under `/v1`.

use std::{fs, io::Read, path::Path};

use capstan_model::spec::did_you_mean;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    console::Console,
    failure::{Exit, Failure},
};

/// The members of a desired LRP.
pub(crate) const LRP: &[&str] = &[
    "action",
    "annotation",
    "cpu_weight",
    "disk_mb",
    "domain",
    "egress_rules",
    "env",
    "instances",
    "log_guid",
    "log_source",
    "memory_mb",
    "metrics_guid",
    "monitor",
    "ports",
    "privileged",
    "process_guid",
    "rootfs",
    "routes",
    "setup",
    "start_timeout",
];

/// The members of a task.
pub(crate) const TASK: &[&str] = &[
    "action",
    "annotation",
    "completion_callback_url",
    "cpu_weight",
    "disk_mb",
    "domain",
    "egress_rules",
    "env",
    "log_guid",
    "log_source",
    "memory_mb",
    "metrics_guid",
    "privileged",
    "result_file",
    "rootfs",
    "task_guid",
];

/// Reads a manifest from a file, or from standard input if that is `-`.
///
/// The server ignores members it does not know; an owner who misspelled one, and would get no instance, should hear of it instead.
///
/// # Errors
/// It cannot be read, or is not of that shape; what the rules of LRPs and tasks say of it is for the server to tell.
pub(crate) fn read<T: DeserializeOwned>(
    file: &Path,
    members: &[&str],
    console: &mut Console,
) -> Result<T, Failure> {
    let text = text_of(file, console)?;
    let wrong = |reason: &str| wrong(file, reason);
    // YAML has no use for what begins like an object of JSON, and JSON says better where it is wrong.
    let is_json = text.trim_start().starts_with('{');
    let found: Map<String, Value> = if is_json {
        serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))?
    } else {
        serde_saphyr::from_str(&text).map_err(|error| wrong(&error.to_string()))?
    };
    if found.is_empty() {
        return Err(wrong("there is nothing in it"));
    }
    if let Some(unknown) = found.keys().find(|name| !members.contains(&name.as_str())) {
        let near = did_you_mean(unknown, members.iter().copied());
        return Err(wrong(&format!("there is no member {unknown}{near}")));
    }
    if is_json {
        return serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()));
    }
    // Routes keep their text, which only a reader of text can give them. Its lines are not those of the file.
    serde_json::from_str(&Value::Object(found).to_string()).map_err(|error| {
        let told = error.to_string();
        wrong(told.split(" at line ").next().unwrap_or(&told))
    })
}

fn text_of(file: &Path, console: &mut Console) -> Result<String, Failure> {
    if file == Path::new("-") {
        let mut text = String::new();
        console.input.read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(file).map_err(|error| {
        let message = format!("cannot read {}: {error}", file.display());
        Failure::new(Exit::Usage, message, "name a file in JSON or YAML, or - for standard input")
    })
}

fn wrong(file: &Path, reason: &str) -> Failure {
    let name = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    Failure::new(Exit::Usage, format!("{name}: {reason}"), "correct it; its shape is that of Diego's API")
}

#[cfg(test)]
mod tests {
    use std::io;

    use capstan_client::receptor::{DesiredLrpCreate, TaskCreate};

    use super::*;
    use crate::console::Terminal;

    fn given<T: DeserializeOwned>(text: &'static str, members: &[&str]) -> Result<T, String> {
        let mut console = Console {
            input: Box::new(text.as_bytes()),
            out: Box::new(io::sink()),
            err: Box::new(io::sink()),
            terminal: Terminal::default(),
            now: || panic!("a manifest has no time"),
        };
        read(Path::new("-"), members, &mut console).map_err(|failure| match failure {
            Failure::Told(told) => told.message,
            other => panic!("{other:?} is told"),
        })
    }

    #[test]
    fn the_members_are_those_of_upstreams_bodies() {
        let sorted = |text: &str| {
            let body: Map<String, Value> = serde_json::from_str(text).unwrap();
            let mut names: Vec<String> = body.keys().cloned().collect();
            names.sort();
            names
        };
        let lrp = sorted(include_str!("../../client/tests/receptor/desired_lrp_create.json"));
        assert_eq!(lrp, LRP);
        let written = serde_json::to_string(&TaskCreate::default()).unwrap();
        assert!(sorted(&written).iter().all(|name| TASK.contains(&name.as_str())), "{written}");
    }

    #[test]
    fn json_and_yaml_say_the_same() {
        let json = r#"{"process_guid":"p","instances":2,"action":{"run":{"path":"a","user":"u"}},
            "routes":{"cf-router":[{"port":8080,"hostnames":["h"]}]}}"#;
        let yaml = "process_guid: p\ninstances: 2\naction:\n  run: {path: a, user: u}\n\
            routes:\n  cf-router:\n    - port: 8080\n      hostnames: [h]\n";
        for text in [json, yaml] {
            let create: DesiredLrpCreate = given(text, LRP).unwrap();
            assert_eq!((&*create.process_guid, create.instances), ("p", 2));
            assert_eq!(create.action.unwrap().run.unwrap().path, "a");
            let routes: Value = serde_json::from_str(create.routes["cf-router"].get()).unwrap();
            assert_eq!(routes[0]["port"], 8080);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            (
                "{\"process_guid\":1}",
                "standard input: invalid type: integer `1`, expected a string at line 1",
            ),
            ("{\"process_guid\":", "standard input: EOF while parsing"),
            ("instances: many\n", "standard input: invalid type: string \"many\", expected i64"),
            ("instance: 3\n", "standard input: there is no member instance; did you mean instances?"),
            ("- 1\n", "standard input: "),
            ("", "standard input: there is nothing in it"),
            ("{}", "standard input: there is nothing in it"),
        ];
        for (text, expected) in cases {
            let error = given::<DesiredLrpCreate>(text, LRP).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
        let error = given::<DesiredLrpCreate>("instances: many\n", LRP).unwrap_err();
        assert!(!error.contains("line"), "{error}");
    }
}
