use capstan_model::{
    lrp::{
        action::{Action, Kind},
        validate,
    },
    task,
};

use super::*;
use crate::receptor::go_json::from_body;

/// What the client of 2015 sent in the recorded session.
const RECORDED: &str = r#"{"process_guid":"web-1","domain":"apps","rootfs":"preloaded:cflinuxfs2","instances":2,"env":[{"name":"A","value":"1"}],"setup":{"serial":{"actions":[{"download":{"from":"http://127.0.0.1/f.tgz","to":"/tmp","cache_key":"","user":"vcap"}}]}},"action":{"run":{"path":"/bin/sleep","args":["1000"],"user":"vcap"}},"monitor":{"timeout":{"action":{"run":{"path":"/bin/true","user":"vcap"}},"timeout":30000000000}},"start_timeout":60,"disk_mb":128,"memory_mb":64,"cpu_weight":50,"privileged":false,"ports":[8080,2222],"routes":{"cf-router":[{"hostnames":["web.example.com"],"port":8080}]},"log_guid":"lg","log_source":"APP","metrics_guid":"mg","annotation":"note","egress_rules":[{"protocol":"tcp","destinations":["0.0.0.0/0"],"ports":[80,443],"log":false}]}"#;

fn desired(body: &str) -> Result<validate::ValidDesired, String> {
    let draft: DesiredDraft = from_body(body.as_bytes()).map_err(|error| format!("InvalidJSON {error}"))?;
    validate::desired(draft).map_err(|faults| faults.to_string())
}

