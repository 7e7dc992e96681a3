//! Clients that use what requests have beyond Spin Cycle: they start requests with timeouts, waits that grow and approvals, decide, pause and
//! resume, go on with what has failed, and ask what would be.

pub(crate) mod cleaner;
pub(super) mod verdict;

use std::time::Duration;

use capstan_client::{
    cluster::{RequestDetail, RequestPlan},
    spin_cycle::State,
};
use capstan_model::sometimes;
use http::{Method, StatusCode};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, Asked, RequestClient, RequestLoad, Requests, Start, specs};

/// The first number of such a client: those of [`super`] have smaller ones, and tags are made of them.
const FIRST_CLIENT: u64 = 500;
/// What their choices follow from beside the seed.
const CLIENTS: u64 = 0xc0de;
/// How long a process runs at the most, in a request that has a timeout for it.
const LONG_MAX: Duration = Duration::from_secs(60);
/// The kinds in which everything that runs has one.
const TIMED: [&str; 3] = ["release", "bounded", "signed"];
/// The kinds of requests they start.
const KINDS: [&str; 7] =
    ["release", "bounded", "growing", "signed", "disputed", "spread", specs::DRAWN_BEYOND];
/// The one of them that takes a list of items, and the longest list.
const WITH_ITEMS: &str = "spread";
const ITEMS_MAX: u64 = 5;

/// How busy the clients are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeyondLoad {
    /// How many there are.
    pub clients: u64,
    /// The longest pause between two calls of a client.
    #[serde(with = "humantime_serde")]
    pub think_max: Duration,
    /// How likely the processes of a request with timeouts run for up to a minute, so that their time is over before.
    pub long_odds: f64,
    /// How often each kind of call is made.
    pub mix: Mix,
}

/// How often each kind of call is made, in proportion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// A request is started.
    pub start: u32,
    /// An approval is decided.
    pub decide: u32,
    /// A request is paused.
    pub pause: u32,
    /// A request is let go on.
    pub resume: u32,
    /// A finished request is gone on with.
    pub go_on: u32,
    /// It is asked what a request would be.
    pub plan: u32,
    /// A request is stopped.
    pub stop: u32,
}

/// Plans of before there were such clients have none.
impl Default for BeyondLoad {
    fn default() -> Self {
        let mix = Mix { start: 1, decide: 1, pause: 1, resume: 1, go_on: 1, plan: 1, stop: 1 };
        Self { clients: 0, think_max: Duration::from_secs(1), long_odds: 0.0, mix }
    }
}

impl BeyondLoad {
    /// Draws one; four runs in ten have no such clients.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        if rng.random_bool(0.4) {
            return Self::default();
        }
        let mut weight = |odds, most| if rng.random_bool(odds) { rng.random_range(1..=most) } else { 0 };
        let mix = Mix {
            start: 6,
            decide: weight(0.8, 8),
            pause: weight(0.6, 3),
            resume: weight(0.6, 4),
            go_on: weight(0.7, 4),
            plan: weight(0.3, 2),
            stop: weight(0.4, 2),
        };
        Self {
            clients: rng.random_range(1..=3),
            think_max: Duration::from_millis(500 << rng.random_range(0..3)),
            long_odds: if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.1..0.6) },
            mix,
        }
    }
}

/// A decision as its client knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decided {
    request: String,
    approved: bool,
    /// Names it.
    comment: String,
    /// Whether it was told to have been done; `None` if nobody knows.
    is_done: Option<bool>,
}

/// One such client.
pub struct BeyondClient {
    load: BeyondLoad,
    caller: RequestClient,
    /// Counts what it decided.
    decided: u64,
}

impl Requests {
    /// All such clients of a run; their choices follow from the seed.
    pub fn beyond_clients(&self, load: &BeyondLoad, seed: u64, run_max: Duration) -> Vec<BeyondClient> {
        let mut rng = SmallRng::seed_from_u64(seed ^ CLIENTS);
        let of_caller = RequestLoad {
            clients: load.clients,
            think_max: load.think_max,
            run_max,
            long_odds: load.long_odds,
            slots: 0,
        };
        let numbers = FIRST_CLIENT..FIRST_CLIENT + load.clients;
        numbers
            .map(|id| {
                let caller = self.client(id, rng.random(), &of_caller);
                BeyondClient { load: load.clone(), caller, decided: 0 }
            })
            .collect()
    }
}

