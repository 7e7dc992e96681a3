//! Requests that were created and have ended as a test says, and beside them a plain list of the same.

use std::{collections::BTreeSet, sync::Arc};

use capstan_model::{
    apply::{self, Applied},
    archive::{self, Filter, Page, Place, TrimRequests},
    command::{Command, Entry},
    ids::{Epoch, Incarnation, RequestId, TryNo},
    reply::Reply,
    rows::Table,
    settings::Setting,
    spec::{ArgKind, Specs},
    time::Timestamp,
    workflow::{
        chain::{JobPlace, ValidChain},
        command::{CreateRequest, DecideApproval, FinishTry, RequestArg, StopRequest, TryEnd, TryId},
        json::{JsonMap, JsonText},
        request::{LiveRequest, RequestState},
        terms::{JobData, RetryOf},
        view::RequestSummary,
    },
};
use proptest::{option, prelude::*, sample::select};

use crate::{
    common::{Replica, command_id, entry, incarnation, joined, memory_rows::MemoryRows, sealed},
    workflow_common::{build, report},
};

/// In nanoseconds.
pub(crate) const HOUR: u64 = 3_600 * 1_000_000_000;

const SPECS: &str = "
sequences:
  one: {request: true, nodes: {a: {category: job, type: shell-command}}}
  nothing: {request: true, nodes: {a: {category: job, type: noop}}}
  noops:
    request: true
    args: {required: [{name: l}]}
    nodes: {p: {category: sequence, type: unit, each: ['l:x']}}
  unit: {nodes: {a: {category: job, type: noop}}}
  asks: {request: true, timeout: 1h, nodes: {a: {category: job, type: approval}}}
";

/// A request to be.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// When, in hours.
    pub(crate) created: u64,
    pub(crate) kind: u8,
    pub(crate) user: u8,
    /// Names and JSON values.
    pub(crate) args: Vec<(String, String)>,
    /// How it ends, and after how many seconds; `None` while it runs.
    pub(crate) end: Option<(RequestState, u64)>,
}

/// A value that is too long for a key.
pub(crate) fn long(pick: u8) -> String {
    format!("{}{pick}", "long ".repeat(20))
}

pub(crate) fn any_made() -> impl Strategy<Value = Made> {
    let few = (0..3_u8, 0..3_u8, 0..4_u8).prop_map(|(host, n, kinds)| {
        let mut args = vec![("host".to_owned(), format!("\"{host}\""))];
        // A number is no string.
        args.push(("n".to_owned(), if kinds == 0 { n.to_string() } else { format!("\"{n}\"") }));
        if kinds == 1 {
            args.push(("long".to_owned(), format!("\"{}\"", long(n))));
        }
        args
    });
    let many = (0..3_u8).prop_map(|host| {
        let filling = (0..36).map(|number| (format!("a{number}"), format!("\"{number}\"")));
        filling.chain([("host".to_owned(), format!("\"{host}\""))]).collect()
    });
    let args = prop_oneof![4 => few, 1 => many];
    let state = select(vec![RequestState::Complete, RequestState::Failed, RequestState::Stopped]);
    let took = select(vec![0, 1, 3, 70, 3_600, 20 * 3_600, 50 * 3_600_u64]);
    (0..50_u64, 0..3_u8, 0..3_u8, args, option::weighted(0.8, (state, took)))
        .prop_map(|(created, kind, user, args, end)| Made { created, kind, user, args, end })
}

/// The id of the request of this number.
pub(crate) fn id(number: u8) -> RequestId {
    numbered(number.into())
}

fn numbered(number: u32) -> RequestId {
    RequestId::from_parts(7, (u64::from(number) << 32).to_be_bytes())
}

/// What the plain list says of a request.
struct Told {
    made: Made,
    id: RequestId,
    state: RequestState,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
}

