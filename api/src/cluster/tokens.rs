//! `/cluster/v1/auth/tokens`: what callers show to say who they are. A secret is told once, and kept as its hash.

use std::sync::Arc;

use capstan_client::{
    cluster::{TokenCreate, TokenCreated, TokenEntry, TokenList},
    spin_cycle::UtcTime,
};
use capstan_model::{
    auth::{
        AuthCommand, CreateToken,
        token::{Token, TokenId},
    },
    command::Command,
    reply::Answer as Reply,
    time::Timestamp,
};
use capstan_raft_store::handle::{Committed, Consistency};
use http::StatusCode;

use super::auth::{at_index, json};
use crate::{
    answer::{self, Answer},
    auth::{self, secret::DrawnToken},
    call::{Head, decode_segment},
    error::{ApiError, InputError},
    query, read,
    service::Inner,
};

/// The most tokens of one page, and how many one has when the caller does not say.
const PAGE_MAX: usize = 1_000;

/// `POST …`.
pub(crate) async fn create(api: &Inner, head: &Head<'_>, body: &[u8]) -> Result<Answer, ApiError> {
    let TokenCreate { name, roles, expires_in_seconds } = json(body)?;
    let drawn = DrawnToken::draw(&*api.parts.entropy);
    let create = CreateToken {
        id: drawn.id,
        caller: name.into(),
        roles: roles.into_iter().map(Arc::from).collect(),
        hash: drawn.hash(),
        created_by: head.caller().name,
        lifetime_secs: expires_in_seconds,
    };
    let command = Command::Auth(AuthCommand::CreateToken(Box::new(create)));
    let options = auth::options(head, body)?;
    let Committed { reply, index } = api.parts.cluster.propose(command, options).await?;
    let Reply::TokenCreated { id } = reply? else { unreachable!("a creation is answered as one") };
    if id != drawn.id {
        return Err(InputError::SecretTold { id }.into());
    }
    let view = api.parts.cluster.read(Consistency::AtLeast(index)).await?;
    let expires_at = view.state().auth.token(id).and_then(|token| token.expires_at).map(time);
    let token = drawn.text();
    let created = TokenCreated { id: id.to_string(), token, secret: drawn.secret, expires_at };
    Ok(at_index(answer::json(StatusCode::CREATED, &created), index))
}

/// `GET …?after=&limit=`.
pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let limit = query::limit(head.query, PAGE_MAX)?;
    let after = query::first(head.query, "after").map(|id| id.parse::<TokenId>()).transpose();
    let after = after.map_err(InputError::Name)?;
    let view = read::view(&api.parts.cluster, head).await?;
    let mut rest = view.state().auth.tokens_after(after).peekable();
    let tokens: Vec<_> = rest.by_ref().take(limit).map(entry).collect();
    let next = rest.peek().and_then(|_| tokens.last()).map(|token: &TokenEntry| token.id.clone());
    Ok(at_index(answer::json(StatusCode::OK, &TokenList { tokens, next }), view.index()))
}

/// `DELETE …/{id}`.
pub(crate) async fn revoke(api: &Inner, head: &Head<'_>, id: &str) -> Result<Answer, ApiError> {
    let id = decode_segment(id)?.parse().map_err(InputError::Name)?;
    let command = Command::Auth(AuthCommand::RevokeToken { id });
    let options = auth::options(head, b"")?;
    let Committed { reply, index } = api.parts.cluster.propose(command, options).await?;
    reply?;
    Ok(at_index(answer::empty(StatusCode::NO_CONTENT), index))
}

fn entry(token: &Token) -> TokenEntry {
    TokenEntry {
        id: token.id.to_string(),
        name: token.caller.to_string(),
        roles: token.roles.iter().map(ToString::to_string).collect(),
        created_at: time(token.created_at),
        created_by: token.created_by.to_string(),
        expires_at: token.expires_at.map(time),
    }
}

fn time(at: Timestamp) -> UtcTime {
    UtcTime::from_unix_nanos(at.0)
}
