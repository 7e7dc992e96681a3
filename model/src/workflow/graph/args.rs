//! The args of a request and of the sequences it calls.

use std::collections::BTreeMap;

use super::BuildError;
use crate::{
    spec::{Arg, ArgKind, Sequence},
    workflow::{
        command::RequestArg,
        json::{JsonMap, JsonText},
    },
};

/// The args of a request, as they are recorded.
pub(super) fn record_args(sequence: &Sequence, given: &JsonMap) -> Result<Vec<RequestArg>, BuildError> {
    let mut counts = BTreeMap::<ArgKind, u32>::new();
    let mut record = |arg: &Arg| {
        let count = counts.entry(arg.kind).or_insert(0);
        let pos = *count;
        *count += 1;
        let value = given.get(&arg.name);
        let default = arg.default.as_deref().map(JsonText::string);
        let value = match (arg.kind, value) {
            (ArgKind::Static, Some(_)) => return Err(BuildError::StaticArgGiven(arg.name.clone())),
            (ArgKind::Required, None) => return Err(BuildError::RequiredArgMissing(arg.name.clone())),
            (ArgKind::Required | ArgKind::Optional, Some(value)) => value.clone(),
            (ArgKind::Optional | ArgKind::Static, None) => default.expect("such an arg has a default"),
        };
        Ok(RequestArg {
            pos,
            name: arg.name.clone(),
            desc: arg.desc.clone(),
            kind: arg.kind,
            given: given.contains_key(&arg.name),
            default: arg.default.clone().filter(|_| arg.kind == ArgKind::Optional),
            value,
        })
    };
    sequence.args.iter().map(&mut record).collect()
}

/// Adds the defaults of optional args that were not passed, and the values of static ones, which always win.
pub(super) fn fill_in(sequence: &Sequence, args: &mut JsonMap) {
    for arg in &sequence.args {
        let default = arg.default.as_deref().map(JsonText::string);
        match (arg.kind, default) {
            (ArgKind::Optional, Some(default)) => {
                args.entry(arg.name.clone()).or_insert(default);
            }
            (ArgKind::Static, Some(default)) => {
                args.insert(arg.name.clone(), default);
            }
            (ArgKind::Required, _) | (_, None) => {}
        }
    }
}
