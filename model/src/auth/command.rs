//! What can be asked about tokens and the policy. These travel in the log: a shipped shape is never edited.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    PolicyChange,
    token::{SecretHash, TokenId},
};

/// Something about tokens or the policy. New variants go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthCommand {
    /// Makes a token.
    CreateToken(Box<CreateToken>),
    /// Removes a token: from this entry on it counts for nothing.
    RevokeToken {
        /// Which.
        id: TokenId,
    },
    /// Changes what the cluster asks of callers.
    ChangePolicy(PolicyChange),
    /// Removes tokens whose time is over, at most [`super::token::DROPPED_MAX`]. Proposed by the leader as long as there are any; so log
    /// time gets to their ends also where nothing else is written.
    DropExpired,
}

impl AuthCommand {
    /// Whether it has a natural key that makes repeats harmless, so that it needs no session.
    pub fn has_natural_key(&self) -> bool {
        match self {
            Self::CreateToken(_) | Self::RevokeToken { .. } | Self::ChangePolicy(_) => false,
            Self::DropExpired => true,
        }
    }
}

/// See [`AuthCommand::CreateToken`]. The secret itself stays with the node that drew it, and with who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateToken {
    /// Drawn by the node that was asked.
    pub id: TokenId,
    /// Whose it is to be.
    pub caller: Arc<str>,
    /// What he may do with it, in any order.
    pub roles: Vec<Arc<str>>,
    /// Of its secret.
    pub hash: SecretHash,
    /// Who asks for it; empty of nobody in particular.
    pub created_by: Arc<str>,
    /// How long it lives, in seconds of log time; `None` is for ever.
    pub lifetime_secs: Option<u64>,
}
