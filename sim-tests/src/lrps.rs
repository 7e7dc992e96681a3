//! Clients that desire, scale, kill and delete LRPs, keep domains fresh for a while, and give tasks, by HTTP calls through any node.
//!
//! Every LRP and every change of one carries a mark of its own in its annotation, by which it is found in the log. The programs are those of
//! simulated machines; an LRP of one that does not serve for good is ill, and is removed in the end (`cleaner`).

mod bodies;
mod calls;
pub(crate) mod cleaner;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use capstan_model::lrp::cell::{Capacity, RootfsProviders};
use http::{Method, StatusCode, header::ETAG};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};

use self::calls::{Answer, Call};
use crate::{
    net::{Net, Place},
    oracle::{Observation, Oracle},
};

/// The domains that are kept fresh.
const DOMAINS: [&str; 3] = ["apps", "batch", "dusty"];
/// How likely a change of an LRP asks for the tag that was read just before.
const IF_MATCH_ODDS: f64 = 0.3;
/// How long its owner thinks about what was read, at the most: others may change it meanwhile.
const THOUGHT_MAX: Duration = Duration::from_millis(300);
/// The highest index that is killed.
const KILLED_MAX: u32 = 4;
/// The longest that a domain is fresh, in seconds.
const TTL_MAX: u64 = 20;

/// How busy the clients are, and what there is for what they ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LrpLoad {
    /// How many clients there are.
    pub clients: u64,
    /// How many LRPs they share, and how many tasks.
    pub names: u64,
    /// The most instances of an LRP.
    pub instances_max: u32,
    /// The longest pause between two calls of a client.
    #[serde(with = "humantime_serde")]
    pub think_max: Duration,
    /// How often each kind of call is made.
    pub mix: Mix,
    /// What each node has as a cell.
    pub cells: CellLoad,
}

/// How often each kind of call is made, in proportion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// An LRP is desired.
    pub desire: u32,
    /// An LRP is changed.
    pub scale: u32,
    /// An index is killed.
    pub kill: u32,
    /// An LRP is not desired any more.
    pub remove: u32,
    /// A domain is fresh.
    pub domain: u32,
    /// A task is given, cancelled or deleted.
    pub task: u32,
    /// Something is read.
    pub look: u32,
}

/// What each node has as a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellLoad {
    /// Over how many zones they are spread.
    pub zones: u64,
    /// In MiB.
    pub memory_mb: u32,
    /// In MiB.
    pub disk_mb: u32,
    /// How many instances and tasks at a time.
    pub containers: u32,
}

/// Plans of before there were clients of LRPs have none.
impl Default for LrpLoad {
    fn default() -> Self {
        Self {
            clients: 0,
            names: 1,
            instances_max: 1,
            think_max: Duration::from_secs(1),
            mix: Mix { desire: 1, scale: 1, kill: 1, remove: 1, domain: 1, task: 1, look: 1 },
            cells: CellLoad { zones: 1, memory_mb: 1_024, disk_mb: 1_024, containers: 32 },
        }
    }
}

impl CellLoad {
    /// Where a node stands.
    pub(crate) fn zone(&self, node: Place) -> Arc<str> {
        format!("z{}", node % self.zones.max(1)).into()
    }

    /// What it has.
    pub(crate) fn capacity(&self) -> Capacity {
        Capacity { memory_mb: self.memory_mb, disk_mb: self.disk_mb, containers: self.containers }
    }

    /// What it can start instances from: every second one knows one more.
    pub(crate) fn rootfs(&self, node: Place) -> RootfsProviders {
        let preloaded =
            if node.is_multiple_of(2) { vec!["sim".into(), "rare".into()] } else { vec!["sim".into()] };
        RootfsProviders { preloaded, schemes: vec!["docker".into()] }
    }
}

