//! Which members of a manifest are kept and shown, but not enforced by cells that run processes of the host.

use capstan_model::lrp::egress::EgressRule;
use http::{HeaderName, HeaderValue};

use crate::answer::Answer;

/// `X-Capstan-Not-Enforced`: the names of such members, so that nobody relies on them unawares.
const NOT_ENFORCED: HeaderName = HeaderName::from_static("x-capstan-not-enforced");

/// What a manifest asks for and no such cell enforces.
pub(super) struct Asked<'a> {
    pub(super) disk_mb: u32,
    pub(super) egress_rules: &'a [EgressRule],
    pub(super) privileged: bool,
}

/// Says in the answer to a creation what of it is not enforced.
pub(super) fn told(mut answer: Answer, asked: &Asked<'_>) -> Answer {
    let members = [
        ("disk_mb", asked.disk_mb > 0),
        ("egress_rules", !asked.egress_rules.is_empty()),
        ("privileged", asked.privileged),
    ];
    let names: Vec<&str> = members.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name).collect();
    if !names.is_empty() {
        let value = HeaderValue::try_from(names.join(", ")).expect("names of members are legal in a header");
        answer.headers_mut().insert(NOT_ENFORCED, value);
    }
    answer
}
