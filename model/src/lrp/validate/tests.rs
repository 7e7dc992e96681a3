use std::collections::BTreeMap;

use super::*;
use crate::lrp::action::{Download, EmitProgress, Kind, List, Run, Timeout, Try, Upload};
use crate::lrp::egress::{IcmpInfo, PortRange};

/// A change of a draft that is legal without it, and what is then wrong with it: the fields, or whole texts.
type Case = (fn(&mut DesiredDraft), &'static [&'static str]);

fn draft() -> DesiredDraft {
    DesiredDraft {
        process_guid: "p".into(),
        domain: "d".into(),
        rootfs: "preloaded:x".into(),
        instances: 1,
        action: Some(run("path", "user")),
        ..DesiredDraft::default()
    }
}

fn wrapped(kind: Kind) -> Action {
    Action { kinds: vec![kind] }
}

fn run(path: &str, user: &str) -> Action {
    wrapped(Kind::Run(Run { path: path.into(), user: user.into(), ..Run::default() }))
}

fn boxed(action: Action) -> Option<Box<Action>> {
    Some(Box::new(action))
}

fn list(actions: Vec<Option<Action>>) -> List {
    List { actions, log_source: "".into() }
}

fn rule(protocol: &str) -> EgressRule {
    EgressRule { protocol: protocol.into(), destinations: vec!["0.0.0.0/0".into()], ..EgressRule::default() }
}

/// A name alone stands for `Invalid field: NAME`.
fn text(faults: &[&str]) -> String {
    let whole = |fault: &&str| match *fault {
        text if text.starts_with(['I', 'M']) || text.starts_with("invalid ") => text.to_owned(),
        name => format!("Invalid field: {name}"),
    };
    faults.iter().map(whole).collect::<Vec<_>>().join(", ")
}

fn check(cases: &[Case]) {
    for (change, expected) in cases {
        let mut draft = draft();
        change(&mut draft);
        let told = desired(draft).err().map(|faults| faults.to_string()).unwrap_or_default();
        assert_eq!(told, text(expected));
    }
}

#[test]
fn fields_are_bounded() {
    check(&[
        (|_| {}, &[]),
        (|d| d.domain = "".into(), &["domain"]),
        (|d| d.domain = "any ∆ text".into(), &[]),
        (|d| d.process_guid = "a-Z_0".into(), &[]),
        (|d| d.process_guid = "".into(), &["process_guid"]),
        (|d| d.process_guid = "abc def".into(), &["process_guid"]),
        (|d| d.process_guid = "abc/def".into(), &["process_guid"]),
        (|d| d.process_guid = "abc,def".into(), &["process_guid"]),
        (|d| d.process_guid = "abc.def".into(), &["process_guid"]),
        (|d| d.process_guid = "abc∆def".into(), &["process_guid"]),
        (|d| d.process_guid = "abc\n".into(), &["process_guid"]),
        (|d| d.rootfs = "".into(), &["rootfs", "rootfs"]),
        (|d| d.rootfs = "ploop".into(), &["rootfs"]),
        (|d| d.rootfs = "docker:///busybox#1".into(), &[]),
        (|d| d.instances = 0, &[]),
        (|d| d.instances = -1, &["instances"]),
        (|d| d.instances = i64::from(INSTANCES_MAX), &[]),
        (|d| d.instances = i64::from(INSTANCES_MAX) + 1, &["instances"]),
        (|d| d.instances = 4_294_967_297, &["instances"]),
        (|d| d.cpu_weight = 100, &[]),
        (|d| d.cpu_weight = 101, &["cpu_weight"]),
        (|d| d.cpu_weight = 4_294_967_296, &["cpu_weight"]),
        (|d| d.annotation = "x".repeat(10_240).into(), &[]),
        (|d| d.annotation = "x".repeat(10_241).into(), &["annotation"]),
        (|d| d.annotation = "é".repeat(5_121).into(), &["annotation"]),
        (|d| d.memory_mb = -1, &["memory_mb"]),
        (|d| d.memory_mb = 2_147_483_648, &["memory_mb"]),
        (|d| d.disk_mb = -1, &["disk_mb"]),
        (|d| d.start_timeout_secs = 4_294_967_295, &[]),
        (|d| d.start_timeout_secs = 4_294_967_296, &["start_timeout"]),
        (|d| d.env = vec![EnvVar::default()], &["invalid field: name cannot be blank"]),
    ]);
}

