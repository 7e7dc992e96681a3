//! What the spec of a request says about who may start and stop it. It travels with a command: a shipped shape is never edited.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::spec::AclRule;

/// The ACL of a spec; without entries there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acl(pub Vec<AclEntry>);

/// What one role may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclEntry {
    /// The role, compared as it is written.
    pub role: Arc<str>,
    /// Whether it may do everything.
    pub admin: bool,
    /// Whether it may start the request.
    pub start: bool,
    /// Whether it may stop it.
    pub stop: bool,
}

/// What an ACL is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AclOperation {
    /// To start a request.
    Start,
    /// To stop it.
    Stop,
}

impl Acl {
    /// The ACL that a spec declares.
    pub fn of(rules: &[AclRule]) -> Self {
        let entry = |rule: &AclRule| {
            let grants = |operation: &str| rule.ops.iter().any(|granted| **granted == *operation);
            let (start, stop) = (grants("start"), grants("stop"));
            AclEntry { role: Arc::clone(&rule.role), admin: rule.admin, start, stop }
        };
        Self(rules.iter().map(entry).collect())
    }
}

impl AclEntry {
    /// Whether the role may do this.
    pub fn grants(&self, operation: AclOperation) -> bool {
        self.admin
            || match operation {
                AclOperation::Start => self.start,
                AclOperation::Stop => self.stop,
            }
    }
}
