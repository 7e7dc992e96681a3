//! Who calls, and how he showed it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Acl, token::TokenId};
use crate::time::Timestamp;

/// Who calls. Without a name it is nobody in particular: a call that brought nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// His name, as the token says; empty of nobody in particular.
    pub name: Arc<str>,
    /// His roles.
    pub roles: Arc<[Arc<str>]>,
}

impl Caller {
    /// Whether it is nobody in particular.
    pub fn is_anonymous(&self) -> bool {
        self.name.is_empty()
    }

    /// Whether he has this role.
    pub fn has(&self, role: &str) -> bool {
        self.roles.iter().any(|own| **own == *role)
    }
}

/// How a caller showed who he is, as the node that read the call found out. New variants go at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credential {
    /// Not at all.
    None,
    /// By the secret of a token.
    Token(TokenId),
    /// By the name and password of the surface of Diego's, which are in the configuration of the node that was called.
    Receptor,
}

/// Who had a command proposed. Made by the node that read the call, and by nobody else: what the cluster proposes itself has no author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// His name, for the record; a token's own name counts.
    pub name: Arc<str>,
    /// How he showed it.
    pub credential: Credential,
    /// What the spec of the request in question says, as the node that was called knows it; `None` when there is no such spec, or it is
    /// about no request.
    pub acl: Option<Acl>,
}

impl Author {
    /// Somebody who brought nothing.
    pub fn anonymous() -> Self {
        Self { name: "".into(), credential: Credential::None, acl: None }
    }
}

/// Why somebody is nobody the cluster knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum NotAuthenticated {
    /// The call brought nothing, and the cluster asks for something.
    #[error("the cluster asks who calls: bring a token, as a bearer token or as name and password")]
    Nothing,
    /// What it brought is no token of this cluster, or the secret is wrong: which of them is not told.
    #[error("no such token, or the wrong secret: it may have been revoked")]
    NoSuchToken,
    /// The token's time is over.
    #[error("token {id} of {name} has expired (at {at} of the cluster's clock): ask for a new one")]
    Expired {
        /// Which.
        id: TokenId,
        /// Whose.
        name: Arc<str>,
        /// When, in log time.
        at: Timestamp,
    },
}
