//! Clients of a cluster that asks who calls: some give out tokens and take them back, others write with them meanwhile.
//!
//! Everybody else calls with a token that lasts, which the network adds ([`Net::call_as`]). What the log must have let happen is in
//! `history/callers.rs`; what clients were told is compared with the log in the end ([`Calls::judge`]), and the audit with it in [`verdict`].

mod setup;
pub(crate) mod verdict;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use capstan_client::cluster::{AuthChange, TokenCreate, TokenCreated};
use capstan_model::{auth::token::TokenId, sometimes};
use http::{Method, Response, StatusCode};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    calls::{Answer, Bearer, Call, Calls},
    net::Net,
    oracle::Oracle,
    specs_load::marked,
};

/// Where tokens are made and revoked.
const TOKENS: &str = "/cluster/v1/auth/tokens";
/// Where the policy is changed.
const POLICY: &str = "/cluster/v1/auth";
/// What tokens are made for, one of these.
const ROLES: [&[&str]; 7] = [
    &["variables:write"],
    &["operator"],
    &["deploy"],
    &["oncall", "variables:write"],
    &["deploy", "variables:write"],
    &["reader"],
    &["admin"],
];
/// How many of the newest tokens are used and revoked, those that were revoked among them.
const TOKENS_USED: usize = 8;
/// The longest life of a token that ends, in seconds.
const LIFE_SECS_MAX: u64 = 15;
/// How likely a token ends by itself.
const ENDS_ODDS: f64 = 0.5;
/// How many variables are written.
const VARIABLES: u64 = 3;

/// How busy those are that give out tokens and use them. With any clients at all, the cluster asks who calls.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthLoad {
    /// How many clients there are.
    pub clients: u64,
    /// The longest pause between two calls of a client.
    #[serde(with = "humantime_serde")]
    pub think_max: Duration,
}

impl AuthLoad {
    /// Draws one; two runs in three ask nobody.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        Self {
            clients: if rng.random_bool(0.35) { rng.random_range(1..=4) } else { 0 },
            think_max: Duration::from_millis(100 << rng.random_range(0..5)),
        }
    }
}

/// A token, as its maker was told.
#[derive(Debug, Clone)]
struct Known {
    id: TokenId,
    /// What goes behind `Bearer`.
    text: String,
}

/// What all these clients share.
#[derive(Clone)]
pub(crate) struct AuthClients {
    net: Arc<Net>,
    calls: Calls,
    tokens: Rc<RefCell<Vec<Known>>>,
    is_closed: Rc<Cell<bool>>,
}

impl AuthClients {
    /// Nothing was called yet.
    pub(crate) fn new(net: Arc<Net>, oracle: Arc<Oracle>) -> Self {
        let calls = Calls::new(Arc::clone(&net), oracle, "auth");
        Self { net, calls, tokens: Rc::default(), is_closed: Rc::default() }
    }

    /// How many calls were made.
    pub(crate) fn count(&self) -> u64 {
        self.calls.count()
    }

    /// Lets no client begin another call.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
    }

    /// Compares what they were told with the log.
    pub(crate) fn judge(&self) {
        self.calls.judge();
    }

    /// A client whose choices follow from the seed.
    pub(crate) fn client(&self, id: u64, seed: u64) -> AuthClient {
        AuthClient { id, rng: SmallRng::seed_from_u64(seed), shared: self.clone(), writes: 0 }
    }
}

/// One client: it administers with the token that everybody has, and writes with others.
pub(crate) struct AuthClient {
    id: u64,
    rng: SmallRng,
    shared: AuthClients,
    /// Counts what it wrote.
    writes: u64,
}

impl AuthClient {
    /// Calls until the workload is closed.
    pub(crate) async fn run(mut self, think_max: Duration) {
        while !self.shared.is_closed.get() {
            tokio::time::sleep(self.rng.random_range(Duration::ZERO..=think_max)).await;
            match (self.rng.random_range(0..24), self.choose()) {
                (0..4, _) | (_, None) => self.create().await,
                (4..6, Some(token)) => self.revoke(&token).await,
                (6, Some(token)) => self.race(token).await,
                (7, _) => self.change_policy().await,
                (8, _) => self.write(&Bearer::Nobody).await,
                (9, Some(token)) => self.pretend(&token).await,
                (10..17, Some(token)) => self.write(&token.bearer()).await,
                (_, Some(token)) => self.start(&token.bearer()).await,
            }
        }
    }

    /// One of the newest tokens.
    fn choose(&mut self) -> Option<Known> {
        let tokens = self.shared.tokens.borrow();
        let newest = &tokens[tokens.len().saturating_sub(TOKENS_USED)..];
        newest.get(self.rng.random_range(0..newest.len().max(1))).cloned()
    }

