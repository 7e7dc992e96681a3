//! From the args of an `lrp/…` job to its order.

use std::{sync::Arc, time::Duration};

use capstan_client::receptor::{DesiredLrpCreate, DesiredLrpUpdate};
use capstan_model::{lrp::guid::ProcessGuid, spec::Wait, workflow::json::JsonMap};
use serde::de::DeserializeOwned;

use super::{
    Kind,
    order::{OnFailure, Order},
};
use crate::jobs::{optional_text_arg, text_arg};

/// How long is waited when the spec does not say.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How long is waited at most.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Checks the args and makes the order.
///
/// # Errors
/// Says what is wrong with which arg. What the rules of LRPs say of a manifest is found out when it is sent.
pub(super) fn order(kind: Kind, args: &JsonMap) -> Result<Order, String> {
    Ok(match kind {
        Kind::Desire => desire(args)?,
        Kind::Update => update(args)?,
        Kind::Scale => scale(args)?,
        Kind::WaitRunning => wait_running(args)?,
        Kind::Delete => Order::Delete { process_guid: guid(args)?, timeout_ms: timeout_ms(args)? },
    })
}

fn desire(args: &JsonMap) -> Result<Order, String> {
    let mut lrp: DesiredLrpCreate =
        json_arg(args, "lrp")?.ok_or_else(|| "required arg lrp is not set".to_owned())?;
    if args.get("processGuid").is_some() {
        lrp.process_guid = guid(args)?;
    }
    if lrp.process_guid.parse::<ProcessGuid>().is_err() {
        return Err(format!("arg lrp has the process_guid {:?}: {GUID_RULE}", lrp.process_guid));
    }
    Ok(Order::Desire { lrp: text_of(&lrp) })
}

fn update(args: &JsonMap) -> Result<Order, String> {
    let update = DesiredLrpUpdate {
        instances: instances(args)?,
        routes: json_arg(args, "routes")?,
        annotation: optional_text_arg(args, "annotation")?,
    };
    if update.instances.is_none() && update.routes.is_none() && update.annotation.is_none() {
        return Err(
            "none of the args instances, routes and annotation is set: nothing would change".to_owned()
        );
    }
    Ok(Order::Update { process_guid: guid(args)?, update: text_of(&update) })
}

fn scale(args: &JsonMap) -> Result<Order, String> {
    let instances = instances(args)?.ok_or_else(|| "required arg instances is not set".to_owned())?;
    let update = DesiredLrpUpdate { instances: Some(instances), ..DesiredLrpUpdate::default() };
    Ok(Order::Update { process_guid: guid(args)?, update: text_of(&update) })
}

fn wait_running(args: &JsonMap) -> Result<Order, String> {
    let (timeout_ms, stable) = (timeout_ms(args)?, duration(args, "stableFor")?);
    if let Some(stable) = stable.filter(|stable| millis(*stable) >= timeout_ms) {
        return Err(format!("arg stableFor is {stable:?}: expected less than the timeout"));
    }
    Ok(Order::WaitRunning {
        process_guid: guid(args)?,
        timeout_ms,
        stable_ms: stable.map(millis),
        on_failure: on_failure(args)?,
    })
}

const GUID_RULE: &str = "expected letters, digits, _ and -";

fn guid(args: &JsonMap) -> Result<String, String> {
    let text = text_arg(args, "processGuid")?;
    match text.parse::<ProcessGuid>() {
        Ok(_) => Ok(text),
        Err(_) => Err(format!("arg processGuid is {text:?}: {GUID_RULE}")),
    }
}

fn instances(args: &JsonMap) -> Result<Option<i64>, String> {
    let Some(text) = optional_text_arg(args, "instances")? else { return Ok(None) };
    let count =
        text.parse::<u32>().map_err(|_| format!("arg instances is {text:?}: expected a whole number"))?;
    Ok(Some(count.into()))
}

fn timeout_ms(args: &JsonMap) -> Result<u64, String> {
    let Some(timeout) = duration(args, "timeout")? else { return Ok(millis(TIMEOUT)) };
    if timeout.is_zero() || timeout > TIMEOUT_MAX {
        return Err(format!("arg timeout is {timeout:?}: expected more than 0s and at most 24h"));
    }
    Ok(millis(timeout).max(1))
}

