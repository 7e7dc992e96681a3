//! Golden transcripts: every file in `workflow_scripts` claims one behaviour of specs or requests, and shows it.
//!
//! `spec` loads a file of YAML. `build` expands a request and prints its chain; `create` also stores it. Job
//! types are played (see `workflow_common`). `end` reports the newest try of a job (the first of that name
//! that runs) for the request's owner, unless `by`, `epoch` or `try` say otherwise. Every command that
//! changes something is one log entry, a second after the last one or at `at`; its output is its reply and
//! the events. After each entry the rows are loaded again and every invariant is checked.
//! `UPDATE_GOLDENFILES=1` records.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
mod workflow_common;

use std::{
    collections::BTreeMap,
    error::Error,
    fmt::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    str::FromStr,
    sync::Arc,
};

use capstan_model::{
    archive::{self, Filter, Page},
    command::Command as ModelCommand,
    event::Event,
    ids::{Epoch, Incarnation, JobId, NodeId, RequestId, TryNo},
    reply::Reply,
    settings::Setting,
    spec::{Level, Specs},
    state::State,
    time::Timestamp,
    workflow::{
        approval::Decision,
        chain::{SequencePlace, ValidChain},
        command::{
            CreateRequest, DecideApproval, Expire, FinishTry, PauseRequest, RequestArg, ResumeRequest,
            StartRetry, StopRequest, TryEnd, TryId,
        },
        control::Pause,
        event::{AfterTry, WorkflowEvent},
        graph::Built,
        job::Phase,
        json::{JsonMap, JsonText},
        output::{Output, Tail},
        request::{LiveRequest, RequestState},
    },
};
use common::{Replica, command_id, entry, incarnation, joined, memory_rows::MemoryRows, sealed};
use goldenscript::Context;
use workflow_common::report;

#[derive(goldenscript::Command)]
enum Command {
    /// Loads files of specs, named 1.yaml, 2.yaml and so on.
    Spec(Vec<String>),
    /// Query: what callers may start.
    List,
    /// Query: builds a request without storing it.
    Build {
        request_type: String,
        #[arg(optional)]
        args: BTreeMap<String, String>,
    },
    /// A node's first heartbeat in a life, `NODE.BOOT`.
    Join {
        life: Life,
        #[arg(key)]
        slots: Option<u32>,
        #[arg(key)]
        types: Option<String>,
    },
    /// Stamps the next command, in seconds.
    At(u64),
    Create {
        request: Request,
        request_type: String,
        #[arg(key)]
        user: Option<String>,
        #[arg(optional)]
        args: BTreeMap<String, String>,
    },
    /// The end of a try: complete, failed, unknown, stopped or killed.
    End {
        request: Request,
        job: String,
        end: End,
        #[arg(key)]
        by: Option<Life>,
        #[arg(key)]
        epoch: Option<u64>,
        #[arg(key = "try")]
        try_no: Option<u32>,
        #[arg(key)]
        exit: Option<i64>,
        #[arg(key)]
        error: Option<String>,
        /// It could not be started.
        #[arg(key)]
        unmade: Option<bool>,
        #[arg(key)]
        stdout: Option<String>,
        /// Sends a stdout of so many bytes of noise.
        #[arg(key)]
        stdout_bytes: Option<usize>,
        /// `NAME=VALUE`, or the size of a value.
        #[arg(key)]
        data: Option<String>,
        #[arg(key)]
        data_bytes: Option<usize>,
    },
    /// Wakes a job whose retry wait is over.
    Retry {
        request: Request,
        job: String,
        #[arg(key = "try")]
        try_no: Option<u32>,
    },
    Stop(Request),
    Pause {
        request: Request,
        #[arg(key)]
        by: Option<String>,
    },
    Resume {
        request: Request,
        #[arg(key)]
        by: Option<String>,
    },
    /// Somebody decides about an approval.
    Approve {
        request: Request,
        job: String,
        #[arg(key)]
        by: Option<String>,
        #[arg(key)]
        comment: Option<String>,
        #[arg(key = "try")]
        try_no: Option<u32>,
    },
    Reject {
        request: Request,
        job: String,
        #[arg(key)]
        by: Option<String>,
        #[arg(key)]
        comment: Option<String>,
        #[arg(key = "try")]
        try_no: Option<u32>,
    },
    /// Goes on with a finished request: as it was, or built anew with other args.
    Rerun {
        request: Request,
        finished: Request,
        #[arg(optional)]
        args: BTreeMap<String, String>,
    },
    /// The leader says that a try, or the request, is out of time.
    Expire {
        request: Request,
        job: Option<String>,
        #[arg(key = "try")]
        try_no: Option<u32>,
    },
    /// Query: what is out of time at a second.
    Due(u64),
    /// Query: what was decided about a request's approvals.
    Decisions(Request),
    /// A life is declared lost.
    Lose(Life),
    /// The leader gives away what is for others to run.
    TakeOver,
    /// Query: how many requests there are for others to run.
    Untaken,
    Drain(u64),
    Undrain(u64),
    /// A life shuts down.
    Leave(Life),
    EndSuspended(Request),
    /// Changes a setting.
    Set {
        name: String,
        value: String,
    },
    /// Query: a request and its jobs.
    Show(Request),
    /// Query: the args of a request, as recorded.
    Args(Request),
    /// Query: the log of a request, or of one job's newest try.
    Log {
        request: Request,
        job: Option<String>,
    },
    /// Query: what State says a life is to do.
    Todo(Life),
    /// Query: the data of a job.
    Data {
        request: Request,
        job: String,
    },
    /// Query: live and finished requests, newest first.
    Find {
        #[arg(key = "type")]
        request_type: Option<String>,
        #[arg(key)]
        user: Option<String>,
        /// Names, separated by commas.
        #[arg(key)]
        state: Option<String>,
        #[arg(key)]
        arg: Option<String>,
        #[arg(key)]
        since: Option<u64>,
        #[arg(key)]
        until: Option<u64>,
        #[arg(key)]
        offset: Option<usize>,
        #[arg(key)]
        limit: Option<usize>,
    },
}