/// A replica with requests, and the plain list.
pub(crate) struct World {
    pub(crate) replica: Replica,
    told: Vec<Told>,
    at: u64,
    seq: u64,
    specs: Arc<Specs>,
}

impl World {
    /// Creates and ends requests, in the order of time.
    pub(crate) fn of(made: &[Made]) -> Self {
        let specs = Arc::new(Specs::load([("specs.yaml", SPECS)]).unwrap());
        let mut world = Self { replica: Replica::default(), told: vec![], at: 0, seq: 0, specs };
        let mut node = joined(1, 1);
        node.slots = 1_000;
        node.job_types.insert(0, "approval".into());
        world.apply(Command::NodeJoined(node)).0.unwrap();
        let chain = world.chain("one", &JsonMap::new());
        let ends = made.iter().enumerate().filter_map(|(number, made)| {
            let (state, secs) = made.end?;
            Some((made.created * HOUR + secs * 1_000_000_000, 1, number, Some(state)))
        });
        let creations = made.iter().enumerate().map(|(number, made)| (made.created * HOUR, 0, number, None));
        let mut steps: Vec<_> = creations.chain(ends).collect();
        steps.sort_by_key(|(at, order, number, _)| (*at, *order, *number));
        for (at, _, number, end) in steps {
            world.at = at;
            match end {
                None => world.create(number, made[number].clone(), chain.clone()),
                Some(state) => world.end(number, state),
            }
        }
        // The last entry is checked, which takes longer than applying all others.
        world.seq += 1;
        let command = sealed(command_id(1, 1, world.seq), None, Command::SetSetting(Setting::ArchiveDays(1)));
        world.replica.apply(world.replica.state.index() + 1, &entry(0, vec![], vec![command]));
        world
    }

    /// Applies a command now.
    pub(crate) fn apply(&mut self, command: Command) -> (Reply, Applied) {
        self.seq += 1;
        let commands = vec![sealed(command_id(1, 1, self.seq), None, command)];
        let entry = Entry::V1 { time: Timestamp(self.at), settled: vec![], commands };
        let index = self.replica.state.index() + 1;
        let applied = apply::apply(&mut self.replica.state, index, &entry);
        self.replica.write(&applied.rows);
        (applied.replies[0].1.clone(), applied)
    }

