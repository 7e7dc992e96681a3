//! Decides on commands about tokens and the policy, and whether a command's author may have it done.

use std::{sync::Arc, time::Duration};

use super::{
    Auth, AuthCommand, AuthEvent, Author, Caller, CreateToken, Denied, DeniedBecause, Operation,
    PolicyChange, authorise,
    policy::{check_role, checked_roles, invalid},
    token::{DROPPED_MAX, LIFETIME_SECS_MAX, TOKENS_MAX, Token, TokenId},
};
use crate::{command::Command, rejection::Rejection, reply::Answer, time::Timestamp};

/// Lets a command pass whose author is still somebody who may have it done.
pub(crate) fn admit(
    auth: &Auth,
    now: Timestamp,
    author: &Author,
    command: &Command,
) -> Result<(), Rejection> {
    let caller = auth.caller(author, now);
    sometimes!("a caller is nobody any more when his command is applied", caller.is_err());
    let caller = caller?;
    let Some(operation) = Operation::of(command) else {
        let because = DeniedBecause::Internal;
        return Err(Denied { caller: caller.name, operation: Operation::Administer, because }.into());
    };
    let authorised = authorise(auth.policy(), &caller, operation, author.acl.as_ref());
    sometimes!("a caller may not do any more what his command asks for", authorised.is_err());
    authorised?;
    if let Command::Auth(AuthCommand::ChangePolicy(change)) = command {
        stays_admin(auth, change, &caller)?;
    }
    Ok(())
}

/// No administrator takes the cluster out of his own hands where it asks who calls: a role that was misspelt, or that many have, would be in
/// charge. Where nobody would be left at all, the handler says so.
fn stays_admin(auth: &Auth, change: &PolicyChange, caller: &Caller) -> Result<(), Rejection> {
    let changed = change.of(auth.policy())?;
    let is_locked_out = changed.required && auth.policy().is_admin(caller) && !changed.is_admin(caller);
    if is_locked_out && auth.has_lasting_admin(&changed, None) { Err(Rejection::LocksOut) } else { Ok(()) }
}

/// Decides on an `AuthCommand`.
pub(crate) fn handle(
    auth: &Auth,
    now: Timestamp,
    command: &AuthCommand,
) -> Result<(Answer, Vec<AuthEvent>), Rejection> {
    match command {
        AuthCommand::CreateToken(create) => create_token(auth, now, create),
        AuthCommand::RevokeToken { id } => revoke_token(auth, *id),
        AuthCommand::ChangePolicy(change) => change_policy(auth, change),
        AuthCommand::DropExpired => {
            let dropped = auth.expired(now).take(DROPPED_MAX).map(|id| AuthEvent::TokenRemoved { id });
            Ok((Answer::Done, dropped.collect()))
        }
    }
}

fn create_token(
    auth: &Auth,
    now: Timestamp,
    create: &CreateToken,
) -> Result<(Answer, Vec<AuthEvent>), Rejection> {
    check_role("the caller's name", &create.caller)?;
    let roles = checked_roles("roles of a token", &create.roles)?;
    if create.lifetime_secs.is_some_and(|secs| secs == 0 || secs > LIFETIME_SECS_MAX) {
        return Err(invalid(
            "the life of a token",
            &format!("it must be between a second and {} days", LIFETIME_SECS_MAX / (24 * 3_600)),
        ));
    }
    if auth.token(create.id).is_some() {
        return Err(Rejection::TokenExists { id: create.id });
    }
    if auth.tokens_len() >= TOKENS_MAX {
        return Err(Rejection::TooMany { what: "tokens".to_owned(), count_max: TOKENS_MAX as u64 });
    }
    let token = Token {
        id: create.id,
        caller: Arc::clone(&create.caller),
        roles: roles.into(),
        hash: create.hash,
        created_at: now,
        created_by: Arc::clone(&create.created_by),
        expires_at: create.lifetime_secs.map(|secs| now.after(Duration::from_secs(secs))),
    };
    Ok((Answer::TokenCreated { id: create.id }, vec![AuthEvent::TokenCreated(Arc::new(token))]))
}

/// As long as auth is required, a token with an admin role that never ends is left.
fn revoke_token(auth: &Auth, id: TokenId) -> Result<(Answer, Vec<AuthEvent>), Rejection> {
    if auth.token(id).is_none() {
        return Err(Rejection::NoSuchToken { id });
    }
    if auth.policy().required && !auth.has_lasting_admin(auth.policy(), Some(id)) {
        return Err(Rejection::NoAdminLeft);
    }
    Ok((Answer::Done, vec![AuthEvent::TokenRemoved { id }]))
}

fn change_policy(auth: &Auth, change: &PolicyChange) -> Result<(Answer, Vec<AuthEvent>), Rejection> {
    let changed = change.of(auth.policy())?;
    if changed.required && !auth.has_lasting_admin(&changed, None) {
        return Err(Rejection::NoAdminLeft);
    }
    let is_news = changed != *auth.policy();
    Ok((Answer::Done, is_news.then_some(AuthEvent::PolicyChanged(changed)).into_iter().collect()))
}