struct Life(Incarnation);

impl FromStr for Life {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (node, boot) = text.split_once('.').ok_or("a life is NODE.BOOT")?;
        let number = |text: &str| text.parse().map_err(|e| format!("{text}: {e}"));
        Ok(Self(incarnation(number(node)?, number(boot)?)))
    }
}

/// `r7` is the request whose id ends in 7.
struct Request(RequestId);

impl FromStr for Request {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number: u8 =
            text.strip_prefix('r').and_then(|n| n.parse().ok()).ok_or("a request is r1 to r255")?;
        Ok(Self(RequestId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number])))
    }
}

struct End(TryEnd);

impl FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "complete" => TryEnd::Complete,
            "failed" => TryEnd::Failed,
            "unknown" => TryEnd::Unknown,
            "stopped" => TryEnd::Stopped,
            "killed" => TryEnd::KilledStopping,
            "itself" => TryEnd::StoppedItself,
            "cut-off" => TryEnd::CutOff,
            _ => return Err(format!("no end of a try: {text}")),
        }))
    }
}

#[derive(Default)]
struct Runner {
    replica: Replica,
    specs: Arc<Specs>,
    /// What was created; kept so that names can be told after a request has ended.
    created: BTreeMap<RequestId, Arc<CreateRequest>>,
    at: Option<u64>,
    /// The number of the last command that needs a session.
    seq: u64,
}