/// A call that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// What was asked for.
    pub asked: Asked,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it was sent once, through one node.
    pub is_sent_once: bool,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// An LRP with this mark in its annotation.
    Desire(String),
    /// A change of an LRP that leaves this mark in its annotation.
    Update(String),
    /// The removal of an LRP.
    Remove(String),
    /// The end of the instance of an index.
    Kill(String, u32),
    /// That a domain is fresh for so many seconds; for ever without.
    Domain(String, Option<u64>),
    /// A task with this mark in its annotation.
    Task(String),
    /// The end of a task.
    Cancel(String),
    /// The removal of a task.
    Delete(String),
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done at this index of the log.
    Done(u64),
    /// It was refused: nothing has happened, and nothing will.
    Refused,
    /// Nothing has happened, and nothing will.
    NotDone,
    /// Nobody knows.
    Unknown,
}

/// What all clients of LRPs share.
#[derive(Clone)]
pub struct Lrps {
    net: Arc<Net>,
    oracle: Arc<Oracle>,
    calls: Rc<Cell<u64>>,
    is_closed: Rc<Cell<bool>>,
}

impl Lrps {
    /// Nothing was asked for yet.
    pub fn new(net: Arc<Net>, oracle: Arc<Oracle>) -> Self {
        Self { net, oracle, calls: Rc::default(), is_closed: Rc::default() }
    }

    /// How many calls were made.
    pub fn calls(&self) -> u64 {
        self.calls.get()
    }

    /// Lets no client begin another call.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
    }

    /// A client whose choices follow from the seed.
    pub fn client(&self, id: u64, seed: u64, load: &LrpLoad) -> LrpClient {
        let rng = RefCell::new(SmallRng::seed_from_u64(seed));
        LrpClient { id, rng, load: load.clone(), lrps: self.clone() }
    }
}

/// One client of LRPs.
pub struct LrpClient {
    id: u64,
    rng: RefCell<SmallRng>,
    load: LrpLoad,
    lrps: Lrps,
}

/// A kind of call.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Desire,
    Scale,
    Kill,
    Remove,
    Domain,
    Task,
    Look,
}

impl LrpClient {
    /// Calls until the workload is closed.
    pub async fn run(self) {
        while !self.lrps.is_closed.get() {
            let pause = self.rng.borrow_mut().random_range(Duration::ZERO..=self.load.think_max);
            tokio::time::sleep(pause).await;
            match self.kind() {
                Some(Kind::Desire) => self.desire().await,
                Some(Kind::Scale) => self.scale().await,
                Some(Kind::Kill) => self.kill().await,
                Some(Kind::Remove) => self.remove().await,
                Some(Kind::Domain) => self.domain().await,
                Some(Kind::Task) => self.task().await,
                Some(Kind::Look) => self.look().await,
                None => return,
            }
        }
    }

    fn kind(&self) -> Option<Kind> {
        let Mix { desire, scale, kill, remove, domain, task, look } = self.load.mix;
        let kinds = [
            (Kind::Desire, desire),
            (Kind::Scale, scale),
            (Kind::Kill, kill),
            (Kind::Remove, remove),
            (Kind::Domain, domain),
            (Kind::Task, task),
            (Kind::Look, look),
        ];
        let sum: u32 = kinds.iter().map(|(_, weight)| weight).sum();
        if sum == 0 {
            return None;
        }
        let mut left = self.draw(u64::from(sum));
        kinds.into_iter().find_map(|(kind, weight)| {
            let is_it = left < u64::from(weight);
            left = left.saturating_sub(u64::from(weight));
            is_it.then_some(kind)
        })
    }

    /// Below a bound.
    fn draw(&self, bound: u64) -> u64 {
        self.rng.borrow_mut().random_range(0..bound.max(1))
    }

    fn name(&self) -> String {
        format!("lrp-{}", self.draw(self.load.names))
    }

    /// Like no other.
    fn mark(&self) -> String {
        format!("mark-{}-{}", self.id, self.lrps.calls.get())
    }