#[test]
fn all_faults_are_told_in_the_order_of_the_contract() {
    check(&[
        (
            |d| *d = DesiredDraft { process_guid: "x".into(), domain: "d".into(), ..Default::default() },
            &["rootfs", "rootfs", "invalid action type"],
        ),
        (
            |d| {
                *d = DesiredDraft {
                    setup: Some(Action::default()),
                    action: Some(run("", "")),
                    monitor: Some(run("p", "")),
                    instances: -1,
                    cpu_weight: 101,
                    annotation: "x".repeat(10_241).into(),
                    routes: BTreeMap::from([("r".into(), "null".into())]),
                    egress_rules: vec![EgressRule::default()],
                    memory_mb: -1,
                    disk_mb: -1,
                    start_timeout_secs: u64::MAX,
                    env: vec![EnvVar::default()],
                    ..Default::default()
                };
            },
            &[
                "domain",
                "process_guid",
                "rootfs",
                "rootfs",
                "setup",
                "inner-action",
                "action",
                "path",
                "user",
                "monitor",
                "user",
                "instances",
                "cpu_weight",
                "annotation",
                "routes",
                "egress_rules",
                "protocol",
                "destinations [ Must have at least 1 destination ]",
                "memory_mb",
                "disk_mb",
                "start_timeout",
                "invalid field: name cannot be blank",
            ],
        ),
    ]);
}

#[test]
fn routes_are_counted_as_sent_and_kept_without_blanks() {
    let value = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2)).into_boxed_str();
    let cases = [
        (vec![value(4_096)], true),
        (vec![value(4_097)], false),
        (vec![value(2_048), value(2_048)], true),
        (vec![value(2_048), value(2_049)], false),
        (vec![format!("[1,{}2]", " ".repeat(4_092)).into()], false),
        (vec!["null".into()], false),
        (vec!["[null]".into()], true),
    ];
    for (values, legal) in cases {
        let names = (0..).map(|at| format!("a long name that does not count {at}").into());
        let routes: RoutesDraft = names.zip(values).collect();
        let checked = desired(DesiredDraft { routes: routes.clone(), ..draft() });
        assert_eq!(checked.is_ok(), legal, "{routes:?}");
        let checked = update(UpdateDraft { routes: Some(routes), ..UpdateDraft::default() });
        assert_eq!(checked.err().map(|faults| faults.to_string()), (!legal).then(|| text(&["routes"])));
    }
    let routes = RoutesDraft::from([("r".into(), "[ 1, {\"b\": 2} ]".into())]);
    let kept = desired(DesiredDraft { routes, ..draft() }).unwrap().changeable.routes;
    assert_eq!(&*kept["r"], "[1,{\"b\":2}]");
}

#[test]
fn actions_say_what_they_lack() {
    check(&[
        (|d| d.action = None, &["invalid action type"]),
        (|d| d.action = Some(Action::default()), &["action", "inner-action"]),
        (|d| d.action = Some(run("", "u")), &["action", "path"]),
        (|d| d.action = Some(run("p", "")), &["action", "user"]),
        (
            |d| d.action = Some(wrapped(Kind::Download(Download::default()))),
            &["action", "from", "to", "user"],
        ),
        (|d| d.action = Some(wrapped(Kind::Upload(Upload::default()))), &["action", "to", "from", "user"]),
        (|d| d.action = Some(wrapped(Kind::Timeout(Timeout::default()))), &["action", "action", "timeout"]),
        (
            |d| {
                let timeout = Timeout { action: boxed(run("", "u")), timeout_ns: -1, ..Timeout::default() };
                d.action = Some(wrapped(Kind::Timeout(timeout)));
            },
            &["action", "path", "timeout"],
        ),
        (
            |d| {
                let timeout = Timeout { action: boxed(run("p", "u")), timeout_ns: 1, ..Timeout::default() };
                d.setup = Some(wrapped(Kind::Timeout(timeout)));
            },
            &[],
        ),
        (|d| d.action = Some(wrapped(Kind::Try(Try::default()))), &["action", "action"]),
        (
            |d| {
                let inner = Try { action: boxed(Action::default()), ..Try::default() };
                d.action = Some(wrapped(Kind::Try(inner)));
            },
            &["action", "inner-action"],
        ),
        (|d| d.action = Some(wrapped(Kind::EmitProgress(EmitProgress::default()))), &["action", "action"]),
        (|d| d.monitor = Some(wrapped(Kind::Parallel(List::default()))), &["monitor", "actions"]),
        (|d| d.setup = Some(wrapped(Kind::Serial(List::default()))), &["setup", "actions"]),
        (|d| d.setup = Some(wrapped(Kind::Codependent(List::default()))), &["setup", "actions"]),
        (
            |d| {
                let actions = vec![Some(run("p", "u")), None, Some(run("", ""))];
                d.action = Some(wrapped(Kind::Serial(list(actions))));
            },
            &["action", "action at index 1", "path", "user"],
        ),
        // Only the first of several kinds in one wrapper is looked at.
        (
            |d| {
                let kinds = vec![Kind::Upload(Upload::default()), Kind::Run(Run::default())];
                d.action = Some(Action { kinds });
            },
            &["action", "to", "from", "user"],
        ),
        (
            |d| {
                let mut both = run("p", "u");
                both.kinds.push(Kind::Serial(list(vec![None])));
                d.action = Some(both);
            },
            &[],
        ),
    ]);
}

