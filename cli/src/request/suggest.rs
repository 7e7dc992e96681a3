//! Help for those who start a request under the wrong name or with the wrong args.

use std::fmt::Write as _;

use capstan_client::spin_cycle::{ArgKind, RequestArg, RequestListEntry};
use capstan_model::spec::did_you_mean;
use serde_json::{Map, Value};

use crate::{
    failure::{Exit, Failure},
    text::escape,
};

/// Checks what is to be started against what the cluster offers.
///
/// The server ignores args it does not know; a caller who misspelled an optional one should hear of it instead.
pub(super) fn check(
    name: &str,
    args: &Map<String, Value>,
    offered: &[RequestListEntry],
) -> Result<(), Failure> {
    let Some(entry) = offered.iter().find(|entry| entry.name == name) else {
        return Err(unknown_request(name, offered));
    };
    let names = || entry.args.iter().map(|arg| arg.name.as_str());
    if let Some(unknown) = args.keys().find(|given| names().all(|known| known != given.as_str())) {
        let message =
            format!("{name} has no arg {unknown}{}\n{}", did_you_mean(unknown, names()), described(entry));
        return Err(Failure::new(Exit::Usage, message, usage(entry)));
    }
    let required = entry.args.iter().filter(|arg| arg.kind == ArgKind::Required);
    let missing: Vec<&str> =
        required.map(|arg| arg.name.as_str()).filter(|arg| !args.contains_key(*arg)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("{name} needs {}\n{}", missing.join(", "), described(entry));
    Err(Failure::new(Exit::Usage, message, usage(entry)))
}

fn unknown_request(name: &str, offered: &[RequestListEntry]) -> Failure {
    let names = || offered.iter().map(|entry| entry.name.as_str());
    if offered.is_empty() {
        let next = "start the nodes with --specs, a folder with request specs";
        return Failure::new(
            Exit::NotFound,
            format!("there is no request {name}: the nodes have no specs"),
            next,
        );
    }
    let message = format!("there is no request {name}{}", did_you_mean(name, names()));
    let all = names().collect::<Vec<_>>().join(", ");
    Failure::new(Exit::NotFound, message, format!("start one of: {all}"))
}

/// The args of a request, one line each, as `spinc help` shows them.
fn described(entry: &RequestListEntry) -> String {
    if entry.args.is_empty() {
        return format!("{} has no args", entry.name);
    }
    let width = entry.args.iter().map(|arg| arg.name.chars().count()).max().unwrap_or(0);
    let mut text = format!("args of {} (* required):", entry.name);
    for arg in &entry.args {
        let mark = if arg.kind == ArgKind::Required { '*' } else { ' ' };
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {mark} {:width$}  {}", arg.name, escape::line(&meaning(arg)));
    }
    text
}

fn meaning(arg: &RequestArg) -> String {
    match (&arg.default, arg.kind) {
        (_, ArgKind::Required) => arg.desc.clone(),
        (Value::String(default), _) => format!("{} (default: {default})", arg.desc),
        (default, _) => format!("{} (default: {default})", arg.desc),
    }
}

fn usage(entry: &RequestListEntry) -> String {
    let required = entry.args.iter().filter(|arg| arg.kind == ArgKind::Required);
    let args: String = required.map(|arg| format!(" {}=...", arg.name)).collect();
    format!("capstan request start {}{args}", entry.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Told;

    fn offered() -> Vec<RequestListEntry> {
        let arg = |name: &str, kind, default| RequestArg {
            pos: 0,
            name: name.to_owned(),
            desc: format!("what {name} is"),
            kind,
            given: false,
            default,
            value: Value::Null,
        };
        vec![
            RequestListEntry { name: "one".to_owned(), args: vec![] },
            RequestListEntry {
                name: "pack-logs".to_owned(),
                args: vec![
                    arg("dir", ArgKind::Required, Value::Null),
                    arg("pattern", ArgKind::Optional, Value::from("*.log")),
                ],
            },
        ]
    }

    fn told(name: &str, args: &[&str]) -> Option<Told> {
        let args = args.iter().map(|name| ((*name).to_owned(), Value::from("x"))).collect();
        match check(name, &args, &offered()) {
            Ok(()) => None,
            Err(Failure::Told(told)) => Some(told),
            Err(other) => panic!("{other:?} is not told"),
        }
    }

    #[test]
    fn a_name_that_is_nearly_right_is_corrected() {
        let told = told("pack-log", &[]).unwrap();
        assert_eq!(told.message, "there is no request pack-log; did you mean pack-logs?");
        assert_eq!((told.exit, told.next.as_str()), (Exit::NotFound, "start one of: one, pack-logs"));
    }

    #[test]
    fn a_name_like_none_is_not_guessed_at() {
        assert_eq!(told("zzzzzz", &[]).unwrap().message, "there is no request zzzzzz");
    }

    #[test]
    fn a_missing_arg_is_explained() {
        let told = told("pack-logs", &["pattern"]).unwrap();
        let expected = concat!(
            "pack-logs needs dir\n",
            "args of pack-logs (* required):\n",
            "  * dir      what dir is\n",
            "    pattern  what pattern is (default: *.log)"
        );
        assert_eq!(told.message, expected);
        assert_eq!((told.exit, told.next.as_str()), (Exit::Usage, "capstan request start pack-logs dir=..."));
    }

    #[test]
    fn a_misspelled_arg_is_refused_before_it_is_ignored() {
        let told = told("pack-logs", &["dir", "patern"]).unwrap();
        assert!(
            told.message.starts_with("pack-logs has no arg patern; did you mean pattern?\n"),
            "{}",
            told.message
        );
    }

    #[test]
    fn what_is_complete_passes() {
        assert_eq!(told("one", &[]), None);
        assert_eq!(told("pack-logs", &["dir"]), None);
    }
}