    fn instances(&self) -> u32 {
        self.rng.borrow_mut().random_range(0..=self.load.instances_max)
    }

    async fn desire(&self) {
        let (guid, mark, instances) = (self.name(), self.mark(), self.instances());
        let body = bodies::lrp(&mut self.rng.borrow_mut(), &guid, &mark, instances, &self.load);
        let call = Call::new(Method::POST, "/v1/desired_lrps".to_owned()).with_body(body);
        self.write(Asked::Desire(mark), call).await;
    }

    async fn scale(&self) {
        let (guid, mark, instances) = (self.name(), self.mark(), self.instances());
        let path = format!("/v1/desired_lrps/{guid}");
        let mut call = Call::new(Method::PUT, path.clone()).with_body(bodies::update(&mark, instances));
        let has_condition = self.rng.borrow_mut().random_bool(IF_MATCH_ODDS);
        if has_condition && let Answer::Response(response) = self.read(path).await {
            call.if_match = response.headers().get(ETAG).cloned();
            let thought = self.rng.borrow_mut().random_range(Duration::ZERO..=THOUGHT_MAX);
            tokio::time::sleep(thought).await;
        }
        self.write(Asked::Update(mark), call).await;
    }

    async fn kill(&self) {
        let (guid, index) = (self.name(), self.rng.borrow_mut().random_range(0..KILLED_MAX));
        let call = Call::new(Method::DELETE, format!("/v1/actual_lrps/{guid}/index/{index}"));
        self.write(Asked::Kill(guid, index), call).await;
    }

    async fn remove(&self) {
        let guid = self.name();
        let call = Call::new(Method::DELETE, format!("/v1/desired_lrps/{guid}"));
        self.write(Asked::Remove(guid), call).await;
    }

    async fn domain(&self) {
        let domain = DOMAINS[self.draw(DOMAINS.len() as u64) as usize].to_owned();
        let ttl = Some(self.draw(TTL_MAX)).filter(|ttl| *ttl > 0);
        let mut call = Call::new(Method::PUT, format!("/v1/domains/{domain}"));
        call.max_age = ttl;
        self.write(Asked::Domain(domain, ttl), call).await;
    }

    async fn task(&self) {
        let guid = format!("task-{}", self.draw(self.load.names));
        let (asked, call) = match self.draw(4) {
            0 => (Asked::Cancel(guid.clone()), Call::new(Method::POST, format!("/v1/tasks/{guid}/cancel"))),
            1 => (Asked::Delete(guid.clone()), Call::new(Method::DELETE, format!("/v1/tasks/{guid}"))),
            _ => {
                let mark = self.mark();
                let body = bodies::task(&mut self.rng.borrow_mut(), &guid, &mark, &self.load);
                (Asked::Task(mark), Call::new(Method::POST, "/v1/tasks".to_owned()).with_body(body))
            }
        };
        self.write(asked, call).await;
    }

    async fn look(&self) {
        let path = match self.draw(6) {
            0 => "/v1/desired_lrps".to_owned(),
            1 => "/v1/actual_lrps".to_owned(),
            2 => format!("/v1/actual_lrps/{}", self.name()),
            3 => "/v1/domains".to_owned(),
            4 => "/v1/tasks".to_owned(),
            _ => "/v1/cells".to_owned(),
        };
        if let Answer::Response(response) = self.read(path.clone()).await
            && response.status() != StatusCode::OK
        {
            self.misunderstood(&path, &response);
        }
    }

    /// Makes a call that changes something, and tells how it ended.
    async fn write(&self, asked: Asked, call: Call) {
        let (answer, is_sent_once) = self.call(&call).await;
        let outcome = match answer {
            Answer::Response(response) => self.outcome(&call, &response),
            Answer::NotDone => Outcome::NotDone,
            Answer::Unknown => Outcome::Unknown,
        };
        self.lrps.oracle.observe(&Observation::LrpCalled(&Called { asked, outcome, is_sent_once }));
    }
}