type Transcript = Result<String, Box<dyn Error>>;

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Transcript {
        match command {
            Command::Spec(texts) => Ok(self.load(texts)),
            Command::List => Ok(self.list()),
            Command::Build { request_type, args } => Ok(match self.build(request_type, args) {
                Ok(built) => describe_chain(&built.chain),
                Err(error) => format!("refused: {error}\n"),
            }),
            Command::Join { life, slots, types } => {
                let mut joined = joined(life.0.node.0, life.0.boot);
                joined.slots = slots.unwrap_or(joined.slots);
                if let Some(types) = types {
                    joined.job_types = types.split_whitespace().map(Arc::from).collect();
                    joined.job_types.sort();
                }
                Ok(self.apply(ModelCommand::NodeJoined(joined)))
            }
            Command::At(secs) => {
                self.at = Some(*secs);
                Ok(String::new())
            }
            Command::Create { request, request_type, user, args } => {
                let built = match self.build(request_type, args) {
                    Ok(built) => built,
                    Err(error) => return Ok(format!("not built: {error}\n")),
                };
                let user = user.as_deref().unwrap_or("").into();
                Ok(self.create(built.into_command(request.0, user)))
            }
            Command::End {
                request,
                job,
                end,
                by,
                epoch,
                try_no,
                exit,
                error,
                unmade,
                stdout,
                stdout_bytes,
                data,
                data_bytes,
            } => {
                let mut id = self.try_id(request.0, job, *try_no)?;
                id.epoch = epoch.map_or(id.epoch, Epoch);
                id.incarnation = by.as_ref().map_or(id.incarnation, |life| life.0);
                let mut report = report(end.0, Timestamp(self.next_secs() * 1_000_000_000));
                if *unmade == Some(true) {
                    (report.started_at, report.finished_at) = (Timestamp::ZERO, Timestamp::ZERO);
                }
                report.exit = exit.unwrap_or(0);
                report.error = error.as_deref().unwrap_or("").into();
                if let Some(text) = stdout {
                    report.stdout = Output::new(Tail { bytes: text.as_bytes(), dropped: 0 }, 1_000);
                }
                if let Some(bytes) = stdout_bytes {
                    report.stdout = Output::Plain(vec![b'x'; *bytes].into());
                }
                if let Some((name, value)) = data.as_ref().and_then(|data| data.split_once('=')) {
                    report.job_data.insert(name.into(), JsonText::string(value));
                }
                if let Some(bytes) = data_bytes {
                    report.job_data.insert("big".into(), JsonText::string(&"x".repeat(*bytes)));
                }
                Ok(self.apply(ModelCommand::FinishTry(Box::new(FinishTry { id, report }))))
            }
            Command::Retry { request, job, try_no } => {
                let id = self.try_id(request.0, job, *try_no)?;
                Ok(self.apply(ModelCommand::StartRetry(StartRetry { id })))
            }
            Command::Stop(request) => {
                Ok(self.apply(ModelCommand::StopRequest(StopRequest { request: request.0 })))
            }
            Command::Pause { request, by } => {
                let pause = PauseRequest { request: request.0, by: text(by.as_ref()) };
                Ok(self.apply(ModelCommand::PauseRequest(pause)))
            }
            Command::Resume { request, by } => {
                let resume = ResumeRequest { request: request.0, by: text(by.as_ref()) };
                Ok(self.apply(ModelCommand::ResumeRequest(resume)))
            }
            Command::Approve { request, job, by, comment, try_no } => {
                let TryId { request, job, try_no, .. } = self.try_id(request.0, job, *try_no)?;
                let (by, comment) = (text(by.as_ref()), text(comment.as_ref()));
                let decide = DecideApproval { request, job, try_no, approved: true, by, comment };
                Ok(self.apply(ModelCommand::DecideApproval(decide)))
            }
            Command::Reject { request, job, by, comment, try_no } => {
                let TryId { request, job, try_no, .. } = self.try_id(request.0, job, *try_no)?;
                let (by, comment) = (text(by.as_ref()), text(comment.as_ref()));
                let decide = DecideApproval { request, job, try_no, approved: false, by, comment };
                Ok(self.apply(ModelCommand::DecideApproval(decide)))
            }
            Command::Rerun { request, finished, args } => self.rerun(request.0, finished.0, args),
            Command::Expire { request, job, try_no } => {
                let try_of = match job {
                    None => None,
                    Some(job) => {
                        let id = self.try_id(request.0, job, *try_no)?;
                        Some((id.job, id.try_no))
                    }
                };
                Ok(self.apply(ModelCommand::Expire(Expire { request: request.0, try_of })))
            }
            Command::Due(secs) => {
                let due = self.replica.state.requests.expired(Timestamp(*secs * 1_000_000_000));
                Ok(due.map(|due| self.describe_due(due)).collect())
            }
            Command::Decisions(request) => {
                let beyond =
                    archive::beyond(&self.replica.state, &MemoryRows(&self.replica.rows), request.0)?;
                let line = |(job, try_no, decision): &(JobId, TryNo, Decision)| {
                    format!("{job} try {try_no}: {} at {} s\n", decision.text(), decision.at.as_secs())
                };
                Ok(beyond.decisions.iter().map(line).collect())
            }
            Command::Lose(life) => Ok(self.apply(ModelCommand::NodeLost { incarnation: life.0, term: 0 })),
            Command::TakeOver => Ok(self.apply(ModelCommand::TakeOver)),
            Command::Untaken => {
                let State { requests, nodes, .. } = &self.replica.state;
                Ok(format!("{}\n", requests.to_take_over(nodes).count()))
            }
            Command::Drain(node) => Ok(self.apply(ModelCommand::DrainNode { node: NodeId(*node) })),
            Command::Undrain(node) => Ok(self.apply(ModelCommand::UndrainNode { node: NodeId(*node) })),
            Command::Leave(life) => Ok(self.apply(ModelCommand::NodeLeaving { incarnation: life.0 })),
            Command::EndSuspended(request) => {
                Ok(self.apply(ModelCommand::EndSuspended { request: request.0 }))
            }
            Command::Set { name, value } => {
                Ok(self.apply(ModelCommand::SetSetting(Setting::parse(name, value)?)))
            }
            Command::Show(request) => self.show(request.0),
            Command::Args(request) => Ok(self
                .created
                .get(&request.0)
                .ok_or("no such request")?
                .args
                .iter()
                .map(describe_arg)
                .collect()),
            Command::Log { request, job } => self.log(request.0, job.as_deref()),
            Command::Todo(life) => Ok(self.todo(life.0)),
            Command::Data { request, job } => {
                let live = self.replica.state.requests.get(&request.0).ok_or("it is not live")?;
                let (_, job) = live.job(self.job_id(request.0, job)?).ok_or("no such job")?;
                Ok(job.data.iter().map(|(name, value)| format!("{name} = {value}\n")).collect())
            }
            Command::Find { request_type, user, state, arg, since, until, offset, limit } => {
                let secs = |secs: &u64| Timestamp(*secs * 1_000_000_000);
                let states = state.iter().flat_map(|names| names.split(','));
                let filter = Filter {
                    request_type: request_type.clone(),
                    user: user.clone(),
                    states: states.map(|name| RequestState::from_name(name).unwrap()).collect(),
                    args: arg
                        .iter()
                        .filter_map(|arg| arg.split_once('='))
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect(),
                    since: since.as_ref().map(secs),
                    until: until.as_ref().map(secs),
                };
                self.find(&filter, Page { after: None, offset: offset.unwrap_or(0), limit: *limit })
            }
        }
    }
}

