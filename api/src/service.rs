//! One call from its first line to its answer.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use capstan_model::{auth::Credential, buggify, sometimes, state::State};
use capstan_raft_store::{
    handle::{ClusterHandle, Consistency, View},
    ports::{Clock, Entropy},
};
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::time::Instant;
use warp::{Filter, path::FullPath};

use crate::{
    answer::Answer,
    answer_body::{self, AnswerBody},
    auth::{
        self, Identity,
        permission::{self, Permission},
    },
    call::{Head, Surface},
    cluster,
    error::{ApiError, InputError},
    headers,
    limits::{self, InFlight},
    metrics::{CallMetrics, Operation},
    ports::{InstanceOutput, JobTypes, LiveStatus, MetricsPage, NodeHealth, Workflows},
    receptor::{self, access::Access, error::Refusal},
    route::{self, Endpoint},
    specs_in_use::{SpecsInUse, Versioned},
    spin_cycle,
    streams::Streams,
};

/// How many calls a node serves at a time. More than its command queue holds, since most calls wait for a commit.
const CALLS_MAX: usize = 16_384;

/// How late a call or an answer is that is late, in simulations.
const LATE: Duration = Duration::from_millis(15);

/// What the surface is made from.
pub struct Parts {
    /// The replicated state.
    pub cluster: ClusterHandle,
    /// The request specs of this node's own, until the cluster has some.
    pub workflows: Arc<dyn Workflows>,
    /// The job types.
    pub job_types: Arc<dyn JobTypes>,
    /// What runs, here and on other nodes.
    pub live_status: Arc<dyn LiveStatus>,
    /// What instances write, here and on other nodes.
    pub output: Arc<dyn InstanceOutput>,
    /// How the node is.
    pub health: Arc<dyn NodeHealth>,
    /// The metrics as text.
    pub metrics: Arc<dyn MetricsPage>,
    /// The node's clock, which new request ids carry.
    pub clock: Arc<dyn Clock>,
    /// Where ids are drawn from.
    pub entropy: Arc<dyn Entropy>,
    /// After how long without news a stream sends a heartbeat; [`HEARTBEAT_AFTER`](crate::HEARTBEAT_AFTER) fits every reader.
    pub heartbeat_after: Duration,
}

/// The HTTP surface of one node. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) parts: Parts,
    access: Access,
    calls: InFlight,
    pub(crate) streams: Streams,
    specs: SpecsInUse,
    metrics: CallMetrics,
}

impl Api {
    /// Makes the surface, open to everybody. The recorder of the process's metrics must have been installed before.
    pub fn new(parts: Parts) -> Self {
        Self::guarded(parts, Access::default())
    }

    /// As [`Api::new`], with a guard on what is under `/v1`.
    pub fn guarded(parts: Parts, access: Access) -> Self {
        let calls = InFlight::new(CALLS_MAX);
        let streams = Streams::new(parts.heartbeat_after);
        let (specs, metrics) = (SpecsInUse::default(), CallMetrics::new());
        let inner = Inner { parts, access, calls, streams, specs, metrics };
        Self { inner: Arc::new(inner) }
    }

    /// Serves one call whose body is at hand, exactly as a connection would.
    pub async fn open(&self, request: Request<Bytes>) -> Response<AnswerBody> {
        let service = TowerToHyperService::new(warp::service(self.filter()));
        let Ok(response) = service.call(request.map(Full::new)).await;
        response.map(AnswerBody::new)
    }

    /// As [`Api::open`], and reads the body: to its end, or to where it is broken off. Not for streams that go on.
    pub async fn call(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (parts, mut body) = self.open(request).await.into_parts();
        let mut pieces = Vec::new();
        while let Some(Ok(piece)) = body.next().await {
            pieces.push(piece);
        }
        let whole = if pieces.len() == 1 { pieces.remove(0) } else { pieces.concat().into() };
        Response::from_parts(parts, whole)
    }

    /// Breaks off every stream, also those that begin later: their readers go on at another node.
    pub fn end_streams(&self) {
        self.inner.streams.end();
    }

    /// The surface as one warp filter. It takes every call and rejects none: what fails is answered in the shape of its prefix.
    pub(crate) fn filter(
        &self,
    ) -> impl Filter<Extract = (warp::reply::Response,), Error = warp::Rejection> + Clone + Send + Sync + 'static
    {
        let inner = Arc::clone(&self.inner);
        let query = warp::query::raw().or(warp::any().map(String::new)).unify();
        warp::method()
            .and(warp::path::full())
            .and(query)
            .and(warp::header::headers_cloned())
            .and(warp::body::stream())
            .then(move |method: Method, path: FullPath, query: String, headers: HeaderMap, body| {
                let inner = Arc::clone(&inner);
                async move {
                    let head = Head::new(&method, path.as_str(), &query, &headers);
                    let answer = inner.serve(&head, body).await;
                    answer_body::for_warp(answer)
                }
            })
    }
}