    async fn create(&mut self) {
        let name = format!("caller-{}", self.rng.random_range(0..4));
        let roles = ROLES[self.rng.random_range(0..ROLES.len())];
        let ends = self.rng.random_bool(ENDS_ODDS);
        let create = TokenCreate {
            name,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            expires_in_seconds: ends.then(|| self.rng.random_range(1..=LIFE_SECS_MAX)),
        };
        let body = serde_json::to_string(&create).expect("wire types are plain data");
        let call = Call::new(Method::POST, TOKENS).with_body(body);
        let answer = self.shared.calls.write(&mut self.rng, &call, &Bearer::Everybody).await;
        let Answer::Response(response) = answer else { return };
        match response.status() {
            StatusCode::CREATED => {
                let created: Option<TokenCreated> = serde_json::from_slice(response.body()).ok();
                let known = created.and_then(|it| Some(Known { id: it.id.parse().ok()?, text: it.token }));
                match known {
                    Some(known) => self.shared.tokens.borrow_mut().push(known),
                    None => self.shared.calls.misunderstood("a new token", &response),
                }
            }
            // A copy was first, and nobody can tell its secret again.
            StatusCode::CONFLICT => {}
            _ => self.shared.calls.misunderstood("a new token", &response),
        }
    }

    async fn revoke(&mut self, token: &Known) {
        let call = Call::new(Method::DELETE, format!("{TOKENS}/{}", token.id));
        let answer = self.shared.calls.write(&mut self.rng, &call, &Bearer::Everybody).await;
        if let Answer::Response(response) = answer
            // It may be gone already.
            && !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_FOUND)
        {
            self.shared.calls.misunderstood("a revocation", &response);
        }
    }

    /// Writes with a token while it is revoked, through any nodes.
    async fn race(&mut self, token: Known) {
        let mut other = self.shared.client(self.id + RACERS, self.rng.random());
        other.writes = self.writes;
        self.writes += 1;
        let bearer = token.bearer();
        tokio::join!(self.revoke(&token), other.write(&bearer));
    }

    async fn change_policy(&mut self) {
        let change = match self.rng.random_range(0..3) {
            0 => AuthChange { strict: Some(self.rng.random()), ..AuthChange::default() },
            // Without, everybody may do everything but what an ACL keeps to others.
            1 => AuthChange { required: Some(false), ..AuthChange::default() },
            _ => AuthChange { required: Some(true), ..AuthChange::default() },
        };
        let body = serde_json::to_string(&change).expect("wire types are plain data");
        let call = Call::new(Method::PATCH, POLICY).with_body(body);
        let answer = self.shared.calls.write(&mut self.rng, &call, &Bearer::Everybody).await;
        if let Answer::Response(response) = answer
            && response.status() != StatusCode::OK
        {
            self.shared.calls.misunderstood("a change of the policy", &response);
        }
    }

    /// Writes with the id of a token and the secret of none.
    async fn pretend(&mut self, token: &Known) {
        let bearer = Bearer::Token { id: token.id, text: format!("{}.{}", token.id, "0".repeat(64)) };
        if self.put(&bearer).await.is_some_and(|response| response.status() != StatusCode::UNAUTHORIZED) {
            let found = format!("a call with another secret for token {} was let pass", token.id);
            self.shared.calls.oracle().violated("who shows the wrong secret is nobody", found);
        }
    }

    async fn write(&mut self, bearer: &Bearer) {
        self.put(bearer).await;
    }

    async fn put(&mut self, bearer: &Bearer) -> Option<Response<Bytes>> {
        self.writes += 1;
        let path = format!("/cluster/v1/variables/auth-{}", self.rng.random_range(0..VARIABLES));
        let value = format!("by {bearer:?}, {} of client {}", self.writes, self.id);
        let call = Call::new(Method::PUT, path).with_body(value);
        let Answer::Response(response) = self.shared.calls.write(&mut self.rng, &call, bearer).await else {
            return None;
        };
        self.heed("a write with a token", &response);
        Some(response)
    }

    async fn start(&mut self, bearer: &Bearer) {
        self.writes += 1;
        let words = format!("{} 0 auth-{}-{}", self.rng.random_range(0..1_000), self.id, self.writes);
        let body = json!({ "type": marked::GUARDED, "args": { "cmd": "work", "args": words } });
        let call = Call::new(Method::POST, "/api/v1/requests").with_body(body.to_string());
        let answer = self.shared.calls.write(&mut self.rng, &call, bearer).await;
        if let Answer::Response(response) = answer {
            self.heed("a start with a token", &response);
        }
    }

    fn heed(&self, what: &str, response: &Response<Bytes>) {
        match response.status() {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED => sometimes!("a caller is nobody whom the cluster knows"),
            StatusCode::FORBIDDEN => sometimes!("a caller is known and may not do this"),
            // Specs may change too fast for a request to be built from them.
            StatusCode::CONFLICT => {}
            _ => self.shared.calls.misunderstood(what, response),
        }
    }
}

/// Tells those who race from those who have them race.
const RACERS: u64 = 1_000;

impl Known {
    fn bearer(&self) -> Bearer {
        Bearer::Token { id: self.id, text: self.text.clone() }
    }
}