    pub(crate) fn rows(&self) -> MemoryRows<'_> {
        MemoryRows(&self.replica.rows)
    }

    fn chain(&self, kind: &str, args: &JsonMap) -> ValidChain {
        build(&self.specs, kind, args, |calls| calls.drain(..).collect()).unwrap().chain
    }

    fn create(&mut self, number: usize, made: Made, chain: ValidChain) {
        let args = made.args.iter().map(|(name, value)| arg(name, value)).collect();
        let create = CreateRequest {
            id: id(u8::try_from(number).unwrap()),
            request_type: format!("k{}", made.kind).into(),
            user: ["", "Ann", "bob"][usize::from(made.user)].into(),
            args,
            chain,
            specs: None,
        };
        let (id, created_at) = (create.id, Timestamp(self.at));
        self.apply(Command::CreateRequest(Arc::new(create))).0.unwrap();
        self.told.push(Told { made, id, state: RequestState::Running, created_at, finished_at: None });
    }

    fn end(&mut self, number: usize, state: RequestState) {
        let request = id(u8::try_from(number).unwrap());
        if state == RequestState::Stopped {
            self.apply(Command::StopRequest(StopRequest { request })).0.unwrap();
        }
        let end = match state {
            RequestState::Complete => TryEnd::Complete,
            RequestState::Stopped => TryEnd::Stopped,
            _ => TryEnd::Failed,
        };
        let owner: Incarnation = incarnation(1, 1);
        let live = self.replica.state.requests.get(&request).unwrap();
        let job = live.jobs().find(|(spec, _)| &*spec.job_type == "shell-command").unwrap().0.id;
        let id = TryId { request, job, try_no: TryNo(1), epoch: Epoch(1), incarnation: owner };
        let finish = FinishTry { id, report: report(end, Timestamp(self.at)) };
        self.apply(Command::FinishTry(Box::new(finish))).0.unwrap();
        let told = self.told.iter_mut().find(|told| told.id == request).unwrap();
        (told.state, told.finished_at) = (state, Some(Timestamp(self.at)));
    }

    /// Ends the first that runs.
    pub(crate) fn end_one(&mut self) {
        let running = self.told.iter().find(|told| told.finished_at.is_none());
        if let Some(number) = running.map(|told| Self::number(told.id)) {
            self.end(number as usize, RequestState::Complete);
        }
    }

    pub(crate) fn number(id: RequestId) -> u32 {
        u32::from_be_bytes(*id.0[4..].first_chunk().unwrap())
    }

    /// Runs a request that ends when it is created.
    pub(crate) fn run_noop(&mut self, number: u32) {
        let chain = self.chain("nothing", &JsonMap::new());
        self.run(number, chain);
    }

    /// As [`Self::run_noop`], with this many expansions.
    pub(crate) fn run_noops(&mut self, number: u32, expansions: usize) {
        let list = json_list(expansions);
        let chain = self.chain("noops", &JsonMap::from([("l".into(), list)]));
        self.run(number, chain);
    }

    fn run(&mut self, number: u32, chain: ValidChain) {
        let (request_type, user) = ("noops".into(), "".into());
        let create =
            CreateRequest { id: numbered(number), request_type, user, args: vec![], chain, specs: None };
        self.apply(Command::CreateRequest(Arc::new(create))).0.unwrap();
    }

    /// Runs a request that goes on with another, asks, and is rejected: of it there is everything that there can be beyond Spin Cycle.
    pub(crate) fn reject(&mut self, number: u32, retry_of: u32) {
        let request = numbered(number);
        let built = build(&self.specs, "asks", &JsonMap::new(), |calls| calls.drain(..).collect()).unwrap();
        let job = built.chain.jobs().iter().find(|job| &*job.job_type == "approval").unwrap().id;
        let mut command = built.into_command(request, "".into());
        let Command::CreateWithTerms(create) = &mut command else { unreachable!("it has a timeout") };
        let kept = BTreeSet::new();
        Arc::make_mut(&mut create.terms).retry_of = Some(RetryOf { request: numbered(retry_of), kept });
        let data = Arc::new(JsonMap::from([("k".into(), JsonText::string("v"))]));
        create.data = Arc::new(JobData::new([(JobPlace(0), data)]));
        self.apply(command).0.unwrap();
        let (try_no, approved, by, comment) = (TryNo(1), false, "".into(), "no".into());
        let decide = DecideApproval { request, job, try_no, approved, by, comment };
        self.apply(Command::DecideApproval(decide)).0.unwrap();
    }

    /// How many may be kept.
    pub(crate) fn allow(&mut self, count: u64) {
        self.apply(Command::SetSetting(Setting::ArchiveRequestsMax(count))).0.unwrap();
    }

    /// What the leader would propose at a time.
    pub(crate) fn next_trim(&self, hours: u64) -> Option<TrimRequests> {
        archive::trim_requests(&self.replica.state, &self.rows(), Timestamp(hours * HOUR)).unwrap()
    }

    /// Lets leave what ended a day or more before a time.
    pub(crate) fn keep_for_a_day(&mut self, hours: u64) {
        while let Some(trim) = self.next_trim(hours) {
            self.apply(Command::TrimRequests(Box::new(trim))).0.unwrap();
        }
        self.told.retain(|told| is_kept(told, hours));
        self.replica.check();
    }

    /// What is kept for a day at a time.
    pub(crate) fn plainly_kept(&self, hours: u64) -> impl Iterator<Item = RequestId> {
        self.told.iter().filter(move |told| is_kept(told, hours)).map(|told| told.id)
    }

    pub(crate) fn summaries(&self, filter: &Filter, page: Page) -> Vec<RequestSummary> {
        archive::requests(&self.replica.state, &self.rows(), filter, page).unwrap()
    }

    pub(crate) fn listed(&self, filter: &Filter, page: Page) -> Vec<RequestId> {
        self.summaries(filter, page).iter().map(|found| found.id).collect()
    }

    /// As [`Self::listed`], in steps that read about so many rows each.
    pub(crate) fn listed_in_steps(&self, filter: &Filter, page: Page, rows_max: usize) -> Vec<RequestId> {
        let (mut listed, mut rest) = (Vec::new(), Some(page));
        while let Some(page) = rest {
            let step = archive::find(&self.replica.state, &self.rows(), filter, page, rows_max).unwrap();
            listed.extend(step.requests.iter().map(|found| found.id));
            assert!(step.rest != Some(page), "a step goes on by some: {page:?}");
            rest = step.rest;
        }
        listed
    }

    /// What a list is to have.
    pub(crate) fn plainly_listed(&self, filter: &Filter, page: Page) -> Vec<RequestId> {
        let mut all: Vec<&Told> = self.told.iter().filter(|told| is_shown(told, filter)).collect();
        all.sort_by_key(|told| (std::cmp::Reverse(told.created_at), told.id));
        let behind =
            |told: &&&Told| page.after.is_none_or(|after| Place::of(told.created_at, told.id) > after);
        let behind = all.iter().filter(behind).skip(page.offset).map(|told| told.id);
        behind.take(page.limit.unwrap_or(usize::MAX)).collect()
    }

    /// Of which requests there are archive rows.
    pub(crate) fn archived_ids(&self) -> BTreeSet<RequestId> {
        let live: BTreeSet<RequestId> = self.replica.state.requests.iter().map(LiveRequest::id).collect();
        let archived = self.replica.rows.iter().filter_map(|(key, value)| match Table::of(key)? {
            Table::Event => None,
            Table::ByEnd => Some(value[value.len() - 12..].try_into().unwrap()),
            Table::FinishedRequest
            | Table::FinishedChain
            | Table::FinishedJobs
            | Table::FinishedTerms
            | Table::FinishedData
            | Table::Decision
            | Table::JobLog => Some(key[1..13].try_into().unwrap()),
            table if table.is_live() => None,
            _ => Some(key[key.len() - 12..].try_into().unwrap()),
        });
        archived.map(RequestId).filter(|id| !live.contains(id)).collect()
    }
}

