//! `/health`, `/ready` and `/metrics`: what supervisors, balancers and monitoring ask a node.

use capstan_raft_store::handle::Readiness;
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use serde::Serialize;

use crate::{
    answer::{self, Answer},
    service::Inner,
};

/// The body of `GET /ready`.
#[derive(Serialize)]
struct ReadyBody {
    ready: bool,
    /// For people; also what clients show.
    message: String,
    /// One sentence for each reason against it.
    reasons: Vec<String>,
}

/// The process answers, which is all that a supervisor wants to know.
pub(crate) fn alive() -> Answer {
    answer::json(StatusCode::OK, &serde_json::json!({ "status": "alive" }))
}

/// Whether calls should be sent to this node: 200, or 503 with the reasons.
pub(crate) fn ready(api: &Inner) -> Answer {
    let reasons = not_ready(api);
    if reasons.is_empty() {
        return answer::json(
            StatusCode::OK,
            &ReadyBody { ready: true, message: "ready".to_owned(), reasons },
        );
    }
    let body = ReadyBody { ready: false, message: reasons.join("; "), reasons };
    let mut answer = answer::json(StatusCode::SERVICE_UNAVAILABLE, &body);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// The node's metrics in the Prometheus text format.
pub(crate) fn metrics(api: &Inner) -> Answer {
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    answer::with_body(StatusCode::OK, content_type, api.parts.metrics.render())
}

/// Why this node should get no calls just now.
pub(crate) fn not_ready(api: &Inner) -> Vec<String> {
    let mut reasons = of_store(&api.parts.cluster.readiness());
    reasons.extend(api.parts.health.not_ready());
    let (view, me) = (api.parts.cluster.view(), api.parts.cluster.node_id());
    if view.state().nodes.get(&me).is_some_and(|record| record.draining) {
        reasons.push("this node is drained: it takes no new work".to_owned());
    }
    reasons
}

fn of_store(readiness: &Readiness) -> Vec<String> {
    let conditions = [
        (readiness.has_leader, "no leader is known, or it has not answered for a while"),
        (readiness.caught_up, "this node has not caught up with the log"),
        (readiness.joined, "this node has not joined the cluster yet"),
        (readiness.clock_sane, "this node's clock is more than 2 s from the median"),
        (readiness.disk_ok, "this node's disk is nearly full"),
        (readiness.state_agrees, "this node's state differs from the majority's"),
        (readiness.free_of_bugs, "a command has failed in apply because of a bug"),
    ];
    conditions.into_iter().filter(|(holds, _)| !holds).map(|(_, reason)| reason.to_owned()).collect()
}
