//! What a caller may start, and with which args.

use std::sync::Arc;

use super::{ArgKind, Specs};

/// A request that may be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRequest {
    /// Its type.
    pub name: Arc<str>,
    /// The args a caller gives: required, then optional.
    pub args: Vec<ListedArg>,
}

/// An arg of a request that may be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedArg {
    /// Its name.
    pub name: Arc<str>,
    /// What it means, for people; empty when not given.
    pub desc: Arc<str>,
    /// Required or optional.
    pub kind: ArgKind,
    /// The value of an optional one that is not given.
    pub default: Option<Arc<str>>,
}

impl Specs {
    /// The requests a caller may start, by name.
    pub fn request_list(&self) -> Vec<ListedRequest> {
        self.sequences()
            .filter(|sequence| sequence.is_request)
            .map(|sequence| ListedRequest {
                name: sequence.name.clone(),
                args: sequence
                    .args
                    .iter()
                    .filter(|arg| arg.kind != ArgKind::Static)
                    .map(|arg| ListedArg {
                        name: arg.name.clone(),
                        desc: arg.desc.clone(),
                        kind: arg.kind,
                        default: arg.default.clone(),
                    })
                    .collect(),
            })
            .collect()
    }
}