fn duration(args: &JsonMap, name: &str) -> Result<Option<Duration>, String> {
    let Some(text) = optional_text_arg(args, name)? else { return Ok(None) };
    let given = Wait::try_from(Arc::from(text)).map_err(|error| format!("arg {name} is {error}"))?;
    Ok(Some(given.duration()))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn on_failure(args: &JsonMap) -> Result<OnFailure, String> {
    match optional_text_arg(args, "onFailure")?.as_deref() {
        None | Some("keep") => Ok(OnFailure::Keep),
        Some("delete") => Ok(OnFailure::Delete),
        Some(other) => Err(format!("arg onFailure is {other:?}: expected keep or delete")),
    }
}

/// An arg that is an object, or its JSON as a text.
fn json_arg<T: DeserializeOwned>(args: &JsonMap, name: &str) -> Result<Option<T>, String> {
    let Some(arg) = args.get(name).filter(|arg| arg.as_str() != "null") else { return Ok(None) };
    let text = arg.to_text().unwrap_or_else(|| arg.as_str().to_owned());
    serde_json::from_str(&text).map(Some).map_err(|error| format!("arg {name}: {error}"))
}

fn text_of(body: &impl serde::Serialize) -> String {
    serde_json::to_string(body).expect("maps with string keys become JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::tests::args;

    fn made(kind: Kind, object: &str) -> Result<Order, String> {
        order(kind, &args(object))
    }

    #[test]
    fn a_manifest_is_an_object_or_a_text_and_may_get_another_name() {
        let object = r#"{"lrp":{"domain":"d","instances":2,"routes":{"r":[1, 2]}},"processGuid":"green"}"#;
        let text =
            r#"{"lrp":"{\"domain\":\"d\",\"instances\":2,\"routes\":{\"r\":[1, 2]}}","processGuid":"green"}"#;
        for given in [object, text] {
            let Order::Desire { lrp } = made(Kind::Desire, given).unwrap() else { panic!("not that order") };
            let lrp: DesiredLrpCreate = serde_json::from_str(&lrp).unwrap();
            assert_eq!((&*lrp.process_guid, lrp.instances, &*lrp.domain), ("green", 2, "d"));
            assert!(lrp.routes.contains_key("r"));
        }
    }

    #[test]
    fn an_update_holds_what_is_named() {
        let update = |kind, object: &str| match made(kind, object).unwrap() {
            Order::Update { process_guid, update } => (process_guid, update),
            other => panic!("{other:?}"),
        };
        let cases = [
            (Kind::Scale, r#"{"processGuid":"p","instances":"3"}"#, r#"{"instances":3}"#),
            (Kind::Update, r#"{"processGuid":"p","routes":{"r":{"a":2}}}"#, r#"{"routes":{"r":{"a":2}}}"#),
            (
                Kind::Update,
                r#"{"processGuid":"p","routes":"{}","annotation":""}"#,
                r#"{"routes":{},"annotation":""}"#,
            ),
        ];
        for (kind, object, expected) in cases {
            assert_eq!(update(kind, object), ("p".to_owned(), expected.to_owned()), "{object}");
        }
    }

    #[test]
    fn waits_have_defaults() {
        let waits = made(Kind::WaitRunning, r#"{"processGuid":"p"}"#).unwrap();
        let expected = Order::WaitRunning {
            process_guid: "p".to_owned(),
            timeout_ms: 300_000,
            stable_ms: None,
            on_failure: OnFailure::Keep,
        };
        assert_eq!(waits, expected);
        let waits = made(Kind::WaitRunning, r#"{"processGuid":"p","stableFor":"1500ms"}"#).unwrap();
        assert!(matches!(waits, Order::WaitRunning { stable_ms: Some(1_500), .. }), "{waits:?}");
        let deletes = made(Kind::Delete, r#"{"processGuid":"p","timeout":"10s"}"#).unwrap();
        assert_eq!(deletes, Order::Delete { process_guid: "p".to_owned(), timeout_ms: 10_000 });
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            (Kind::Desire, "{}", "required arg lrp is not set"),
            (Kind::Desire, r#"{"lrp":{"instances":"2"}}"#, "arg lrp: invalid type"),
            (Kind::Desire, r#"{"lrp":{}}"#, "expected letters, digits"),
            (Kind::Desire, r#"{"lrp":{},"processGuid":"a b"}"#, "arg processGuid is \"a b\""),
            (Kind::Update, r#"{"processGuid":"p"}"#, "nothing would change"),
            (Kind::Update, r#"{"processGuid":"p","routes":[1]}"#, "arg routes: invalid type"),
            (Kind::Scale, r#"{"processGuid":"p"}"#, "required arg instances is not set"),
            (Kind::Scale, r#"{"processGuid":"p","instances":-1}"#, "expected a whole number"),
            (Kind::WaitRunning, "{}", "required arg processGuid is not set"),
            (Kind::WaitRunning, r#"{"processGuid":"p","timeout":"25h"}"#, "at most 24h"),
            (
                Kind::WaitRunning,
                r#"{"processGuid":"p","timeout":"3s","stableFor":"3s"}"#,
                "expected less than the timeout",
            ),
            (Kind::WaitRunning, r#"{"processGuid":"p","stableFor":"long"}"#, "arg stableFor is"),
            (Kind::WaitRunning, r#"{"processGuid":"p","onFailure":"retry"}"#, "expected keep or delete"),
            (Kind::Delete, r#"{"processGuid":"p","timeout":"soon"}"#, "arg timeout is"),
        ];
        for (kind, object, part) in cases {
            let error = made(kind, object).unwrap_err();
            assert!(error.contains(part), "{object}: {error}");
        }
    }
}
