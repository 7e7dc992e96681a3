use std::sync::Arc;

use capstan_model::{
    ids::Incarnation,
    lrp::{
        actual::{InstanceKey, Needs, PortMapping},
        cell::{Capacity, RootfsProviders},
        isolation::Isolation,
        tag::ModificationTag,
        validate,
    },
};
use http::StatusCode;
use serde::Serialize;

use super::*;
use crate::receptor::{answer, go_json::from_body};

const TAG: ModificationTag = ModificationTag { epoch: 0x11111111_2222_4333_8444_555555555555, index: 13 };
const TAG_SHOWN: &str = r#""modification_tag":{"epoch":"11111111-2222-4333-8444-555555555555","index":13}"#;

fn json(shown: &impl Serialize) -> String {
    let body = answer::json(StatusCode::OK, shown).into_body();
    String::from_utf8(body.into_whole().to_vec()).unwrap()
}

/// What is answered of an LRP that was desired with this body.
fn desired_with(body: &str) -> String {
    let valid = validate::desired(from_body(body.as_bytes()).unwrap()).unwrap();
    json(&desired(&Desired {
        guid: valid.process_guid,
        definition: Arc::new(valid.definition),
        changeable: valid.changeable,
        tag: TAG,
    }))
}

fn record(phase: Phase) -> Actual {
    Actual {
        domain: "apps".into(),
        needs: Needs::default(),
        phase,
        crash_count: 2,
        crash_reason: "".into(),
        since: Timestamp(1_795_184_892_022_392_276),
        tag: TAG,
    }
}

fn shown(presence: Presence, record: &Actual) -> String {
    json(&actual(&ActualKey::new(&"p1".parse().unwrap(), 4), presence, record))
}

#[test]
fn a_desired_lrp_is_what_was_sent_and_its_tag() {
    // The recorded session of 2015: what was sent, and the answer but for the tag.
    let sent = r#"{"process_guid":"web-1","domain":"apps","rootfs":"preloaded:cflinuxfs2","instances":2,"env":[{"name":"A","value":"1"}],"setup":{"serial":{"actions":[{"download":{"from":"http://127.0.0.1/f.tgz","to":"/tmp","cache_key":"","user":"vcap"}}]}},"action":{"run":{"path":"/bin/sleep","args":["1000"],"user":"vcap"}},"monitor":{"timeout":{"action":{"run":{"path":"/bin/true","user":"vcap"}},"timeout":30000000000}},"start_timeout":60,"disk_mb":128,"memory_mb":64,"cpu_weight":50,"privileged":false,"ports":[8080,2222],"routes":{"cf-router":[{"hostnames":["web.example.com"],"port":8080}]},"log_guid":"lg","log_source":"APP","metrics_guid":"mg","annotation":"note","egress_rules":[{"protocol":"tcp","destinations":["0.0.0.0/0"],"ports":[80,443],"log":false}]}"#;
    let answered = format!("{},{TAG_SHOWN}}}", sent.strip_suffix('}').unwrap());
    assert_eq!(desired_with(sent), answered);
}

