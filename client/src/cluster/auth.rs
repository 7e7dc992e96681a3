//! Who may do what: tokens, the policy, and the record of what was done.

use serde::{Deserialize, Serialize};

use crate::spin_cycle::UtcTime;

/// The body of `GET /cluster/v1/auth`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthStatus {
    /// Whether every call must say who makes it.
    pub required: bool,
    /// Whether a request whose spec has no ACL is for the admin roles alone.
    pub strict: bool,
    /// The roles that may do everything.
    pub admin_roles: Vec<String>,
    /// Who asks.
    pub caller: CallerStatus,
}

/// Somebody as the cluster knows him.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerStatus {
    /// His name; empty of nobody in particular.
    pub name: String,
    /// His roles.
    pub roles: Vec<String>,
    /// The id of the token he showed; null without one.
    pub token: Option<String>,
}

/// The body of `PATCH /cluster/v1/auth`: what is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthChange {
    /// See [`AuthStatus::required`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// See [`AuthStatus::strict`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// See [`AuthStatus::admin_roles`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_roles: Option<Vec<String>>,
}

/// The body of `POST /cluster/v1/auth/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenCreate {
    /// Whose it is to be.
    pub name: String,
    /// What he may do with it.
    pub roles: Vec<String>,
    /// How long it lives; without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

/// The answer to a POST of a token, and the only one that ever tells its secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCreated {
    /// Its name, and that of name and password.
    pub id: String,
    /// Its secret, and the password.
    pub secret: String,
    /// Both with a dot between them: what goes behind `Authorization: Bearer`.
    pub token: String,
    /// When it ends; null is never.
    pub expires_at: Option<UtcTime>,
}

/// A secret does not get into a log with what holds it.
impl std::fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCreated").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A token as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEntry {
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// What he may do with it.
    pub roles: Vec<String>,
    /// When it was made, by the cluster's clock.
    pub created_at: UtcTime,
    /// Who had it made; empty of nobody in particular.
    pub created_by: String,
    /// When it ends; null is never.
    pub expires_at: Option<UtcTime>,
}

/// One page of tokens, in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenList {
    /// At most as many as the call's `limit`.
    pub tokens: Vec<TokenEntry>,
    /// What to pass as `after` for the next page; null on the last one.
    pub next: Option<String>,
}

/// That somebody changed something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Counts the records of the cluster, from 0.
    pub number: u64,
    /// The log index that did it.
    pub index: u64,
    /// When, by the cluster's clock.
    pub at: UtcTime,
    /// Who.
    pub caller: String,
    /// The id of the token he showed; null without one.
    pub token: Option<String>,
    /// What he may do.
    pub operation: String,
    /// What he did, for people.
    pub what: String,
}

/// One page of the audit, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPage {
    /// At most as many as the call's `limit`; there may be fewer, or none, and more to come.
    pub records: Vec<AuditRecord>,
    /// What to pass as `after` for the next page; null on the last one.
    pub next: Option<u64>,
}