impl Runner {
    fn load(&mut self, texts: &[String]) -> String {
        let files = texts.iter().enumerate().map(|(at, text)| (format!("{}.yaml", at + 1), text));
        match Specs::load(files) {
            Ok(specs) => {
                let names: Vec<_> = specs.sequences().map(|sequence| sequence.name.to_string()).collect();
                let warnings: String =
                    specs.warnings().iter().map(|warning| format!("warning: {warning}\n")).collect();
                self.specs = Arc::new(specs);
                format!("{warnings}loaded: {}\n", names.join(", "))
            }
            Err(errors) => {
                errors.iter().map(|error| format!("{}: {error}\n", describe_level(error.level))).collect()
            }
        }
    }

    fn build(&self, request_type: &str, args: &BTreeMap<String, String>) -> Result<Built, String> {
        workflow_common::build(&self.specs, request_type, &json_map(args), |calls| calls.drain(..).collect())
    }

    /// Stores a request.
    fn create(&mut self, command: ModelCommand) -> String {
        let create = match &command {
            ModelCommand::CreateRequest(create) => create,
            ModelCommand::CreateWithTerms(create) => &create.create,
            other => panic!("this creates nothing: {other:?}"),
        };
        self.created.entry(create.id).or_insert(create.clone());
        self.apply(command)
    }

    fn rerun(
        &mut self,
        request: RequestId,
        finished: RequestId,
        args: &BTreeMap<String, String>,
    ) -> Transcript {
        let found = archive::finished_for_rerun(&MemoryRows(&self.replica.rows), finished)?;
        let finished = found.ok_or("it has not ended")?;
        let given = json_map(args);
        let planned = if finished.has_args(&given) {
            finished.rerun()
        } else {
            let args = finished.args_with(&given);
            let request_type = &finished.detail.summary.request_type;
            let built =
                workflow_common::build(&self.specs, request_type, &args, |calls| calls.drain(..).collect());
            match built {
                Ok(built) => finished.rerun_as(built, &given),
                Err(error) => return Ok(format!("not built: {error}\n")),
            }
        };
        match planned {
            Ok(planned) => Ok(self.create(planned.into_command(request, "".into()))),
            Err(refused) => Ok(format!("refused: {refused}\n")),
        }
    }

