//! Clients that push request specs, go back to older ones, read them and start requests of them, through any node.
//!
//! What they are told of their writes is compared with the log in the end ([`Calls::judge`]); what they read, with the state at its index at
//! once. The model of versions is in `history/spec_versions.rs`, and what requests are built from in `invariants/requests_keep_their_specs.rs`.

mod directories;
pub(crate) mod marked;

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use capstan_client::{
    cluster::{SpecText, SpecsList, SpecsPush, SpecsPushed},
    spin_cycle::Request as RequestBody,
};
use capstan_model::sometimes;
use http::{Method, Response, StatusCode, header};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use self::directories::Directories;
use crate::{
    calls::{Answer, Bearer, Call, Calls, index_of},
    net::Net,
    oracle::{Observation, Oracle},
};

/// Where specs are pushed to, and read.
const PATH: &str = "/cluster/v1/specs";
/// The header that names the specs that a request was built from.
const SPECS_HEADER: &str = "x-capstan-specs";
/// How likely a push has the mark of others, so that its content may be an older version's.
const COMMON_MARK_ODDS: f64 = 0.2;
/// How many such marks there are.
const COMMON_MARKS: u64 = 3;
/// How likely a push is of specs that are wrong.
const WRONG_ODDS: f64 = 0.05;
/// How likely a client reads which version is current before it replaces it.
const LOOK_ODDS: f64 = 0.7;
/// How long a job of a marked request runs at the most, in milliseconds.
const RUN_MS_MAX: u64 = 3_000;

/// How busy those are that change specs, and whether nodes seed a new cluster with theirs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecLoad {
    /// Whether nodes have directories of their own, and give them to a cluster that has no specs, as real ones do.
    pub is_seeded: bool,
    /// How many clients there are; of an unseeded cluster the first push brings the first specs.
    pub clients: u64,
    /// The longest pause between two calls of a client.
    #[serde(with = "humantime_serde")]
    pub think_max: Duration,
}

impl SpecLoad {
    /// Draws one; a fifth of the runs is left without specs of the cluster, and half of the others without clients that change them.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let has_clients = rng.random_bool(0.5);
        Self {
            is_seeded: rng.random_bool(0.8),
            clients: if has_clients { rng.random_range(1..=3) } else { 0 },
            think_max: Duration::from_millis(500 << rng.random_range(0..5)),
        }
    }
}

/// What all these clients share.
#[derive(Clone)]
pub(crate) struct SpecClients {
    calls: Calls,
    specs_seed: u64,
    is_closed: Rc<Cell<bool>>,
}

impl SpecClients {
    /// Nothing was called yet.
    pub(crate) fn new(net: Arc<Net>, oracle: Arc<Oracle>, specs_seed: u64) -> Self {
        Self { calls: Calls::new(net, oracle, "specs"), specs_seed, is_closed: Rc::default() }
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
    pub(crate) fn client(&self, id: u64, seed: u64) -> SpecClient {
        let rng = SmallRng::seed_from_u64(seed);
        SpecClient { id, rng, shared: self.clone(), current: None, kept: Vec::new(), marks: 0 }
    }
}

/// One client.
pub(crate) struct SpecClient {
    id: u64,
    rng: SmallRng,
    shared: SpecClients,
    /// The version that it takes for the current one.
    current: Option<String>,
    /// The versions that it has seen in the last list.
    kept: Vec<String>,
    /// Counts its pushes and starts.
    marks: u64,
}

impl SpecClient {
    /// Calls until the workload is closed.
    pub(crate) async fn run(mut self, think_max: Duration) {
        while !self.shared.is_closed.get() {
            tokio::time::sleep(self.rng.random_range(Duration::ZERO..=think_max)).await;
            match self.rng.random_range(0..10) {
                0..3 => self.push().await,
                3 => self.revert().await,
                4..6 => self.look().await,
                _ => self.start().await,
            }
        }
    }

    async fn push(&mut self) {
        if self.rng.random_bool(LOOK_ODDS) {
            self.look().await;
        }
        self.marks += 1;
        let mark = match self.rng.random_bool(COMMON_MARK_ODDS) {
            true => format!("common-{}", self.rng.random_range(0..COMMON_MARKS)),
            false => format!("{}x{}", self.id, self.marks),
        };
        let files = marked::files(self.shared.specs_seed, &mark).into_iter();
        let mut files: Vec<SpecText> =
            files.map(|file| SpecText { path: file.path.to_string(), text: file.text.to_string() }).collect();
        let is_wrong = self.rng.random_bool(WRONG_ODDS);
        if is_wrong {
            files.push(SpecText { path: "wrong.yaml".to_owned(), text: "sequences: [".to_owned() });
        }
        let body = serde_json::to_string(&SpecsPush { files }).expect("wire types are plain data");
        let call = self.conditional(Call::new(Method::PUT, PATH).with_body(body));
        let Answer::Response(response) =
            self.shared.calls.write(&mut self.rng, &call, &Bearer::Everybody).await
        else {
            return;
        };
        if is_wrong != (response.status() == StatusCode::BAD_REQUEST) {
            self.shared.calls.misunderstood("a push", &response);
        }
        self.heed_push("a push", &response);
    }