#[test]
fn what_was_not_sent_is_omitted_null_or_zero() {
    let sent = r#"{"process_guid":"p1","domain":"apps","rootfs":"preloaded:x","instances":1,"action":{"run":{"path":"/bin/true","user":"vcap"}},"ports":[8080],"memory_mb":1,"disk_mb":1}"#;
    let answered = format!(
        r#"{{"process_guid":"p1","domain":"apps","rootfs":"preloaded:x","instances":1,"setup":null,"action":{{"run":{{"path":"/bin/true","user":"vcap"}}}},"monitor":null,"start_timeout":0,"disk_mb":1,"memory_mb":1,"cpu_weight":0,"privileged":false,"ports":[8080],"log_guid":"","log_source":"","metrics_guid":"",{TAG_SHOWN}}}"#
    );
    assert_eq!(desired_with(sent), answered);
    let without_ports =
        r#"{"process_guid":"p","domain":"d","rootfs":"a:b","action":{"run":{"path":"p","user":"u"}}}"#;
    assert!(desired_with(without_ports).contains(r#""ports":[],"log_guid""#));
}

#[test]
fn every_kind_of_action_keeps_its_members_in_order() {
    let actions = [
        r#"{"download":{"artifact":"a","from":"f","to":"t","cache_key":"c","log_source":"l","user":"u"}}"#,
        r#"{"upload":{"artifact":"a","from":"f","to":"t","log_source":"l","user":"u"}}"#,
        r#"{"upload":{"from":"f","to":"t","user":"u"}}"#,
        r#"{"run":{"path":"p","args":["\u003c\u0026"],"dir":"d","env":[{"name":"","value":""}],"resource_limits":{"nofile":0},"user":"u","log_source":"l"}}"#,
        r#"{"emit_progress":{"action":{"run":{"path":"p","user":"u"}},"start_message":"","success_message":"","failure_message_prefix":""}}"#,
        r#"{"try":{"action":{"run":{"path":"p","user":"u"}},"log_source":"l"}}"#,
        r#"{"parallel":{"actions":[{"run":{"path":"p","user":"u"}}],"log_source":"l"}}"#,
        r#"{"run":{"path":"p","user":"u"},"serial":{},"codependent":{"actions":[null,{}]}}"#,
    ];
    for action in actions {
        let sent = format!(r#"{{"process_guid":"p","domain":"d","rootfs":"a:b","action":{action}}}"#);
        let answered = desired_with(&sent);
        assert!(answered.contains(&format!(r#""action":{action},"monitor":"#)), "{action}\n{answered}");
    }
}

#[test]
fn routes_are_sorted_compact_and_escaped_with_their_insides_in_order() {
    let sent = r#"{"process_guid":"p","domain":"d","rootfs":"a:b","action":{"run":{"path":"p","user":"u"}},"routes":{"b": { "z" : 1e5, "a" : "<" }, "a": [ 1.0 ]}}"#;
    assert!(desired_with(sent).contains(r#""routes":{"a":[1.0],"b":{"z":1e5,"a":"\u003c"}},"log_guid""#));
}

#[test]
fn egress_rules_always_show_log() {
    let rules = r#"[{"protocol":"tcp","destinations":["1.1.1.1"],"port_range":{"start":1,"end":2},"log":true},{"protocol":"icmp","destinations":["1.1.1.1"],"icmp_info":{"type":0,"code":-1},"log":false}]"#;
    let sent = format!(
        r#"{{"process_guid":"p","domain":"d","rootfs":"a:b","action":{{"run":{{"path":"p","user":"u"}}}},"egress_rules":{rules}}}"#
    );
    assert!(desired_with(&sent).contains(&format!(r#""egress_rules":{rules},"#)));
}

#[test]
fn a_running_record_tells_where_and_how_it_is_reached() {
    let cell = Incarnation { node: NodeId(7), boot: 1, nonce: 2 };
    let instance = InstanceKey { instance_guid: 0xabc, cell };
    let port = PortMapping { container_port: 8080, host_port: 61_001 };
    let net = NetInfo { address: "10.0.0.1".into(), ports: vec![port] };
    let running = record(Phase::Running { instance, net: Arc::new(net), stopping: None });
    let expected = format!(
        r#"{{"process_guid":"p1","instance_guid":"00000000-0000-0000-0000-000000000abc","cell_id":"cell-7","domain":"apps","index":4,"address":"10.0.0.1","ports":[{{"container_port":8080,"host_port":61001}}],"state":"RUNNING","crash_count":2,"since":1795184892022392276,"evacuating":true,{TAG_SHOWN}}}"#
    );
    assert_eq!(shown(Presence::Evacuating, &running), expected);
    let claimed = shown(Presence::Ordinary, &record(Phase::Claimed { instance, stopping: None }));
    assert!(claimed.contains(
        r#""cell_id":"cell-7","domain":"apps","index":4,"address":"","ports":null,"state":"CLAIMED""#
    ));
}

#[test]
fn a_waiting_record_tells_why() {
    let unclaimed = record(Phase::Unclaimed { placement_error: "insufficient resources".into() });
    let expected = format!(
        r#"{{"process_guid":"p1","instance_guid":"","cell_id":"","domain":"apps","index":4,"address":"","ports":null,"state":"UNCLAIMED","crash_count":2,"placement_error":"insufficient resources","since":1795184892022392276,"evacuating":false,{TAG_SHOWN}}}"#
    );
    assert_eq!(shown(Presence::Ordinary, &unclaimed), expected);
    let crashed = Actual { crash_reason: "Exited with status 1".into(), ..record(Phase::Crashed) };
    let crashed = shown(Presence::Ordinary, &crashed);
    assert!(
        crashed
            .contains(r#""state":"CRASHED","crash_count":2,"crash_reason":"Exited with status 1","since":"#)
    );
}

#[test]
fn a_cell_tells_all_it_has_and_offers() {
    let shown = cell(
        NodeId(1),
        &Cell {
            incarnation: Incarnation { node: NodeId(1), boot: 1, nonce: 2 },
            zone: "z1".into(),
            capacity: Capacity { memory_mb: 1024, disk_mb: 2048, containers: 256 },
            rootfs: RootfsProviders { preloaded: vec!["cflinuxfs2".into()], schemes: vec!["docker".into()] },
            isolation: Isolation::default(),
            silent: false,
            evacuating: false,
        },
    );
    let expected = r#"{"cell_id":"cell-1","zone":"z1","capacity":{"memory_mb":1024,"disk_mb":2048,"containers":256},"rootfs_providers":{"docker":[],"preloaded":["cflinuxfs2"]}}"#;
    assert_eq!(json(&shown), expected);
}