    fn describe_due(&self, due: Expire) -> String {
        let request = name_of(due.request);
        match due.try_of {
            None => format!("{request}\n"),
            Some((job, try_no)) => {
                let live = self.replica.state.requests.get(&due.request).unwrap();
                format!("{request} {} try {try_no}\n", live.job(job).unwrap().0.name)
            }
        }
    }

    fn list(&self) -> String {
        let mut text = String::new();
        for request in self.specs.request_list() {
            writeln!(text, "{}", request.name).unwrap();
            for arg in request.args {
                writeln!(text, "  {} {:?}, default {:?}: {:?}", arg.name, arg.kind, arg.default, arg.desc)
                    .unwrap();
            }
        }
        text
    }

    fn next_secs(&self) -> u64 {
        self.at.unwrap_or(self.replica.state.log_time().as_secs() + 1)
    }

    /// Applies one command as an entry of its own.
    fn apply(&mut self, command: ModelCommand) -> String {
        let seq = if command.has_natural_key() { 0 } else { self.seq + 1 };
        self.seq = self.seq.max(seq);
        // Whatever needs a session comes from node 1, in the life it lives now.
        let boot = self.replica.state.nodes.get(&NodeId(1)).map_or(1, |node| node.incarnation.boot);
        let entry = entry(self.next_secs(), vec![], vec![sealed(command_id(1, boot, seq), None, command)]);
        self.at = None;
        let applied = self.replica.apply(self.replica.state.index() + 1, &entry);
        let mut text = String::new();
        for (_, reply) in &applied.replies {
            writeln!(text, "{}", describe_reply(reply)).unwrap();
        }
        for event in &applied.events {
            if let Event::Workflow(event) = event {
                writeln!(text, "  {}", self.describe_event(event)).unwrap();
            }
        }
        text
    }

    /// The id of a job by its name: the first of that name that is active, else the first of that name.
    /// `#0007` names it by id.
    fn job_id(&self, request: RequestId, name: &str) -> Result<JobId, Box<dyn Error>> {
        if let Some(id) = name.strip_prefix('#') {
            return Ok(id.parse()?);
        }
        let chain = &self.created.get(&request).ok_or("no such request")?.chain;
        let named = || chain.jobs().iter().filter(|spec| *spec.name == *name).map(|spec| spec.id);
        let live = self.replica.state.requests.get(&request);
        let is_active =
            |id: &JobId| live.and_then(|live| live.job(*id)).is_some_and(|(_, job)| job.phase.is_active());
        Ok(named().find(is_active).or_else(|| named().next()).ok_or("no such job")?)
    }

    /// Names a try as its owner sees it now.
    fn try_id(&self, request: RequestId, job: &str, try_no: Option<u32>) -> Result<TryId, Box<dyn Error>> {
        let job = self.job_id(request, job)?;
        let live = self.replica.state.requests.get(&request);
        let newest = live.and_then(|live| live.job(job)).map_or(TryNo(1), |(_, job)| job.try_no);
        Ok(TryId {
            request,
            job,
            try_no: try_no.map_or(newest, TryNo),
            epoch: live.map_or(Epoch(1), |live| live.progress.epoch),
            incarnation: live.and_then(|live| live.progress.owner).unwrap_or(incarnation(1, 1)),
        })
    }

