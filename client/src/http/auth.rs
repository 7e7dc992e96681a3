//! Calls about who may do what.

use http::Method;

use super::{
    Client, ReadOptions,
    call::{Call, Repeat},
    error::CallError,
    segment,
};
use crate::cluster::{AuditPage, AuthChange, AuthStatus, TokenCreate, TokenCreated, TokenEntry, TokenList};

/// Which records of the audit to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only those of this caller.
    pub caller: Option<String>,
    /// Only those of this operation.
    pub operation: Option<String>,
    /// Only those before the one of this number: the `next` of the page before.
    pub after: Option<u64>,
    /// At most as many, up to 1,000; the server's default when `None`.
    pub limit: Option<u64>,
}

impl Client {
    /// Reads what the cluster asks of callers, and as whom it knows this one.
    pub async fn auth(&self) -> Result<AuthStatus, CallError> {
        self.read_json("/cluster/v1/auth".to_owned(), Vec::new(), ReadOptions::default()).await
    }

    /// Changes what the cluster asks of callers.
    pub async fn change_auth(&self, change: &AuthChange) -> Result<AuthStatus, CallError> {
        let call = Call::new(Method::PATCH, "/cluster/v1/auth".to_owned(), Repeat::Harmless);
        self.call(&call.with_json(change)).await?.json()
    }

    /// Makes a token. When an answer was lost and the call repeated, the secret is lost too, which is a refusal with status 409.
    pub async fn create_token(&self, create: &TokenCreate) -> Result<TokenCreated, CallError> {
        let call = self.keyed(Method::POST, TOKENS.to_owned()).with_json(create);
        self.call(&call).await?.json()
    }

    /// Lists all tokens, page by page.
    pub async fn tokens(&self) -> Result<Vec<TokenEntry>, CallError> {
        let (mut tokens, mut after) = (Vec::new(), None::<String>);
        loop {
            let query = after.map(|after| ("after", after)).into_iter().collect();
            let page: TokenList = self.read_json(TOKENS.to_owned(), query, ReadOptions::default()).await?;
            tokens.extend(page.tokens);
            after = page.next;
            if after.is_none() {
                return Ok(tokens);
            }
        }
    }

    /// Revokes a token; an unknown one is a refusal with status 404.
    pub async fn revoke_token(&self, id: &str) -> Result<(), CallError> {
        let call = Call::new(Method::DELETE, format!("{TOKENS}/{}", segment(id)?), Repeat::Harmless);
        let ending = self.call_noting_repeats(&call).await;
        match ending.result {
            // An earlier attempt's answer was lost, and the token is gone, as was asked.
            Err(error) if ending.repeated && error.is_not_found() => Ok(()),
            result => result.map(drop),
        }
    }

    /// Lists one page of what callers have done, the newest first.
    pub async fn audit(&self, query: &AuditQuery) -> Result<AuditPage, CallError> {
        let AuditQuery { caller, operation, after, limit } = query;
        let texts = [("caller", caller.clone()), ("operation", operation.clone())];
        let numbers = [("after", after), ("limit", limit)].map(|(name, n)| (name, n.map(|n| n.to_string())));
        let given = texts.into_iter().chain(numbers).filter_map(|(name, value)| Some((name, value?)));
        self.read_json("/cluster/v1/audit".to_owned(), given.collect(), ReadOptions::default()).await
    }
}

const TOKENS: &str = "/cluster/v1/auth/tokens";
