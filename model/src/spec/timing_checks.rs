//! The checks of what Capstan adds to the grammar, timeouts and waits that grow: `C1` to `C8`.

use std::sync::Arc;

use super::{
    Factor, Rule, Wait,
    finding::SequenceFindings,
    grammar::{Category, Node, Sequence},
    words::invalid,
    yaml::Text,
};

const TIMEOUT: &str = "a duration above zero, such as 30s, 5m or 1h30m";

/// A sequence has a timeout only as a request.
pub(super) fn check_sequence(body: &Sequence, findings: &mut SequenceFindings<'_>) {
    let Some(timeout) = given(body.timeout.as_ref()) else { return };
    if body.request != Some(true) {
        let message = "field 'timeout' is for sequences with 'request: true' only: it bounds a whole request; \
                       give the jobs of the sequence one each";
        findings.error(Rule::C2, timeout.at, message);
    }
    check_timeout(timeout, findings);
}

/// A node has a timeout only as one job, and a wait grows only where there is one.
pub(super) fn check_node(node: &Node, findings: &mut SequenceFindings<'_>) {
    if let Some(timeout) = given(node.timeout.as_ref()) {
        let other = match node.category() {
            Some(Category::Sequence) => Some("sequence"),
            Some(Category::Conditional) => Some("conditional"),
            Some(Category::Job) | None => None,
        };
        if let Some(category) = other {
            let message = format!(
                "field 'timeout' is for job nodes only, where it bounds each try: this is a {category}; give its jobs one each"
            );
            findings.error(Rule::C3, timeout.at, message);
        }
        if node.each.is_some() {
            let message = "field 'timeout' is not for nodes with 'each': put the job into a sequence, with its timeout, and \
                           expand that";
            findings.error(Rule::C4, timeout.at, message);
        }
        check_timeout(timeout, findings);
    }
    check_backoff(node, findings);
}

/// C1.
fn check_timeout(timeout: &Text, findings: &mut SequenceFindings<'_>) {
    if wait(timeout).is_none_or(|wait| wait.duration().is_zero()) {
        findings.error(Rule::C1, timeout.at, invalid("timeout", &timeout.value, TIMEOUT));
    }
}

/// C5 to C8.
fn check_backoff(node: &Node, findings: &mut SequenceFindings<'_>) {
    let retry_wait = given(node.retry_wait.as_ref());
    let backoff = given(node.retry_backoff.as_ref());
    let wait_max = given(node.retry_wait_max.as_ref());
    let retries = node.retry.as_ref().is_some_and(|retry| retry.value > 0);
    let named = [("retryBackoff", backoff), ("retryWaitMax", wait_max)];
    for (field, text) in named.into_iter().filter_map(|(field, text)| Some((field, text?))) {
        if !retries || retry_wait.is_none() {
            let message =
                format!("field '{field}' without 'retry' and 'retryWait': there is no wait that could grow");
            findings.error(Rule::C6, text.at, message);
        }
    }
    if let Some(backoff) = backoff
        && factor(backoff).is_none()
    {
        let expected = "a factor from 1 to 1000 with at most three decimals, such as 2 or 1.5";
        findings.error(Rule::C5, backoff.at, invalid("retryBackoff", &backoff.value, expected));
    }
    let Some(wait_max) = wait_max else { return };
    if backoff.is_none() {
        let message = "field 'retryWaitMax' without 'retryBackoff': the wait does not grow";
        findings.error(Rule::C7, wait_max.at, message);
    }
    match (wait(wait_max), retry_wait.and_then(wait)) {
        (None, _) => {
            let expected = "a duration such as 500ms, 30s or 1h30m";
            findings.error(Rule::C8, wait_max.at, invalid("retryWaitMax", &wait_max.value, expected));
        }
        (Some(max), Some(first)) if max.duration() < first.duration() => {
            let message = format!("field 'retryWaitMax' ({max}) is below 'retryWait' ({first})");
            findings.error(Rule::C8, wait_max.at, message);
        }
        (Some(_), _) => {}
    }
}

/// What was given, if not as the empty text.
fn given(text: Option<&Text>) -> Option<&Text> {
    text.filter(|text| !text.value.is_empty())
}

/// The duration a text is.
pub(super) fn wait(text: &Text) -> Option<Wait> {
    Wait::try_from(Arc::from(text.value.as_str())).ok()
}

/// The factor a text is.
pub(super) fn factor(text: &Text) -> Option<Factor> {
    Factor::try_from(Arc::from(text.value.as_str())).ok()
}