    fn show(&self, request: RequestId) -> Transcript {
        let state = &self.replica.state;
        let Some(detail) = archive::request(state, &MemoryRows(&self.replica.rows), request)? else {
            return Ok("no such request\n".to_owned());
        };
        let summary = &detail.summary;
        let secs = |at: Option<Timestamp>| at.map_or("never".to_owned(), |at| format!("{} s", at.as_secs()));
        let mut text = format!(
            "{} {} of {:?}: {}/{} jobs, created {}, started {}, finished {}, owner {}\n",
            name_of(request),
            summary.state.name(),
            summary.request_type,
            summary.finished_jobs,
            summary.total_jobs,
            secs(Some(summary.created_at)),
            secs(summary.started_at),
            secs(summary.finished_at),
            summary.owner.map_or("none".to_owned(), |life| format!("{}.{}", life.node, life.boot)),
        );
        let live = state.requests.get(&request);
        text += &self.describe_beyond(request)?;
        for (spec, outcome) in detail.created.chain.jobs().iter().zip(&detail.jobs) {
            let phase = live.and_then(|live| live.job(spec.id)).map(|(_, job)| job.phase);
            let waits = match phase {
                Some(Phase::Ready) => ", waits for a slot".to_owned(),
                Some(Phase::RetryWait { until }) => format!(", waits until {}", secs(Some(until))),
                Some(Phase::Awaiting { .. }) => ", waits for a decision".to_owned(),
                Some(Phase::Overdue { .. }) => ", is out of time".to_owned(),
                _ => String::new(),
            };
            writeln!(text, "  {} {}, try {}{waits}", spec.name, outcome.state.name(), outcome.try_no)?;
        }
        Ok(text)
    }

    /// What of a request is beyond Spin Cycle; nothing of one that has nothing.
    fn describe_beyond(&self, request: RequestId) -> Transcript {
        let state = &self.replica.state;
        let beyond = archive::beyond(state, &MemoryRows(&self.replica.rows), request)?;
        let mut text = String::new();
        if let Some(deadline) = state.requests.get(&request).and_then(LiveRequest::deadline) {
            writeln!(text, "  out of time at {} s", deadline.as_secs())?;
        }
        if let Some(at) = beyond.control.timed_out_at {
            writeln!(text, "  timed out at {} s", at.as_secs())?;
        }
        if let Some(Pause { by, since }) = &beyond.control.paused {
            writeln!(text, "  paused by {by:?} since {} s", since.as_secs())?;
        }
        if let Some(retry_of) = &beyond.terms.retry_of {
            writeln!(text, "  goes on with {}: {} kept", name_of(retry_of.request), retry_of.kept.len())?;
        }
        for retry in beyond.retried_by {
            writeln!(text, "  {} goes on with it", name_of(retry))?;
        }
        Ok(text)
    }

    fn log(&self, request: RequestId, job: Option<&str>) -> Transcript {
        let rows = MemoryRows(&self.replica.rows);
        let logs = match job {
            Some(job) => {
                archive::newest_job_log(&rows, request, self.job_id(request, job)?)?.into_iter().collect()
            }
            None => archive::job_logs(&rows, request)?,
        };
        let mut text = String::new();
        for log in logs {
            write!(text, "{} try {}", log.name, log.try_no)?;
            if log.sequence_try > TryNo(1) {
                write!(text, " in sequence try {}", log.sequence_try)?;
            }
            write!(text, ": {}, exit {}", log.state.name(), log.exit)?;
            write!(text, ", {} to {} s", log.started_at.as_secs(), log.finished_at.as_secs())?;
            for (what, found) in [("error", &*log.error), ("stdout", &*log.stdout.text())] {
                if !found.is_empty() {
                    write!(text, ", {what} {found:?}")?;
                }
            }
            writeln!(text)?;
        }
        Ok(text)
    }

    fn todo(&self, life: Incarnation) -> String {
        let requests = &self.replica.state.requests;
        let mut text = format!("{} slots taken\n", requests.slots_taken(life));
        for running in self.replica.state.running_under(life) {
            let TryId { request, try_no, epoch, .. } = running.id;
            let verb = if running.stop_requested { "stop" } else { "run" };
            writeln!(
                text,
                "{verb} {} of {}, try {try_no}, epoch {epoch}",
                running.spec.name,
                name_of(request)
            )
            .unwrap();
        }
        for wait in requests.retries_under(life) {
            let spec = requests.get(&wait.id.request).unwrap().job(wait.id.job).unwrap().0;
            let (name, request) = (&spec.name, name_of(wait.id.request));
            writeln!(
                text,
                "wake {name} of {request} at {} s, after try {}",
                wait.until.as_secs(),
                wait.id.try_no
            )
            .unwrap();
        }
        for (live, spec) in requests.waiting_under(life) {
            writeln!(text, "{} of {} waits for a slot", spec.name, name_of(live.id())).unwrap();
        }
        text
    }