impl BeyondClient {
    /// Calls until the workload is closed.
    pub async fn run(mut self) {
        let Mix { start, decide, pause, resume, go_on, plan, stop } = self.load.mix;
        let weights = [start, decide, pause, resume, go_on, plan, stop];
        while !self.caller.requests.is_closed.get() {
            let think = self.caller.rng.random_range(Duration::ZERO..=self.load.think_max);
            tokio::time::sleep(think).await;
            let mut draw = self.caller.rng.random_range(0..weights.iter().sum());
            let passed = |weight: &&u32| {
                let is_passed = draw >= **weight;
                draw = draw.saturating_sub(**weight);
                is_passed
            };
            let kind = weights.iter().take_while(passed).count();
            match (kind, self.caller.choose()) {
                (0, _) | (_, None) => self.start().await,
                (1, Some((place, id))) => self.decide(place, &id).await,
                (2, Some((_, id))) => self.hold(&id, "pause").await,
                (3, Some((_, id))) => self.hold(&id, "resume").await,
                (4, _) => self.go_on().await,
                (5, _) => self.dry_run().await,
                (_, Some(known)) => self.caller.stop(known).await,
            }
        }
    }

    async fn start(&mut self) {
        let rng = &mut self.caller.rng;
        let program = match rng.random_range(0..8) {
            0 => "deaf",
            1..4 => "moody",
            _ => "work",
        };
        let kind = KINDS[rng.random_range(0..KINDS.len())];
        let is_long = rng.random_bool(self.load.long_odds) && TIMED.contains(&kind);
        let run_max = if is_long { LONG_MAX } else { self.caller.load.run_max };
        let runs = rng.random_range(Duration::ZERO..run_max);
        let fails = if rng.random_bool(0.5) { rng.random_range(0..4) } else { 0 };
        let items = (kind == WITH_ITEMS).then(|| self.caller.rng.random_range(2..=ITEMS_MAX));
        self.caller.ask_for(kind, program, (runs, fails), items).await;
    }

    /// Decides the first approval that waits, if one does.
    async fn decide(&mut self, place: usize, id: &str) {
        let Some(detail) = self.look(place, id).await else { return };
        let Some(awaited) = detail.awaiting.first() else { return };
        self.decided += 1;
        let approved = self.caller.rng.random_bool(0.6);
        let comment = format!("word-{}-{}", self.caller.id, self.decided);
        let verb = if approved { "approve" } else { "reject" };
        let path = format!("/cluster/v1/requests/{id}/jobs/{}/{verb}", awaited.job_id);
        let place = {
            let mut decided = self.caller.requests.decided.borrow_mut();
            let (request, comment) = (id.to_owned(), comment.clone());
            decided.push(Decided { request, approved, comment, is_done: None });
            decided.len() - 1
        };
        let answer = self.caller.call(Method::POST, path, &json!({ "comment": comment }).to_string()).await;
        let is_done = match answer {
            Answer::Response(response) if self.caller.is_trimmed(id, &response) => None,
            Answer::Response(response) => match response.status() {
                StatusCode::OK => Some(true),
                StatusCode::CONFLICT => {
                    sometimes!("a decision comes too late");
                    Some(false)
                }
                _ => {
                    self.caller.misunderstood("a decision", &response);
                    None
                }
            },
            Answer::NotDone => Some(false),
            Answer::Unknown => None,
        };
        self.caller.requests.decided.borrow_mut()[place].is_done = is_done;
    }

    /// Pauses or resumes.
    async fn hold(&mut self, id: &str, verb: &str) {
        let answer = self.caller.call(Method::PUT, format!("/cluster/v1/requests/{id}/{verb}"), "").await;
        if let Answer::Response(response) = answer
            && !matches!(response.status(), StatusCode::OK | StatusCode::CONFLICT)
            && !self.caller.is_trimmed(id, &response)
        {
            self.caller.misunderstood("a pause or its end", &response);
        }
    }

