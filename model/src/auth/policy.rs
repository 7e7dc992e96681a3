//! What the cluster asks of callers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Caller;
use crate::rejection::{Rejection, check_size};

/// The most admin roles, and the most roles of one token.
pub const ROLES_MAX: usize = 32;
/// The longest role and the longest caller's name, in bytes: what Spin Cycle has room for.
pub const NAME_BYTES_MAX: usize = 100;

/// What the cluster asks of callers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthPolicy {
    /// Whether every call must say who makes it. Without, everybody may do everything but what a spec's ACL keeps to others.
    pub required: bool,
    /// Whether a request whose spec has no ACL is for the admin roles alone.
    pub strict: bool,
    /// The roles that may do everything, sorted; at least one.
    pub admin_roles: Vec<Arc<str>>,
}

impl Default for AuthPolicy {
    fn default() -> Self {
        Self { required: false, strict: false, admin_roles: vec!["admin".into()] }
    }
}

impl AuthPolicy {
    /// Whether one of the caller's roles may do everything.
    pub fn is_admin(&self, caller: &Caller) -> bool {
        self.any_is_admin(&caller.roles)
    }

    pub(super) fn any_is_admin(&self, roles: &[Arc<str>]) -> bool {
        roles.iter().any(|role| self.admin_roles.contains(role))
    }
}

/// What of the policy is to change; the rest stays, so that two who change different things do not undo each other's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// See [`AuthPolicy::required`].
    pub required: Option<bool>,
    /// See [`AuthPolicy::strict`].
    pub strict: Option<bool>,
    /// See [`AuthPolicy::admin_roles`]; in any order.
    pub admin_roles: Option<Vec<Arc<str>>>,
}

impl PolicyChange {
    /// The policy after the change.
    ///
    /// # Errors
    /// Admin roles that are none, too many, or no roles.
    pub(super) fn of(&self, policy: &AuthPolicy) -> Result<AuthPolicy, Rejection> {
        let mut changed = policy.clone();
        changed.required = self.required.unwrap_or(changed.required);
        changed.strict = self.strict.unwrap_or(changed.strict && !mutant!("policy-change-takes-all"));
        if let Some(roles) = &self.admin_roles {
            changed.admin_roles = checked_roles("admin roles", roles)?;
        }
        Ok(changed)
    }
}

/// The roles sorted and each once.
///
/// # Errors
/// There are none, more than [`ROLES_MAX`], or one that [`check_role`] refuses.
pub(super) fn checked_roles(what: &str, roles: &[Arc<str>]) -> Result<Vec<Arc<str>>, Rejection> {
    if roles.is_empty() {
        return Err(invalid(what, "there must be one at least"));
    }
    if roles.len() > ROLES_MAX {
        return Err(invalid(what, &format!("there may be at most {ROLES_MAX}")));
    }
    roles.iter().try_for_each(|role| check_role("a role", role))?;
    let mut sorted = roles.to_vec();
    sorted.sort();
    sorted.dedup();
    Ok(sorted)
}

/// Checks a role or a caller's name, which `what` says: 1 to [`NAME_BYTES_MAX`] bytes, and nothing that would not be seen.
///
/// # Errors
/// [`Rejection::TooLarge`] and [`Rejection::InvalidAuth`].
pub(super) fn check_role(what: &str, text: &str) -> Result<(), Rejection> {
    check_size(what, text, NAME_BYTES_MAX)?;
    if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
        return Err(invalid(
            what,
            "it must not be empty, begin or end with a blank, or have control characters",
        ));
    }
    Ok(())
}

pub(super) fn invalid(what: &str, reason: &str) -> Rejection {
    Rejection::InvalidAuth { what: what.to_owned(), reason: reason.to_owned() }
}