fn is_kept(told: &Told, hours: u64) -> bool {
    told.finished_at.is_none_or(|finished| finished.0 + 24 * HOUR > hours * HOUR)
}

fn is_shown(told: &Told, filter: &Filter) -> bool {
    let user = ["", "Ann", "bob"][usize::from(told.made.user)];
    let given = |name: &str, value: &str| {
        told.made.args.iter().any(|(given, json)| given == name && *json == format!("\"{value}\""))
    };
    filter.request_type.as_ref().is_none_or(|kind| *kind == format!("k{}", told.made.kind))
        && filter.user.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(user))
        && (filter.states.is_empty() || filter.states.contains(&told.state))
        && filter.args.iter().all(|(name, value)| given(name, value))
        && filter.since.is_none_or(|since| told.finished_at.is_none_or(|finished| finished > since))
        && filter.until.is_none_or(|until| told.created_at < until)
}

fn arg(name: &str, json: &str) -> RequestArg {
    RequestArg {
        pos: 0,
        name: name.into(),
        desc: "".into(),
        kind: ArgKind::Required,
        given: true,
        default: None,
        value: JsonText::try_from(Arc::from(json)).unwrap(),
    }
}

fn json_list(count: usize) -> JsonText {
    let list = (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    JsonText::try_from(Arc::from(format!("[{list}]"))).unwrap()
}