impl Inner {
    /// The specs that requests are built from in this state.
    ///
    /// # Errors
    /// As [`SpecsInUse::of`].
    pub(crate) async fn specs_in_use(&self, state: &State) -> Result<Versioned, ApiError> {
        self.specs.of(state, &*self.parts.workflows).await
    }

    async fn serve<S, B, E>(&self, head: &Head<'_>, body: S) -> Answer
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        let started = Instant::now();
        let surface = Surface::of(head.path);
        let found = limits::check_uri(head).and_then(|()| route::find(head.method, head.path));
        let operation = found.as_ref().map_or(Operation::Unknown, Operation::of);
        let outcome = match self.preflight(surface, head) {
            Some(answer) => Ok(answer),
            None => self.serve_known(surface, found, head, body).await,
        };
        let mut answer = outcome.unwrap_or_else(|e| e.answer(surface));
        if surface == Surface::Receptor {
            self.access.share(head, &mut answer);
        }
        let index = || HeaderValue::from(self.parts.cluster.view().index());
        answer.headers_mut().entry(headers::INDEX).or_insert_with(index);
        if surface == Surface::SpinCycle {
            answer
                .headers_mut()
                .insert(headers::SPINCYCLE_VERSION, HeaderValue::from_static(spin_cycle::VERSION));
        }
        self.metrics.record(operation, answer.status(), started.elapsed());
        answer
    }

    /// The answer to a browser's question what it may send, which no handler sees.
    fn preflight(&self, surface: Surface, head: &Head<'_>) -> Option<Answer> {
        if surface == Surface::Receptor { self.access.preflight(head) } else { None }
    }