    /// Goes on with some request that was seen to have failed, or to be stopped.
    async fn go_on(&mut self) {
        let Some((tag, id)) = self.choose_failed() else { return };
        let path = format!("/cluster/v1/requests/{id}/retry");
        let rng = &mut self.caller.rng;
        let is_preview = rng.random_bool(0.2);
        // How long what comes late in a release runs; other kinds have no such arg.
        let args = match rng.random_bool(0.3) {
            true => json!({ "late": format!("{} 0 {tag}", rng.random_range(0..300)) }),
            false => json!({}),
        };
        let has_args = args != json!({});
        let body = json!({ "args": args, "preview": is_preview }).to_string();
        if is_preview {
            if let Answer::Response(response) = self.caller.call(Method::POST, path, &body).await
                && !(has_args && is_refused(response.status()))
                && !self.caller.is_trimmed(&id, &response)
            {
                self.caller.understood::<RequestPlan>("a look at how to go on", &response);
            }
            return;
        }
        let place = {
            let mut asked = self.caller.requests.asked.borrow_mut();
            asked.push(Asked { tag, start: Start::Unknown, end: None, retry_of: Some(id.clone()) });
            asked.len() - 1
        };
        let start = match self.caller.call(Method::POST, path, &body).await {
            Answer::Response(response) if has_args && is_refused(response.status()) => Start::NotDone,
            // The one, or the other before its client was told.
            Answer::Response(response) if self.caller.has_trimmed(&response) => Start::Unknown,
            Answer::Response(response) => {
                let new = self.caller.read::<RequestDetail>(&response);
                match new.filter(|_| response.status() == StatusCode::CREATED) {
                    Some(new) => {
                        sometimes!(
                            "a request goes on with what was complete",
                            new.jobs.iter().any(|job| job.kept)
                        );
                        Start::Done(new.id)
                    }
                    None => {
                        self.caller.misunderstood("a retry", &response);
                        Start::Unknown
                    }
                }
            }
            Answer::NotDone => Start::NotDone,
            Answer::Unknown => Start::Unknown,
        };
        self.caller.requests.asked.borrow_mut()[place].start = start;
    }

    async fn dry_run(&mut self) {
        let kind = KINDS[self.caller.rng.random_range(0..KINDS.len())];
        let mut body = json!({ "type": kind, "args": { "cmd": "work", "args": "0 0 planned" } });
        if kind == WITH_ITEMS {
            body["args"]["items"] = json!(["one", "two"]);
        }
        let path = "/cluster/v1/requests?dry_run".to_owned();
        let answer = self.caller.call(Method::POST, path, &body.to_string()).await;
        if let Answer::Response(response) = answer {
            self.caller.understood::<RequestPlan>("a dry run", &response);
        }
    }

    /// A request as it is; one that was acknowledged is found.
    async fn look(&mut self, place: usize, id: &str) -> Option<RequestDetail> {
        let answer = self.caller.call(Method::GET, format!("/cluster/v1/requests/{id}"), "").await;
        let Answer::Response(response) = answer else { return None };
        if self.caller.is_trimmed(id, &response) {
            return None;
        }
        let detail: RequestDetail = self.caller.understood("a look at a request", &response)?;
        let ends = [State::Complete, State::Fail, State::Stopped];
        if let Some(end) = ends.into_iter().find(|end| end.name() == detail.state) {
            self.caller.note_end(place, end);
        }
        Some(detail)
    }

    /// One of the newest that have ended otherwise than complete: its tag and its id.
    fn choose_failed(&mut self) -> Option<(String, String)> {
        let asked = self.caller.requests.asked.borrow();
        let failed: Vec<_> = asked.iter().rev().filter_map(Asked::failed).take(super::STORM_MAX).collect();
        let chosen = self.caller.rng.random_range(0..failed.len().max(1));
        failed.get(chosen).map(|(tag, id)| ((*tag).to_owned(), (*id).to_owned()))
    }
}

/// Whether other args are refused: nothing that is left to run uses them, or they are none of the request's.
fn is_refused(status: StatusCode) -> bool {
    matches!(status, StatusCode::CONFLICT | StatusCode::BAD_REQUEST)
}