fn action(text: &str) -> Result<Action, String> {
    let body = format!(r#"{{"process_guid":"p","domain":"d","rootfs":"a:b","action":{text}}}"#);
    desired(&body).map(|valid| valid.definition.action)
}

#[test]
fn the_recorded_body_is_read_whole() {
    let valid = desired(RECORDED).unwrap();
    let (definition, changeable) = (&valid.definition, &valid.changeable);
    assert_eq!(
        (valid.process_guid.as_str(), changeable.instances, &*changeable.annotation),
        ("web-1", 2, "note")
    );
    assert_eq!(&*changeable.routes["cf-router"], r#"[{"hostnames":["web.example.com"],"port":8080}]"#);
    assert_eq!((definition.start_timeout_secs, definition.disk_mb, definition.memory_mb), (60, 128, 64));
    assert_eq!((definition.cpu_weight, &*definition.ports), (50, &[8080, 2222][..]));
    assert_eq!(
        (&*definition.log_guid, &*definition.log_source, &*definition.metrics_guid),
        ("lg", "APP", "mg")
    );
    assert_eq!((&*definition.env[0].name, &*definition.env[0].value), ("A", "1"));
    assert_eq!(definition.egress_rules[0].ports, [80, 443]);
    let Some(Kind::Timeout(timeout)) = definition.monitor.as_ref().and_then(Action::kind) else { panic!() };
    assert_eq!(timeout.timeout_ns, 30_000_000_000);
    let Some(Kind::Serial(list)) = definition.setup.as_ref().and_then(Action::kind) else { panic!() };
    assert!(matches!(list.actions[0].as_ref().and_then(Action::kind), Some(Kind::Download(_))));
}

#[test]
fn every_member_of_an_action_is_read() {
    let run = r#"{"run":{"path":"p","args":["a"],"dir":"d","env":[{"name":"","value":"v"}],"resource_limits":{"nofile":1024},"user":"u","log_source":"l"}}"#;
    let Some(Kind::Run(run)) = action(run).unwrap().kinds.pop() else { panic!() };
    assert_eq!(
        (run.resource_limits.nofile, &*run.dir, &*run.log_source, &*run.env[0].value),
        (Some(1024), "d", "l", "v")
    );
    let upload = r#"{"upload":{"artifact":"a","from":"f","to":"t","user":"u","log_source":"l"}}"#;
    let Some(Kind::Upload(upload)) = action(upload).unwrap().kinds.pop() else { panic!() };
    assert_eq!((&*upload.artifact, &*upload.from, &*upload.to), ("a", "f", "t"));
    let progress = r#"{"emit_progress":{"action":{"try":{"action":{"run":{"path":"p","user":"u"}}}},"start_message":"a","success_message":"b","failure_message_prefix":"c"}}"#;
    let Some(Kind::EmitProgress(progress)) = action(progress).unwrap().kinds.pop() else { panic!() };
    assert_eq!(
        (&*progress.start_message, &*progress.success_message, &*progress.failure_message_prefix),
        ("a", "b", "c")
    );
    assert!(matches!(progress.action.as_deref().and_then(Action::kind), Some(Kind::Try(_))));
}

#[test]
fn several_kinds_are_kept_in_the_order_they_count_in() {
    let kinds = action(r#"{"codependent":{"actions":[null]},"run":{"path":"p","user":"u"},"parallel":null}"#)
        .unwrap()
        .kinds;
    assert!(matches!(&kinds[..], [Kind::Run(_), Kind::Codependent(_)]), "{kinds:?}");
}

#[test]
fn faults_have_the_texts_of_the_contract() {
    let cases = [
        ("null", "invalid action type"),
        ("{}", "Invalid field: action, Invalid field: inner-action"),
        (r#"{"zzz":{}}"#, "Invalid field: action, Invalid field: inner-action"),
        (r#"{"run":null}"#, "Invalid field: action, Invalid field: inner-action"),
        (r#"{"try":{"action":{}}}"#, "Invalid field: action, Invalid field: inner-action"),
        (r#"{"run":{"user":"u"}}"#, "Invalid field: action, Invalid field: path"),
        (
            r#"{"timeout":{"action":{"run":{"user":"u"}},"timeout":-1}}"#,
            "Invalid field: action, Invalid field: path, Invalid field: timeout",
        ),
        (
            r#"{"serial":{"actions":[{"run":{"path":"p","user":"u"}},null]}}"#,
            "Invalid field: action, Invalid field: action at index 1",
        ),
        (r#"{"parallel":{}}"#, "Invalid field: action, Invalid field: actions"),
    ];
    for (text, expected) in cases {
        assert_eq!(action(text), Err(expected.to_owned()), "{text}");
    }
    assert_eq!(desired("null").unwrap_err(), desired("{}").unwrap_err());
}

#[test]
fn nulls_in_lists_are_refused_and_crash_nothing() {
    let with = |member: &str| {
        format!(
            r#"{{"process_guid":"p","domain":"d","rootfs":"a:b","action":{{"run":{{"path":"p","user":"u"}}}},{member}}}"#
        )
    };
    let cases = [
        (r#""env":[null]"#, "invalid field: name cannot be blank"),
        (r#""routes":{"r":null}"#, "Invalid field: routes"),
        (
            r#""egress_rules":[null]"#,
            "Invalid field: egress_rules, Invalid field: protocol, Invalid field: destinations [ Must have at least 1 destination ]",
        ),
    ];
    for (member, expected) in cases {
        assert_eq!(desired(&with(member)).unwrap_err(), expected, "{member}");
    }
    let told = action(r#"{"run":{"path":"p","user":"u","env":[null]}}"#).unwrap_err();
    assert!(told.starts_with("InvalidJSON Invalid field: env"), "{told}");
}

#[test]
fn types_are_checked_before_rules() {
    for member in [
        r#""instances":"x""#,
        r#""instances":1.0"#,
        r#""cpu_weight":-1"#,
        r#""ports":[65536]"#,
        r#""start_timeout":-1"#,
        r#""egress_rules":[{"ports":[4294967296]}]"#,
        r#""action":[]"#,
        r#""routes":[]"#,
    ] {
        let told = desired(&format!("{{{member}}}")).unwrap_err();
        assert!(told.starts_with("InvalidJSON "), "{member}: {told}");
    }
}

#[test]
fn updates_tell_absent_from_empty() {
    let read = |body: &str| from_body::<UpdateDraft>(body.as_bytes()).unwrap();
    assert_eq!(read("null"), UpdateDraft::default());
    assert_eq!(
        read(r#"{"instances":null,"routes":null,"annotation":null,"domain":"x"}"#),
        UpdateDraft::default()
    );
    let full = read(r#"{"instances":0,"routes":{},"annotation":""}"#);
    assert_eq!(
        full,
        UpdateDraft { instances: Some(0), routes: Some([].into()), annotation: Some("".into()) }
    );
}

#[test]
fn a_task_is_read_whole() {
    let body = r#"{"action":{"run":{"path":"/bin/true","user":"vcap"}},"annotation":"n","completion_callback_url":"http://127.0.0.1:1/cb","cpu_weight":3,"disk_mb":10,"domain":"apps","log_guid":"a","log_source":"b","metrics_guid":"c","memory_mb":11,"result_file":"/tmp/r","task_guid":"t1","rootfs":"preloaded:cflinuxfs2","privileged":true,"env":[{"name":"A","value":"1"}],"egress_rules":[{"protocol":"all","destinations":["1.1.1.1"]}]}"#;
    let (guid, task) = task::validate::task(from_body(body.as_bytes()).unwrap()).unwrap();
    assert_eq!(
        (guid.as_str(), &*task.domain, &*task.rootfs, &*task.annotation),
        ("t1", "apps", "preloaded:cflinuxfs2", "n")
    );
    assert_eq!((task.cpu_weight, task.disk_mb, task.memory_mb, task.privileged), (3, 10, 11, true));
    assert_eq!((&*task.result_file, &*task.completion_callback_url), ("/tmp/r", "http://127.0.0.1:1/cb"));
    assert_eq!((&*task.log_guid, &*task.log_source, &*task.metrics_guid), ("a", "b", "c"));
    assert_eq!((task.env.len(), task.egress_rules.len()), (1, 1));
}
