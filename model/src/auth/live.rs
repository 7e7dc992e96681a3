//! What is kept of tokens, policy and audit, and its rows.

use std::{ops::Bound, sync::Arc};

use imbl::{OrdMap, OrdSet};

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
    /// Those that end, in the order in which they do.
    by_end: OrdSet<(Timestamp, TokenId)>,
    pub(super) trail: Trail,
}

/// Something that happened to tokens or the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthEvent {
    /// A token was made.
    TokenCreated(Arc<Token>),
    /// A token was revoked, or its time was over.
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

    /// All tokens in the order of their ids; those whose time is over are among them until the leader has had them dropped.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values().map(Arc::as_ref)
    }

    /// The tokens whose id comes after this one, in their order.
    pub fn tokens_after(&self, after: Option<TokenId>) -> impl Iterator<Item = &Token> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.tokens.range((from, Bound::Unbounded)).map(|(_, token)| &**token)
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
                    Some(at) if token.is_expired(now) && !mutant!("expired-token-counts") => {
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

    /// The tokens whose time is over, the oldest first.
    pub(super) fn expired(&self, now: Timestamp) -> impl Iterator<Item = TokenId> {
        self.by_end.iter().take_while(move |(end, _)| *end <= now).map(|(_, id)| *id)
    }

    /// When the next token ends, in log time.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.by_end.get_min().map(|(end, _)| *end)
    }

    /// Whether a token is left for good, without this one, with which the cluster could be administered under this policy.
    pub(super) fn has_lasting_admin(&self, policy: &AuthPolicy, without: Option<TokenId>) -> bool {
        let mut left = self.tokens().filter(|token| Some(token.id) != without);
        left.any(|token| token.expires_at.is_none() && policy.any_is_admin(&token.roles))
    }

    /// Whether the index of ends holds exactly the tokens that end.
    pub(super) fn ends_match(&self) -> bool {
        let ends: OrdSet<_> = self.tokens().filter_map(|token| Some((token.expires_at?, token.id))).collect();
        ends == self.by_end
    }

    fn insert(&mut self, token: Arc<Token>) {
        self.by_end.extend(token.expires_at.map(|end| (end, token.id)));
        self.tokens.insert(token.id, token);
    }

    pub(crate) fn evolve(&mut self, event: &AuthEvent, sink: &mut RowSink) {
        match event {
            AuthEvent::TokenCreated(token) => {
                sink.replace(&token_key(token.id), None, Some(token));
                self.insert(Arc::clone(token));
            }
            AuthEvent::TokenRemoved { id } => {
                let token = self.tokens.remove(id).expect("only a token that is there is removed");
                token.expires_at.map(|end| self.by_end.remove(&(end, *id)));
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
                let token: Token = rows::decode(key, value)?;
                if token.id != id {
                    return Err(LoadError::unknown_key(key));
                }
                self.insert(Arc::new(token));
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
