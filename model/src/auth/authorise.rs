//! The one rule: may this caller do that? The order of its steps is Spin Cycle's (reference 6), with its denials' words.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Acl, AuthPolicy, Caller, Operation, roles_that_grant};

/// Somebody may not do what he wants to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{} may not do this ({operation}): {because}", shown(caller))]
pub struct Denied {
    /// His name; empty of nobody in particular.
    pub caller: Arc<str>,
    /// What he wants to do.
    pub operation: Operation,
    /// Why not.
    pub because: DeniedBecause,
}

/// Why somebody may not do something. New variants go at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DeniedBecause {
    /// The cluster asks who calls, and he does not say.
    #[error("the cluster asks who calls")]
    Anonymous,
    /// The type of the request is in no spec of the node that was called.
    #[error("there is no spec of the request's type to say who may, so that only an admin role does")]
    NoSpec,
    /// The spec has no ACL, and the policy is strict.
    #[error("its spec has no ACL and auth is strict, so that only an admin role may")]
    Strict,
    /// No entry of the ACL is about a role of his.
    #[error("no caller role matches an entry of the ACL of the request's spec")]
    NoRoleMatches,
    /// Entries are, and none grants it.
    #[error("no matching caller role granted it in the ACL of the request's spec")]
    NotGranted,
    /// None of his roles grants it.
    #[error("it takes an admin role{}", other_roles(*.0))]
    NoRole(Operation),
    /// Only the cluster itself does such a thing.
    #[error("only the cluster itself does it")]
    Internal,
}

fn shown(caller: &str) -> String {
    if caller.is_empty() { "a caller without a token".to_owned() } else { format!("caller {caller:?}") }
}

fn other_roles(operation: Operation) -> String {
    match roles_that_grant(operation) {
        [] => String::new(),
        roles => format!(" or one of {}", roles.join(", ")),
    }
}

/// Whether a caller may do something. `acl` is what the spec of the request in question says, as [`super::Author::acl`] has it; it counts for
/// [`Operation::Start`] and [`Operation::Stop`] alone.
///
/// # Errors
/// Why not.
pub fn authorise(
    policy: &AuthPolicy,
    caller: &Caller,
    operation: Operation,
    acl: Option<&Acl>,
) -> Result<(), Denied> {
    decide(policy, caller, operation, acl).map_err(|because| Denied {
        caller: Arc::clone(&caller.name),
        operation,
        because,
    })
}

fn decide(
    policy: &AuthPolicy,
    caller: &Caller,
    operation: Operation,
    acl: Option<&Acl>,
) -> Result<(), DeniedBecause> {
    if policy.is_admin(caller) {
        return Ok(());
    }
    if policy.required && caller.is_anonymous() {
        return Err(DeniedBecause::Anonymous);
    }
    match operation.of_acl() {
        Some(wanted) => match acl {
            // No spec, no ACL: that denies only where the cluster asks who calls.
            None if policy.required => Err(DeniedBecause::NoSpec),
            None => Ok(()),
            Some(Acl(entries)) if entries.is_empty() && policy.strict => Err(DeniedBecause::Strict),
            Some(Acl(entries)) if entries.is_empty() => Ok(()),
            Some(Acl(entries)) => {
                let mut own = entries.iter().filter(|entry| caller.has(&entry.role)).peekable();
                match (own.peek().is_some(), own.any(|entry| entry.grants(wanted))) {
                    (false, _) => Err(DeniedBecause::NoRoleMatches),
                    (true, false) => Err(DeniedBecause::NotGranted),
                    (true, true) => Ok(()),
                }
            }
        },
        None if !policy.required || operation == Operation::ReadRequests => Ok(()),
        None if roles_that_grant(operation).iter().any(|role| caller.has(role)) => Ok(()),
        None => Err(DeniedBecause::NoRole(operation)),
    }
}

#[cfg(test)]
mod tests;