    async fn revert(&mut self) {
        if self.rng.random_bool(LOOK_ODDS) {
            self.look().await;
        }
        let Some(to) = self.kept.get(self.rng.random_range(0..self.kept.len().max(1))).cloned() else {
            return;
        };
        let call = self.conditional(Call::new(Method::POST, format!("{PATH}/{to}/revert")));
        let Answer::Response(response) =
            self.shared.calls.write(&mut self.rng, &call, &Bearer::Everybody).await
        else {
            return;
        };
        self.heed_push("a revert", &response);
    }

    /// Replaces what this client takes for the current version.
    fn conditional(&self, call: Call) -> Call {
        match &self.current {
            Some(current) => call.with(header::IF_MATCH, &format!("\"{current}\"")),
            None => call.with(header::IF_NONE_MATCH, "*"),
        }
    }

    fn heed_push(&mut self, what: &str, response: &Response<Bytes>) {
        match response.status() {
            StatusCode::OK => match serde_json::from_slice::<SpecsPushed>(response.body()) {
                Ok(pushed) => self.current = Some(pushed.version),
                Err(_) => self.shared.calls.misunderstood(what, response),
            },
            StatusCode::PRECONDITION_FAILED => {
                sometimes!("a push finds other specs than its sender saw");
            }
            // A revert to a version that has gone, or that its node has not heard of.
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => {}
            _ => self.shared.calls.misunderstood(what, response),
        }
    }

    /// Lists the versions. An acknowledged push is among them, and they are those of the state at the answer's index.
    async fn look(&mut self) {
        let least = self.shared.calls.seen();
        let call = Call::new(Method::GET, PATH);
        let Answer::Response(response) = self.shared.calls.read(&mut self.rng, &call).await else { return };
        let list = serde_json::from_slice::<SpecsList>(response.body()).ok();
        let (Some(index), Some(list)) = (index_of(&response), list) else {
            return self.shared.calls.misunderstood("a list of specs", &response);
        };
        let oracle = self.shared.calls.oracle();
        if index < least {
            let found = format!("index {least} had been answered before, and then {index}");
            oracle.violated("an acknowledged push is seen by every later read", found);
        }
        let shown: Vec<(u64, String)> =
            list.versions.iter().map(|version| (version.number, version.version.clone())).collect();
        let there = oracle.state_at(index).map(|state| {
            let versions = state.specs.versions().rev();
            versions.map(|version| (version.number.0, version.id.to_string())).collect::<Vec<_>>()
        });
        if there.as_ref() != Some(&shown) || list.current.as_ref() != shown.first().map(|(_, id)| id) {
            let found = format!("index {index} has {there:?}, and {list:?} was shown");
            oracle.violated("a list of specs is the state at its index", found);
        }
        self.current = list.current;
        self.kept = shown.into_iter().map(|(_, id)| id).collect();
    }

    async fn start(&mut self) {
        self.marks += 1;
        let words = format!("{} 0 mark-{}-{}", self.rng.random_range(0..RUN_MS_MAX), self.id, self.marks);
        let body = json!({ "type": marked::MARKED, "args": { "cmd": "work", "args": words } });
        let call = Call::new(Method::POST, "/api/v1/requests").with_body(body.to_string());
        let Answer::Response(response) =
            self.shared.calls.write(&mut self.rng, &call, &Bearer::Everybody).await
        else {
            return;
        };
        match response.status() {
            StatusCode::CREATED => {
                let Ok(started) = serde_json::from_slice::<RequestBody>(response.body()) else {
                    return self.shared.calls.misunderstood("a start", &response);
                };
                let specs = response.headers().get(SPECS_HEADER).and_then(|value| value.to_str().ok());
                let oracle = self.shared.calls.oracle();
                oracle.observe(&Observation::StartTold { request: &started.id, specs });
            }
            // The specs of an unseeded cluster lack it until somebody has pushed some, and those of others may change too fast.
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::CONFLICT => {}
            _ => self.shared.calls.misunderstood("a start", &response),
        }
    }
}
