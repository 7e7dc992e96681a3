//! Few finished requests are kept, settings change, and clients read lists through meanwhile: by pages, and as an export.
//!
//! What may be trimmed and in which order is judged by `invariants/what_is_kept_stays.rs`, what is left of it by
//! `invariants/trimmed_leave_nothing.rs`; what lists must show follows from `requests/listing.rs`.

mod keeper;

use std::{cell::Cell, collections::BTreeSet, rc::Rc, sync::Arc, time::Duration};

use capstan_client::{NEXT_HEADER, cluster::ExportedRequest, spin_cycle::Request as RequestBody};
use capstan_model::sometimes;
use http::{Method, StatusCode};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};

pub(crate) use self::keeper::keep_few;
use crate::{
    calls::{Answer, Bearer, Call, Calls, index_of},
    net::Net,
    oracle::Oracle,
    requests::listing::{Lifetimes, Listing},
};

/// The longest page that a walk asks for.
const PAGE_MAX: u64 = 7;
/// How often a page is asked for before a walk is given up.
const ATTEMPTS_MAX: u32 = 4;

/// How few finished requests are kept, and how busy those are that look at them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionLoad {
    /// How many finished requests are kept at the most, by commands of the run; `None` when only the settings say.
    pub kept: Option<u64>,
    /// For how long they are kept at the most, in the same way.
    #[serde(with = "humantime_serde")]
    pub age: Option<Duration>,
    /// How many clients read lists through and change settings.
    pub clients: u64,
    /// The longest pause between two calls of a client.
    #[serde(with = "humantime_serde")]
    pub think_max: Duration,
}

impl RetentionLoad {
    /// Draws one; half of the runs keep everything.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let is_on = rng.random_bool(0.5);
        let (by_count, by_age) = (rng.random_bool(0.7), rng.random_bool(0.5));
        let (kept, age) = (3 << rng.random_range(0..5), Duration::from_secs(5 << rng.random_range(0..4)));
        Self {
            kept: (is_on && by_count).then_some(kept),
            age: (is_on && by_age).then_some(age),
            clients: if rng.random_bool(0.5) { rng.random_range(1..=2) } else { 0 },
            think_max: Duration::from_millis(500 << rng.random_range(0..4)),
        }
    }

    /// Whether anything is trimmed before the settings ask for it.
    pub(crate) fn keeps_few(&self) -> bool {
        self.kept.is_some() || self.age.is_some()
    }
}

/// What all these clients share.
#[derive(Clone)]
pub(crate) struct Readers {
    calls: Calls,
    is_closed: Rc<Cell<bool>>,
}

impl Readers {
    /// Nothing was called yet.
    pub(crate) fn new(net: Arc<Net>, oracle: Arc<Oracle>) -> Self {
        Self { calls: Calls::new(net, oracle, "retention"), is_closed: Rc::default() }
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
    pub(crate) fn client(&self, seed: u64) -> Reader {
        Reader { rng: SmallRng::seed_from_u64(seed), shared: self.clone() }
    }
}

/// One client.
pub(crate) struct Reader {
    rng: SmallRng,
    shared: Readers,
}

impl Reader {
    /// Calls until the workload is closed.
    pub(crate) async fn run(mut self, think_max: Duration) {
        while !self.shared.is_closed.get() {
            tokio::time::sleep(self.rng.random_range(Duration::ZERO..=think_max)).await;
            match self.rng.random_range(0..8) {
                0 => self.set().await,
                1..3 => self.export().await,
                _ => self.walk().await,
            }
        }
    }

    /// Changes one of the settings, which no run reaches.
    async fn set(&mut self) {
        let (name, value) = match self.rng.random() {
            true => ("archive_days", self.rng.random_range(1..=30)),
            false => ("archive_requests_max", self.rng.random_range(1_000..=1_000_000)),
        };
        let call =
            Call::new(Method::PUT, format!("/cluster/v1/settings/{name}")).with_body(value.to_string());
        let answer = self.shared.calls.write(&mut self.rng, &call, &Bearer::Everybody).await;
        if let Answer::Response(response) = answer
            && response.status() != StatusCode::OK
        {
            self.shared.calls.misunderstood("a change of a setting", &response);
        }
    }

    /// Exports all requests: they are those of the state at the index that the answer names.
    async fn export(&mut self) {
        let call = Call::new(Method::GET, "/cluster/v1/requests/export");
        let Some((index, bytes)) = self.shared.calls.stream(&mut self.rng, &call).await else { return };
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let read: Result<Vec<ExportedRequest>, _> = lines.map(serde_json::from_slice).collect();
        let oracle = self.shared.calls.oracle();
        match read {
            Ok(lines) => {
                let requests =
                    lines.into_iter().map(|it| (it.request.id, it.request.state.name().to_owned()));
                let upto = oracle.committed_state().index();
                let listing = Listing { index, upto, requests: requests.collect() };
                if let Err(found) = oracle.with_lifetimes(|lifetimes| lifetimes.check(&listing)) {
                    oracle.violated("an export is the state at its index", found);
                }
            }
            Err(error) => oracle.violated("every line of an export can be read", error.to_string()),
        }
    }

    /// Reads the list through by pages, each through any node: what is there all the time is shown, and nothing twice.
    async fn walk(&mut self) {
        let limit = self.rng.random_range(1..=PAGE_MAX);
        let mut shown: Vec<String> = Vec::new();
        let (mut first, mut after) = (None, None);
        loop {
            let query = after.as_ref().map(|after| format!("&after={after}")).unwrap_or_default();
            let call = Call::new(Method::GET, format!("/api/v1/requests?limit={limit}{query}"));
            let Some((index, requests, next)) = self.page(&call).await else { return };
            first.get_or_insert(index);
            shown.extend(requests);
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let oracle = self.shared.calls.oracle();
        let upto = oracle.committed_state().index();
        let is_trimmed = oracle.with_lifetimes(Lifetimes::any_trimmed);
        sometimes!("a list is read by pages while requests are trimmed", is_trimmed && shown.len() > 7);
        let seen: BTreeSet<&str> = shown.iter().map(String::as_str).collect();
        if seen.len() != shown.len() {
            return oracle.violated("a list read by pages shows nothing twice", format!("{shown:?}"));
        }
        let first = first.expect("a walk that ends has read a page");
        let missed = oracle.with_lifetimes(|lifetimes| {
            lifetimes.there_throughout(first, upto).find(|id| !seen.contains(id.as_str()))
        });
        if let Some(missed) = missed {
            let found = format!("{missed} was there from index {first} to {upto}, and shown was {shown:?}");
            oracle.violated("a list read by pages shows what is there all the time", found);
        }
    }

    /// One page: its index, the requests on it, and where the next begins.
    async fn page(&mut self, call: &Call) -> Option<(u64, Vec<String>, Option<String>)> {
        for _ in 0..ATTEMPTS_MAX {
            let Answer::Response(response) = self.shared.calls.read(&mut self.rng, call).await else {
                continue;
            };
            let read: Option<Vec<RequestBody>> = serde_json::from_slice(response.body()).ok();
            let (Some(index), Some(read)) = (index_of(&response), read) else {
                self.shared.calls.misunderstood("a page of requests", &response);
                return None;
            };
            let next = response.headers().get(NEXT_HEADER).and_then(|value| value.to_str().ok());
            let next = next.map(str::to_owned);
            return Some((index, read.into_iter().map(|it| it.id).collect(), next));
        }
        None
    }
}