    /// Serves a call once it is known who makes it, and that he may.
    async fn serve_known<S, B, E>(
        &self,
        surface: Surface,
        found: Result<Endpoint<'_>, InputError>,
        head: &Head<'_>,
        body: S,
    ) -> Result<Answer, ApiError>
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        // As at Diego's, paths under `/v1` that lead nowhere take no credentials. Elsewhere they take what all others do.
        let permission = match &found {
            Ok(endpoint) => permission::of(endpoint),
            Err(_) if surface == Surface::Receptor => Permission::Open,
            Err(_) => Permission::Known,
        };
        if permission == Permission::Open {
            return self.serve_endpoint(found?, head, body).await;
        }
        let judged = self.judge(&self.parts.cluster.view(), surface, permission, head);
        let identity = match judged {
            // This node may only not have heard yet of what would let him.
            Err(error)
                if error.may_be_out_of_date()
                    && found.as_ref().is_ok_and(|endpoint| !endpoint.is_local()) =>
            {
                let newest = self.parts.cluster.read(Consistency::Linearizable).await?;
                sometimes!("a node denies what it has not heard of yet");
                self.judge(&newest, surface, permission, head)
            }
            judged => judged,
        };
        let identity = identity.inspect_err(|denied| {
            if matches!(denied, ApiError::Input(InputError::Denied(_))) {
                tracing::info!(method = %head.method, path = head.path, %denied, "a call was denied");
            }
        })?;
        let head = Head { by: Some(&identity), ..*head };
        self.serve_endpoint(found?, &head, body).await
    }

    /// Who makes a call, if he may, as a view has it.
    fn judge(
        &self,
        view: &View,
        surface: Surface,
        permission: Permission,
        head: &Head<'_>,
    ) -> Result<Identity, ApiError> {
        let identity = auth::identify(view.state(), &self.access, surface, head)?;
        let is_anonymous = identity.credential == Credential::None;
        if surface == Surface::Receptor && self.access.is_guarded() && is_anonymous {
            return Err(Refusal::Unauthorized.into());
        }
        permission::check(view.state(), &Head { by: Some(&identity), ..*head }, permission)?;
        Ok(identity)
    }

    async fn serve_endpoint<S, B, E>(
        &self,
        endpoint: Endpoint<'_>,
        head: &Head<'_>,
        body: S,
    ) -> Result<Answer, ApiError>
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        // What tells how the node is must answer also when it is swamped.
        let _admitted = if endpoint.is_local() { None } else { Some(self.calls.admit()?) };
        let body = match endpoint.body_bytes_max() {
            Some(bytes_max) => limits::read_body(head.headers, body, bytes_max).await?,
            None => Bytes::new(),
        };
        if buggify!("buggify: a call is taken up late") {
            tokio::time::sleep(LATE).await;
        }
        let answer = self.dispatch(endpoint, head, body).await;
        if buggify!("buggify: an answer leaves late") {
            tokio::time::sleep(LATE).await;
        }
        answer
    }

    async fn dispatch(
        &self,
        endpoint: Endpoint<'_>,
        head: &Head<'_>,
        body: Bytes,
    ) -> Result<Answer, ApiError> {
        match endpoint {
            Endpoint::PutVariable { name } => cluster::variables::put(self, head, name, body).await,
            Endpoint::GetVariable { name } => cluster::variables::get(self, head, name).await,
            Endpoint::DeleteVariable { name } => cluster::variables::delete(self, head, name).await,
            Endpoint::ListVariables => cluster::variables::list(self, head).await,
            Endpoint::ListSettings => cluster::settings::list(self, head).await,
            Endpoint::PutSetting { name } => cluster::settings::put(self, head, name, body).await,
            Endpoint::ExportRequests => cluster::export::export(self, head).await,
            Endpoint::Events => cluster::events::stream(self, head).await,
            Endpoint::DrainNode { id, draining } => cluster::nodes::drain(self, head, id, draining).await,
            Endpoint::DryRun => cluster::requests::dry_run::dry_run(self, head, &body).await,
            Endpoint::ShowRequest { id } => cluster::requests::get(self, head, id).await,
            Endpoint::RetryRequest { id } => cluster::requests::retry::retry(self, head, id, &body).await,
            Endpoint::PauseRequest { id, paused } => {
                cluster::requests::pause::pause(self, head, id, paused).await
            }
            Endpoint::DecideApproval { id, job, approved } => {
                cluster::requests::approval::decide(self, head, (id, job), approved, &body).await
            }
            Endpoint::ExplainLrp { guid } => cluster::explain::explain(self, head, guid).await,
            Endpoint::ListSpecs => cluster::specs::list(self, head).await,
            Endpoint::PushSpecs => cluster::specs::push(self, head, body).await,
            Endpoint::GetSpecs { version } => cluster::specs::get(self, head, version).await,
            Endpoint::RevertSpecs { version } => cluster::specs::revert(self, head, version).await,
            Endpoint::ListCells => cluster::cells::list(self, head).await,
            Endpoint::GetCell { id } => cluster::cells::get(self, head, id).await,
            Endpoint::ClusterStatus => Ok(cluster::status::status(self)),
            Endpoint::GetAuth => cluster::auth::get(self, head).await,
            Endpoint::ChangeAuth => cluster::auth::change(self, head, &body).await,
            Endpoint::ListTokens => cluster::tokens::list(self, head).await,
            Endpoint::CreateToken => cluster::tokens::create(self, head, &body).await,
            Endpoint::RevokeToken { id } => cluster::tokens::revoke(self, head, id).await,
            Endpoint::Audit => cluster::audit::list(self, head).await,
            Endpoint::Health => Ok(cluster::health::alive()),
            Endpoint::Ready => Ok(cluster::health::ready(self)),
            Endpoint::Metrics => Ok(cluster::health::metrics(self)),
            Endpoint::Version => Ok(spin_cycle::version()),
            Endpoint::CreateRequest => spin_cycle::create::create(self, head, &body).await,
            Endpoint::ListRequests => spin_cycle::list::list(self, head).await,
            Endpoint::GetRequest { id } => spin_cycle::requests::get(self, head, id).await,
            Endpoint::GetJobChain { id } => spin_cycle::requests::job_chain(self, head, id).await,
            Endpoint::GetLog { id } => spin_cycle::log::of_request(self, head, id).await,
            Endpoint::GetJobLog { id, job } => spin_cycle::log::of_job(self, head, id, job).await,
            Endpoint::StopRequest { id } => spin_cycle::stop::stop(self, head, id).await,
            Endpoint::StartRequest { id } => spin_cycle::requests::start(self, head, id).await,
            Endpoint::Running => spin_cycle::running::running(self, head).await,
            Endpoint::RequestList => spin_cycle::request_list::list(self, head).await,
            Endpoint::Receptor(endpoint) => receptor::serve(self, endpoint, head, body).await,
            Endpoint::JobRunnerOnly => Err(InputError::JobRunnerOnly.into()),
        }
    }
}
