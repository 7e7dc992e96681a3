//! Where the calls of `lrp/…` jobs go, and as whom.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use capstan_client::{AddressError, Client, InvalidToken};
use serde::{Deserialize, Serialize};

use super::order::Order;
use crate::config::{Config, Secret};

/// The nodes' HTTP addresses, and what calls bring: a token, or the name and password of `/v1`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surface {
    /// `host:port`; the node's own comes first.
    pub addresses: Vec<String>,
    /// The token, if they ask for one. No more than the password it enters what is replicated.
    pub token: Option<String>,
    /// The name, if they ask for one.
    pub username: Option<String>,
    /// The password, if they ask for one. It never enters what is replicated.
    pub password: Option<String>,
}

/// What the process of a job reads from standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) surface: Surface,
    pub(super) order: Order,
}

/// Why nothing can be called.
#[derive(Debug, thiserror::Error)]
pub(super) enum SurfaceError {
    /// An address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The token is none.
    #[error("jobs.token: {0}")]
    Token(#[from] InvalidToken),
}

impl Surface {
    /// The surface of the cluster of a node, as its configuration knows it.
    pub fn of(config: &Config) -> Self {
        let own = reachable(config.http_listen).to_string();
        let others = config.voters.iter().filter(|voter| voter.id != config.node);
        let addresses = std::iter::once(own).chain(others.map(|voter| voter.http.clone()));
        let credentials = config.receptor.credentials.as_ref();
        Self {
            addresses: addresses.collect(),
            token: config.jobs_token.clone().map(Secret::reveal),
            username: credentials.map(|credentials| credentials.username.clone()),
            password: credentials.map(|credentials| credentials.password.clone()),
        }
    }

    pub(super) fn client(&self) -> Result<Client, SurfaceError> {
        let client = Client::new(self.addresses.clone())?;
        Ok(match (&self.token, &self.username, &self.password) {
            (Some(token), ..) => client.with_token(token)?,
            (None, Some(username), Some(password)) => client.with_credentials(username, password),
            _ => client,
        })
    }
}

impl fmt::Debug for Surface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (addresses, username) = (&self.addresses, &self.username);
        f.debug_struct("Surface")
            .field("addresses", addresses)
            .field("username", username)
            .finish_non_exhaustive()
    }
}

/// Who listens everywhere is called at home.
fn reachable(listened: SocketAddr) -> SocketAddr {
    let ip = match listened.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listened.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_called_at_home() {
        let cases = [("0.0.0.0:8641", "127.0.0.1:8641"), ("[::]:1", "[::1]:1"), ("10.0.0.1:2", "10.0.0.1:2")];
        for (listened, called) in cases {
            assert_eq!(reachable(listened.parse().unwrap()).to_string(), called);
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let surface = Surface { password: Some("secret".to_owned()), ..Surface::default() };
        assert!(!format!("{surface:?}").contains("secret"));
    }
}
