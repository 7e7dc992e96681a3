//! What holds of tokens, policy and audit, whatever was applied.

use super::{Auth, audit, policy::ROLES_MAX, token::TOKENS_MAX};

/// Checks it.
///
/// # Errors
/// What does not hold.
pub(crate) fn check(auth: &Auth) -> Result<(), String> {
    if auth.tokens_len() > TOKENS_MAX {
        return Err(format!("{} tokens", auth.tokens_len()));
    }
    for token in auth.tokens() {
        let sorted = token.roles.is_sorted_by(|a, b| a < b);
        if !sorted || !(1..=ROLES_MAX).contains(&token.roles.len()) || token.caller.is_empty() {
            return Err(format!("token {}: of {:?}, with roles {:?}", token.id, token.caller, token.roles));
        }
    }
    if !auth.ends_match() {
        return Err("the index of ends is not that of the tokens".to_owned());
    }
    if auth.policy().admin_roles.is_empty() {
        return Err("no admin role".to_owned());
    }
    if auth.policy().required && !auth.has_lasting_admin(auth.policy(), None) {
        return Err("auth is required, and nobody is left for good who may administer".to_owned());
    }
    let kept = auth.trail().next().checked_sub(auth.trail().first());
    match kept {
        Some(kept) if kept <= audit::RECORDS_MAX => Ok(()),
        _ => Err(format!("records {:?}", auth.trail())),
    }
}
