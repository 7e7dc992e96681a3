//! How a cluster comes to ask who calls, before anything goes wrong.

use std::time::Duration;

use capstan_client::cluster::TokenCreated;
use http::Method;
use rand::{SeedableRng, rngs::SmallRng};
use serde_json::json;

use super::{AuthClients, POLICY, TOKENS};
use crate::calls::{Answer, Bearer, Call};

/// How long to wait before an attempt is repeated that found nobody.
const RETRY_WAIT: Duration = Duration::from_millis(200);

impl AuthClients {
    /// Makes a token that may do everything and lasts, lets everybody call with it, and has the cluster ask for it.
    pub(crate) async fn set_up(&self, seed: u64) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let body = json!({ "name": "everybody", "roles": ["admin"] }).to_string();
        let create = Call::new(Method::POST, TOKENS).with_body(body);
        let token: TokenCreated = self.insist(&mut rng, &create).await;
        self.net.call_as(&format!("Bearer {}", token.token));
        let require = Call::new(Method::PATCH, POLICY).with_body(json!({ "required": true }).to_string());
        let _: serde_json::Value = self.insist(&mut rng, &require).await;
    }

    /// Makes a call, under another key each time, until it is answered with this. A token that is made and not told of does no harm.
    async fn insist<T: serde::de::DeserializeOwned>(&self, rng: &mut SmallRng, call: &Call) -> T {
        loop {
            if let Answer::Response(response) = self.calls.write(rng, call, &Bearer::Everybody).await
                && response.status().is_success()
                && let Ok(read) = serde_json::from_slice(response.body())
            {
                return read;
            }
            tokio::time::sleep(RETRY_WAIT).await;
        }
    }
}
