//! What is kept of tokens, policy and audit, and its rows.

use std::sync::Arc;

use imbl::OrdMap;

use super::{
    AuthPolicy, Author, Caller, Credential, NotAuthenticated,
    audit::Trail,
    operation::Operation,
    token::{Token, TokenId},
};
use crate::{
    rows::{self, Key, KeyReader, LoadError, RowSink, Table},
    time::Timestamp,
};

/// Who may do what, and which records there are of what was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Auth {
    policy: Arc<AuthPolicy>,
    tokens: OrdMap<TokenId, Arc<Token>>,
    pub(super) trail: Trail,
}

/// Something that happened to tokens or the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthEvent {
    /// A token was made.
    TokenCreated(Arc<Token>),
    /// A token was revoked, or had expired and gave way.
    TokenRemoved {
        /// Which.
        id: TokenId,
    },
    /// The policy is another one.
    PolicyChanged(AuthPolicy),
}

impl Auth {
    /// What the cluster asks of callers.
    pub fn policy(&self) -> &AuthPolicy {
        &self.policy
    }

    /// A token, expired or not.
    pub fn token(&self, id: TokenId) -> Option<&Token> {
        self.tokens.get(&id).map(Arc::as_ref)
    }

    /// All tokens in the order of their ids, also those that have expired.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values().map(Arc::as_ref)
    }

    /// How many tokens there are.
    pub fn tokens_len(&self) -> usize {
        self.tokens.len()
    }

    /// Which records of what was done are kept.
    pub fn trail(&self) -> Trail {
        self.trail
    }

    /// Who somebody is that showed this. Whether a secret fits is found out before, where the call is read.
    ///
    /// # Errors
    /// The token is not there any more, or its time is over; nothing was shown, and something is asked for.
    pub fn caller(&self, author: &Author, now: Timestamp) -> Result<Caller, NotAuthenticated> {
        match author.credential {
            Credential::None if self.policy.required => Err(NotAuthenticated::Nothing),
            Credential::None => Ok(Caller::default()),
            Credential::Token(id) => match self.tokens.get(&id) {
                None => Err(NotAuthenticated::NoSuchToken),
                Some(token) => match token.expires_at {
                    Some(at) if token.is_expired(now) => {
                        Err(NotAuthenticated::Expired { id, name: Arc::clone(&token.caller), at })
                    }
                    _ => Ok(token.caller()),
                },
            },
            // What it opens is all that is under `/v1`, as ever.
            Credential::Receptor => {
                let roles = [Operation::Read, Operation::WriteLrps].map(|operation| operation.name().into());
                Ok(Caller { name: Arc::clone(&author.name), roles: roles.into() })
            }
        }
    }

    /// Whether somebody could administer the cluster under this policy, at this time, without this token.
    pub(super) fn has_admin(&self, policy: &AuthPolicy, now: Timestamp, without: Option<TokenId>) -> bool {
        let mut left = self.tokens().filter(|token| Some(token.id) != without);
        left.any(|token| !token.is_expired(now) && policy.any_is_admin(&token.roles))
    }

    pub(crate) fn evolve(&mut self, event: &AuthEvent, sink: &mut RowSink) {
        match event {
            AuthEvent::TokenCreated(token) => {
                let before = self.tokens.insert(token.id, Arc::clone(token));
                sink.replace(&token_key(token.id), before.as_ref(), Some(token));
            }
            AuthEvent::TokenRemoved { id } => {
                let token = self.tokens.remove(id).expect("only a token that is there is removed");
                sink.replace(&token_key(*id), Some(&token), None);
            }
            AuthEvent::PolicyChanged(policy) => {
                sink.replace(&Key::new(Table::AuthPolicy), policy_row(&self.policy), policy_row(policy));
                self.policy = Arc::new(policy.clone());
            }
        }
    }

    pub(crate) fn load_row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        match table {
            Table::AuthPolicy => self.policy = Arc::new(rows::decode(key, value)?),
            Table::AuditTrail => self.trail = rows::decode(key, value)?,
            Table::Token => {
                let mut parts = KeyReader::new(key);
                let id = TokenId(parts.fixed()?);
                parts.end()?;
                self.tokens.insert(id, Arc::new(rows::decode(key, value)?));
            }
            _ => return Err(LoadError::unknown_key(key)),
        }
        Ok(())
    }

    /// Writes every row as if it were new.
    pub(crate) fn dump(&self, sink: &mut RowSink) {
        sink.replace(&Key::new(Table::AuthPolicy), None, policy_row(&self.policy));
        for token in self.tokens.values() {
            sink.replace(&token_key(token.id), None, Some(token));
        }
        Trail::default().replace_with(self.trail, sink);
    }
}

/// The policy has a row once it is not the one a cluster begins with.
fn policy_row(policy: &AuthPolicy) -> Option<&AuthPolicy> {
    (*policy != AuthPolicy::default()).then_some(policy)
}

fn token_key(id: TokenId) -> Key {
    Key::new(Table::Token).fixed(&id.0)
}
