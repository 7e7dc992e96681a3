//! The typed HTTP client: which node to call, what may be sent again, and what a failure means.

mod address;
mod auth;
mod call;
mod cluster;
mod error;
mod export;
mod opened;
mod receptor;
mod requests;
mod settings;
mod specs;
mod variables;

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use address::AddressBook;
pub use address::AddressError;
pub use auth::AuditQuery;
pub use cluster::Ready;
pub use error::{CallError, Tried};
pub use export::ExportStream;
#[cfg(feature = "fuzzing")]
pub use receptor::fuzzing;
pub use receptor::{EventStream, LogQuery, LogStream, Notice, Stream};
pub use requests::RequestPage;
pub use variables::{Precondition, Variable, VariableQuery, Written};

/// Calls the nodes of one cluster over HTTP.
///
/// Any node serves any call, so a call goes to the node that answered last and moves on to the others when that one
/// cannot be reached or answers 503. Clones share connections and the memory of which node answered.
#[derive(Clone)]
pub struct Client {
    nodes: Arc<AddressBook>,
    http: reqwest::Client,
    options: ClientOptions,
    /// What calls under `/v1` bring as `Authorization`.
    credentials: Option<HeaderValue>,
    /// What all others bring, and those too where there is nothing else.
    token: Option<HeaderValue>,
}

/// How patient a [`Client`] is, and whether it makes its POSTs repeatable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientOptions {
    /// The longest a call may take, over all its attempts.
    pub timeout: Duration,
    /// The longest one attempt at one node may take. Longer than the 4 s a node gives a write before it answers 504,
    /// so that the node's own answer is seen.
    pub attempt_timeout: Duration,
    /// How long a call goes on when no node accepts a connection; covers the restart of one node.
    pub connect_patience: Duration,
    /// Whether POSTs carry an `Idempotency-Key`, so that they can be sent again when their answer was lost. The
    /// cluster remembers at most 100,000 keys for 24 hours: a program that starts many more requests than that turns
    /// keys off and gets [`CallError::UnknownOutcome`] instead of a repetition.
    pub idempotency_keys: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(5),
            connect_patience: Duration::from_secs(1),
            idempotency_keys: true,
        }
    }
}

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Consistency {
    /// What the cluster's settings say, linearizable unless changed.
    #[default]
    Default,
    /// Sees every write that was answered before the read began.
    Linearizable,
    /// Whatever the called node has applied, at once.
    Stale,
}

/// What a read asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// How fresh the answer must be.
    pub consistency: Consistency,
    /// The log index the node must have applied before it answers, such as that of an own earlier write.
    pub at_least: Option<u64>,
}

impl Client {
    /// Makes a client of the nodes at `addresses`, with the default patience.
    ///
    /// An address is `host:port` or `http://host:port`. Nothing is sent before the first call.
    pub fn new(addresses: Vec<String>) -> Result<Self, AddressError> {
        Self::with_options(addresses, ClientOptions::default())
    }

    /// Makes a client of the nodes at `addresses`; see [`Client::new`].
    pub fn with_options(addresses: Vec<String>, options: ClientOptions) -> Result<Self, AddressError> {
        let nodes = AddressBook::parse(&addresses)?;
        let http = reqwest::Client::builder()
            // A proxy from the environment would hide which node answered, and cannot reach loopback.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(1).min(options.attempt_timeout))
            .user_agent(concat!("capstan/", env!("CARGO_PKG_VERSION")))
            .build()
            .expect("a client without TLS and proxies builds from constants");
        Ok(Self { nodes: Arc::new(nodes), http, options, credentials: None, token: None })
    }

    /// The same client, whose calls under `/v1` bring this name and password of the nodes' configuration. They open nothing else, so nothing
    /// else brings them.
    pub fn with_credentials(mut self, username: &str, password: &str) -> Self {
        let encoded = BASE64_STANDARD.encode(format!("{username}:{password}"));
        self.credentials = Some(sensitive(format!("Basic {encoded}")).expect("base64 is legal in a header"));
        self
    }

    /// The same client, whose calls bring this token.
    ///
    /// # Errors
    /// [`InvalidToken`] for what has no id or no secret, or cannot stand in a header.
    pub fn with_token(mut self, token: &str) -> Result<Self, InvalidToken> {
        let has_both = token.split_once('.').is_some_and(|(id, secret)| !id.is_empty() && !secret.is_empty());
        let header = sensitive(format!("Bearer {token}")).filter(|_| has_both);
        self.token = Some(header.ok_or(InvalidToken)?);
        Ok(self)
    }

    /// The nodes' addresses as URLs, in the order given.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.all()
    }
}

/// A text that is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is ID.SECRET, as it was told when it was made")]
pub struct InvalidToken;

/// A header's value that is not shown; `None` for what cannot stand in a header.
fn sensitive(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Encodes a name as one segment of a path. Nothing, and the two names that URLs give a meaning of their own, would
/// reach another resource and are refused.
fn segment(name: &str) -> Result<String, CallError> {
    /// Everything but what RFC 3986 calls unreserved.
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    match name {
        "" | "." | ".." => Err(CallError::InvalidName { name: name.to_owned() }),
        _ => Ok(utf8_percent_encode(name, ESCAPED).to_string()),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("nodes", &self.addresses()).field("options", &self.options).finish()
    }
}