    fn find(&self, filter: &Filter, page: Page) -> Transcript {
        let found = archive::requests(&self.replica.state, &MemoryRows(&self.replica.rows), filter, page)?;
        Ok(found.iter().map(|found| format!("{} {}\n", name_of(found.id), found.state.name())).collect())
    }

    fn describe_event(&self, event: &WorkflowEvent) -> String {
        let request = name_of(event.request());
        let job = |place| {
            let spec = self.created[&event.request()].chain.job(place);
            format!("{request} {}", spec.name)
        };
        match event {
            WorkflowEvent::RequestCreated { .. } => format!("{request} created"),
            WorkflowEvent::RequestOwned { owner, .. } => {
                format!("{request} owned by {}.{}", owner.node, owner.boot)
            }
            WorkflowEvent::RequestSuspended { .. } => format!("{request} suspended"),
            WorkflowEvent::JobReady { job: place, .. } => format!("{} waits for a slot", job(*place)),
            WorkflowEvent::TryStarted { job: place, try_no, .. } => {
                format!("{} try {try_no} started", job(*place))
            }
            WorkflowEvent::TryEnded(ended) => {
                let then = match ended.then {
                    AfterTry::Complete | AfterTry::Failed | AfterTry::Stopped => String::new(),
                    AfterTry::RetryAt(at) => format!(", next at {} s", at.as_secs()),
                    AfterTry::RetryNow => ", next at once".to_owned(),
                    AfterTry::Resumed => ", to be resumed".to_owned(),
                    AfterTry::RunAgain => ", to be run again".to_owned(),
                };
                let state = ended.report.end.state().name();
                format!("{} try {} {state}{then}", job(ended.job), ended.try_no)
            }
            WorkflowEvent::ExpansionsAdmitted { parallel, admitted, .. } => {
                let chain = &self.created[&event.request()].chain;
                let begin = chain.job(chain.parallel(*parallel).begin);
                format!("{request} {} lets {admitted} expansions start", begin.name)
            }
            WorkflowEvent::ParallelClosed { parallel, .. } => {
                let chain = &self.created[&event.request()].chain;
                let begin = chain.job(chain.parallel(*parallel).begin);
                format!("{request} {} lets no further expansion start", begin.name)
            }
            WorkflowEvent::SequenceFailed { sequence, .. } => {
                format!("{} fails", sequence_of(&request, &self.created[&event.request()].chain, *sequence))
            }
            WorkflowEvent::SequenceReset { sequence, retry_at, .. } => {
                let when = retry_at.map_or("at once".to_owned(), |at| format!("at {} s", at.as_secs()));
                format!(
                    "{} reset, next {when}",
                    sequence_of(&request, &self.created[&event.request()].chain, *sequence)
                )
            }
            WorkflowEvent::JobWithdrawn { job: place, .. } => format!("{} withdrawn", job(*place)),
            WorkflowEvent::RequestStopped { .. } => format!("{request} stopped"),
            WorkflowEvent::RequestPaused { by, .. } => format!("{request} paused by {by:?}"),
            WorkflowEvent::RequestResumed { by, .. } => format!("{request} resumed by {by:?}"),
            WorkflowEvent::RequestTimedOut { .. } => format!("{request} timed out"),
            WorkflowEvent::TryOverdue { job: place, .. } => format!("{} is out of time", job(*place)),
            WorkflowEvent::ApprovalDecided { job: place, try_no, decision, .. } => {
                format!("{} try {try_no} {}", job(*place), decision.text())
            }
            WorkflowEvent::RequestEnded { state, .. } => format!("{request} ended {}", state.name()),
        }
    }
}

fn text(given: Option<&String>) -> Arc<str> {
    given.map_or("", String::as_str).into()
}

fn json_map(args: &BTreeMap<String, String>) -> JsonMap {
    // What reads as JSON is JSON, the rest is a string: `a=5` is a number, `a='"5"'` and `a=x` are strings.
    let value = |text: &str| JsonText::try_from(Arc::from(text)).unwrap_or_else(|_| JsonText::string(text));
    args.iter().map(|(name, text)| (Arc::from(name.as_str()), value(text))).collect()
}