#[test]
fn egress_rules_follow_their_protocol() {
    let range = |start, end| Some(PortRange { start, end });
    let icmp = Some(IcmpInfo::default());
    let cases: [(EgressRule, &[&str]); 25] = [
        (EgressRule { ports: vec![1, 65_535], log: true, ..rule("tcp") }, &[]),
        (EgressRule { port_range: range(1, 65_535), ..rule("tcp") }, &[]),
        (rule("tcp"), &["Missing required field: ports or port_range"]),
        (
            EgressRule { ports: vec![1], port_range: range(1, 2), ..rule("tcp") },
            &["Invalid: ports and port_range provided"],
        ),
        (EgressRule { ports: vec![0, 80, 65_536], ..rule("tcp") }, &["ports", "ports"]),
        (EgressRule { port_range: range(0, 0), ..rule("tcp") }, &["port_range", "port_range"]),
        (EgressRule { port_range: range(2, 1), ..rule("tcp") }, &["port_range"]),
        (EgressRule { port_range: range(1, 65_536), ..rule("tcp") }, &["port_range"]),
        (EgressRule { ports: vec![1], icmp_info: icmp, ..rule("tcp") }, &["icmp_info"]),
        (EgressRule { ports: vec![1], ..rule("udp") }, &[]),
        (
            EgressRule { log: true, icmp_info: icmp, ..rule("udp") },
            &["Missing required field: ports or port_range", "icmp_info", "log"],
        ),
        (EgressRule { icmp_info: icmp, ..rule("icmp") }, &[]),
        (
            EgressRule { ports: vec![1], port_range: range(1, 2), log: true, ..rule("icmp") },
            &["port_range", "ports", "icmp_info", "log"],
        ),
        (EgressRule { log: true, ..rule("all") }, &[]),
        (
            EgressRule { ports: vec![1], port_range: range(1, 2), icmp_info: icmp, ..rule("all") },
            &["port_range", "ports", "icmp_info"],
        ),
        (EgressRule { ports: vec![1], ..rule("TCP") }, &["protocol"]),
        (
            EgressRule { destinations: vec![], ..rule("all") },
            &["destinations [ Must have at least 1 destination ]"],
        ),
        (to(&["1.2.3.4", "::1", "1.2.3.4-1.2.4.0", "1.9.9.9-2.0.0.0", "::1-::2", "fe80::/10"]), &[]),
        (to(&["1.2.3.4-1.2.3.3"]), &["destinations [ Invalid IP ]"]),
        (to(&["1.2.3.4-x"]), &["destinations [ Invalid IP ]"]),
        (to(&["1.2.3.4/33"]), &["destinations [ invalid CIDR address: 1.2.3.4/33 ]"]),
        (to(&["1.2.3.4/"]), &["destinations [ invalid CIDR address: 1.2.3.4/ ]"]),
        (to(&["::/129"]), &["destinations [ invalid CIDR address: ::/129 ]"]),
        (to(&["example.com", "1.2.3", "1.2.3.4"]), &["destinations [ Invalid IP, Invalid IP ]"]),
        (
            EgressRule { protocol: "".into(), ..to(&["x/1"]) },
            &["protocol", "destinations [ invalid CIDR address: x/1 ]"],
        ),
    ];
    for (rule, expected) in cases {
        let draft = DesiredDraft { egress_rules: vec![rule.clone()], ..draft() };
        let told = desired(draft).err().map(|faults| faults.to_string()).unwrap_or_default();
        let expected = if expected.is_empty() { vec![] } else { [&["egress_rules"], expected].concat() };
        assert_eq!(told, text(&expected), "{rule:?}");
    }
}

fn to(destinations: &[&str]) -> EgressRule {
    let destinations = destinations.iter().map(|text| (*text).into()).collect();
    EgressRule { destinations, ..rule("all") }
}

#[test]
fn an_update_is_checked_like_what_it_changes() {
    let full =
        UpdateDraft { instances: Some(3), routes: Some(RoutesDraft::new()), annotation: Some("".into()) };
    let valid = update(full).unwrap();
    assert_eq!(
        (valid.instances, valid.routes, valid.annotation.as_deref()),
        (Some(3), Some(BTreeMap::new()), Some(""))
    );
    assert_eq!(update(UpdateDraft::default()).unwrap(), Update::default());
    let wrong = UpdateDraft {
        instances: Some(-1),
        routes: Some(RoutesDraft::from([("r".into(), "null".into())])),
        annotation: Some("x".repeat(10_241).into()),
    };
    assert_eq!(update(wrong).unwrap_err().to_string(), text(&["instances", "annotation", "routes"]));
}