/// `r1 sequence 0004`, by the id of its first job.
fn sequence_of(request: &str, chain: &ValidChain, sequence: SequencePlace) -> String {
    format!("{request} sequence {}", chain.job(chain.sequence(sequence).begin).id)
}

fn name_of(request: RequestId) -> String {
    format!("r{}", request.0[11])
}

fn describe_reply(reply: &Reply) -> String {
    match reply {
        Ok(answer) => format!("{answer:?}"),
        Err(rejection) => format!("refused: {rejection}"),
    }
}

fn describe_level(level: Level) -> &'static str {
    match level {
        Level::Warning => "warning",
        Level::Error => "error",
    }
}

fn describe_arg(arg: &RequestArg) -> String {
    let RequestArg { pos, name, desc, kind, given, default, value } = arg;
    format!("{pos} {name} {desc:?} {kind:?}, given {given}, default {default:?}, value {value}\n")
}

/// One line a job, in the order of ids, which here is the order in which jobs were made.
fn describe_chain(chain: &ValidChain) -> String {
    let mut text = format!("{} jobs\n", chain.len());
    for spec in chain.jobs() {
        let after: Vec<String> = spec.successors.iter().map(|place| describe_job(chain, *place)).collect();
        write!(text, "{} {} ({})", spec.id, spec.name, spec.job_type).unwrap();
        for (name, value) in &spec.args {
            write!(text, " {name}={value}").unwrap();
        }
        if let Some(wait) = &spec.retry_wait {
            write!(text, " retry={} wait={wait}", spec.retry).unwrap();
        }
        let after = if after.is_empty() { "the end".to_owned() } else { after.join(", ") };
        writeln!(text, " seq={} -> {after}", chain.sequence_id(spec)).unwrap();
    }
    text
}

fn describe_job(chain: &ValidChain, place: capstan_model::workflow::chain::JobPlace) -> String {
    chain.job(place).id.to_string()
}

/// Runs every script. Those of the numbered cases of Spin Cycle's reference are printed as a table: number, script, result.
#[test]
fn every_script_holds() {
    let scripts = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/workflow_scripts")).unwrap();
    let mut paths: Vec<_> = scripts.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let (mut cases, mut failed) = (BTreeMap::<(u8, String), &str>::new(), Vec::new());
    for path in paths {
        println!("{}", path.display());
        let run = AssertUnwindSafe(|| goldenscript::run(&mut Runner::default(), &path));
        let holds = matches!(catch_unwind(run), Ok(Ok(())));
        let script = path.file_name().unwrap().to_string_lossy().into_owned();
        let numbers = script.strip_prefix("case_").unwrap_or_default().split('_');
        for number in numbers.map_while(|part| part.parse().ok()) {
            cases.insert((number, script.clone()), if holds { "holds" } else { "FAILS" });
        }
        if !holds {
            failed.push(script);
        }
    }
    for ((number, script), result) in cases {
        println!("{number:>4}  {result}  {script}");
    }
    assert!(failed.is_empty(), "these scripts fail: {failed:?}");
}

/// The specs that come with Capstan load without a warning, and the request `test` has its 15 jobs.
#[test]
fn the_examples_are_valid() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/specs");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let texts = files.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
    let specs = Specs::load(texts).unwrap();
    assert_eq!(specs.warnings(), []);
    let runner = Runner { specs: Arc::new(specs), ..Runner::default() };
    assert_eq!(runner.build("test", &BTreeMap::new()).unwrap().chain.len(), 15);
}

#[test]
fn of_many_retries_the_last_hundred_are_told() {
    let spec = "sequences: {R: {request: true, nodes: {a: {category: job, type: ok}}}}";
    let mut script = format!("spec '{spec}'\njoin 1.1 types=ok\ncreate r1 R\nend r1 a failed\n");
    script.extend((2..=121).map(|number| format!("rerun r{number} r1\n")));
    script += "show r1\n---\n";
    let shown = goldenscript::generate(&mut Runner::default(), &script).unwrap();
    let told: Vec<&str> = shown.lines().filter_map(|line| line.strip_suffix(" goes on with it")).collect();
    assert_eq!((told.len(), told[0], told[99]), (100, "  r22", "  r121"));
}
