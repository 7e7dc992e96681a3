//! The one table from errors to status codes.
//!
//! What a caller may do decides the code: correct the call (400, 405, 413, 415, 422), stop asking (404, 410), read and decide
//! (409, 412), wait because nothing happened (429, 503, 507, with `Retry-After`), or look because something may have (504).

use std::time::Duration;

use capstan_client::{
    cluster::ErrorBody,
    spin_cycle::{FrameworkError, HandlerError},
};
use capstan_model::{
    auth::{Denied, NotAuthenticated, token::TokenId},
    history::EventId,
    ids::InvalidId,
    rejection::Rejection,
    rows::LoadError,
    workflow::{
        graph::{self, BuildError},
        rerun::Refused,
    },
};
use capstan_raft_store::handle::{ProposeError, ReadError};
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
};

use crate::{
    answer::{self, Answer},
    call::Surface,
    cluster::requests,
    ports::OutputError,
    receptor, spin_cycle,
};

/// Why a call was not done as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// Found out at the edge; nothing was proposed.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The state machine's refusal, the same on every node.
    #[error(transparent)]
    Refused(#[from] Rejection),
    /// The command had no reply.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// As [`ApiError::Propose`], for a command that makes something with an address.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The read had no view.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The archive could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What instances wrote could not be read.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Why finished requests and logs could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// A row is of no known shape.
    #[error("the archive holds a row that cannot be read")]
    Row(#[from] LoadError),
    /// The reading task is gone.
    #[error("the archive was not read to its end")]
    Task(#[from] std::io::Error),
}

/// Why a creation had no reply, and where what it would have made can be looked for.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub(crate) struct CreateError {
    pub(crate) source: ProposeError,
    /// The path of what would have been made.
    pub(crate) location: String,
}

impl CreateError {
    /// Says of a creation that had no reply where to look.
    pub(crate) fn locate(error: ApiError, location: String) -> ApiError {
        match error {
            ApiError::Propose(source) => Self { source, location }.into(),
            other => other,
        }
    }
}

/// What is wrong with a call in itself, or with the moment it came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// The path leads nowhere.
    #[error("there is nothing at this path")]
    UnknownRoute,
    /// The path is known, the method is not.
    #[error("this path has no such method, only {}", allow.to_str().unwrap_or_default())]
    MethodNotAllowed {
        /// The methods it has, as the header `Allow` lists them.
        allow: HeaderValue,
    },
    /// The path and query are too long.
    #[error("the path and query are longer than {bytes_max} bytes")]
    UriTooLong {
        /// The bound.
        bytes_max: usize,
    },
    /// A segment of the path cannot be decoded.
    #[error("{segment:?} in the path: {reason}")]
    Path {
        /// The segment as sent.
        segment: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name is no legal name.
    #[error(transparent)]
    Name(#[from] InvalidId),
    /// A query parameter is malformed; under `/api` the text is upstream's.
    #[error("{reason}")]
    Query {
        /// Which, what is wrong, and what would be right.
        reason: String,
    },
    /// A header is malformed.
    #[error("header {name}: {reason}")]
    Header {
        /// Which.
        name: &'static str,
        /// What would be right.
        reason: &'static str,
    },
    /// The body is too large.
    #[error("the body is larger than {bytes_max} bytes")]
    BodyTooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// The body broke off, or was not framed as HTTP demands.
    #[error("the body could not be read to its end")]
    BodyBroken,
    /// The body is not of a type that can be read.
    #[error("the body must be JSON, with the content type application/json")]
    UnsupportedMediaType,
    /// The body cannot be bound to what is wanted; the text is upstream's.
    #[error("{reason}")]
    Body {
        /// What is wrong.
        reason: String,
    },
    /// A request could not be built: unknown type, missing arg, or a job type refused, or cannot be asked just now.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The job types did not create a request's jobs in time.
    #[error("the request's jobs could not be created within {wait_max:?}")]
    CreateTimeout {
        /// The bound.
        wait_max: Duration,
    },
    /// There is no such variable.
    #[error("there is no variable {name}")]
    NoSuchVariable {
        /// The name asked for.
        name: String,
    },
    /// No version of the request specs is named so.
    #[error("there is no version {version} of the request specs: {reason}")]
    NoSuchSpecs {
        /// What was named, as sent.
        version: String,
        /// Why, and what would be right.
        reason: String,
    },
    /// This node's program cannot use specs that another one took.
    #[error("this node cannot use version {version} of the request specs: {reason}")]
    SpecsUnusable {
        /// The version, shortened.
        version: String,
        /// The first error in them.
        reason: String,
    },
    /// There is no such node.
    #[error("there is no node {id}: GET /cluster/v1/status lists the nodes")]
    NoSuchNode {
        /// The id asked for, as sent.
        id: String,
    },
    /// There is no such cell.
    #[error("there is no cell {id}: GET /cluster/v1/cells lists the cells")]
    NoSuchCell {
        /// The id asked for, as sent.
        id: String,
    },
    /// There is no such request, neither live nor in the archive.
    #[error("request {id} not found")]
    NoSuchRequest {
        /// The id asked for, as sent.
        id: String,
    },
    /// The request has no log of such a job.
    #[error("job {job} not found in request {id}")]
    NoSuchJobLog {
        /// The request asked for, as sent.
        id: String,
        /// The job asked for, as sent.
        job: String,
    },
    /// Nobody starts a request but the cluster itself.
    #[error("request in state {state}: requests start by themselves, as soon as a node can run them")]
    NotStartable {
        /// Its state.
        state: &'static str,
    },
    /// Only a separate Job Runner had a use for it.
    #[error("not served any more: capstan's nodes run the jobs themselves")]
    JobRunnerOnly,
    /// The node is draining or stopping.
    #[error("Request Manager is shutting down - no new requests are being started")]
    Draining,
    /// More calls are being served than one node will.
    #[error("{calls_max} calls are being served, the most this node will at a time")]
    TooManyCalls {
        /// The bound.
        calls_max: usize,
    },
    /// What came after the event may be kept no more.
    #[error(
        "what came after event {id} is kept no more: list what there is, and begin without Last-Event-ID"
    )]
    EventsGone {
        /// The event asked for.
        id: EventId,
    },
    /// No node of this cluster has told of the event.
    #[error(
        "event {id} is not of this cluster, whose log is at {index}: list what there is, and begin without Last-Event-ID"
    )]
    NotOfThisLog {
        /// The event asked for.
        id: EventId,
        /// A log index that a quorum has confirmed.
        index: u64,
    },
    /// The node is draining or stopping, and its streams with it.
    #[error("this node is draining or stopping: follow another")]
    StreamsEnd,
    /// The node may know nothing of what happens now.
    #[error("no leader has acknowledged this node within the lease: follow another")]
    OutOfTouch,
    /// More streams are being served than one node will.
    #[error("{streams_max} streams are being served, the most this node will at a time")]
    TooManyStreams {
        /// The bound.
        streams_max: usize,
    },
    /// Who calls is nobody the cluster knows.
    #[error(transparent)]
    NotAuthenticated(#[from] NotAuthenticated),
    /// What should say who calls cannot be read.
    #[error("header Authorization: {reason}")]
    Credentials {
        /// What would be right.
        reason: &'static str,
    },
    /// Who calls may not do that.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The token was made when the call came first, and its secret was told then.
    #[error(
        "this call was made before, and its answer told the secret of token {id}, which nobody can tell again: revoke it and make another"
    )]
    SecretTold {
        /// The token.
        id: TokenId,
    },
    /// A request cannot be changed as asked.
    #[error(transparent)]
    Workflow(#[from] requests::error::Refusal),
    /// Something Diego has a word for.
    #[error(transparent)]
    Receptor(#[from] receptor::error::Refusal),
}

/// What an error means to the caller.
struct Verdict {
    status: StatusCode,
    /// A stable word for programs.
    code: &'static str,
}

impl ApiError {
    /// Whether a call was denied for what a node that is behind might not know better.
    pub(crate) fn may_be_out_of_date(&self) -> bool {
        matches!(
            self,
            Self::Input(InputError::NotAuthenticated(NotAuthenticated::NoSuchToken) | InputError::Denied(_))
        )
    }

    /// The table.
    fn verdict(&self) -> Verdict {
        use StatusCode as S;
        use receptor::error::Refusal;
        use requests::error::Refusal as Unchanged;
        let (status, code) = match self {
            Self::Input(e) => match e {
                InputError::UnknownRoute => (S::NOT_FOUND, "no_such_route"),
                InputError::MethodNotAllowed { .. } => (S::METHOD_NOT_ALLOWED, "method_not_allowed"),
                InputError::UriTooLong { .. } => (S::URI_TOO_LONG, "uri_too_long"),
                InputError::Path { .. } => (S::BAD_REQUEST, "invalid_path"),
                InputError::Name(_) => (S::BAD_REQUEST, "invalid_name"),
                InputError::Query { .. } => (S::BAD_REQUEST, "invalid_query"),
                InputError::Header { .. } => (S::BAD_REQUEST, "invalid_header"),
                InputError::BodyTooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "body_too_large"),
                InputError::BodyTimeout => (S::REQUEST_TIMEOUT, "body_timeout"),
                InputError::BodyBroken => (S::BAD_REQUEST, "body_broken"),
                InputError::UnsupportedMediaType => (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
                InputError::Body { .. } => (S::BAD_REQUEST, "invalid_body"),
                InputError::Build(BuildError::NotCreated {
                    error: graph::CreateError::Unavailable(_),
                    ..
                }) => (S::SERVICE_UNAVAILABLE, "job_type_unavailable"),
                InputError::Build(_) => (S::BAD_REQUEST, "invalid_request"),
                InputError::CreateTimeout { .. } => (S::BAD_REQUEST, "create_timeout"),
                InputError::NoSuchVariable { .. } => (S::NOT_FOUND, "no_such_variable"),
                InputError::NoSuchSpecs { .. } => (S::NOT_FOUND, "no_such_specs"),
                InputError::SpecsUnusable { .. } => (S::SERVICE_UNAVAILABLE, "specs_unusable"),
                InputError::NoSuchNode { .. } => (S::NOT_FOUND, "no_such_node"),
                InputError::NoSuchCell { .. } => (S::NOT_FOUND, "no_such_cell"),
                InputError::NoSuchRequest { .. } => (S::NOT_FOUND, "no_such_request"),
                InputError::NoSuchJobLog { .. } => (S::NOT_FOUND, "no_such_job"),
                InputError::NotStartable { .. } => (S::CONFLICT, "wrong_state"),
                InputError::JobRunnerOnly => (S::GONE, "gone"),
                InputError::Draining => (S::SERVICE_UNAVAILABLE, "draining"),
                InputError::TooManyCalls { .. } => (S::TOO_MANY_REQUESTS, "too_many_calls"),
                InputError::EventsGone { .. } => (S::GONE, "events_gone"),
                InputError::NotOfThisLog { .. } => (S::GONE, "not_of_this_log"),
                InputError::StreamsEnd => (S::SERVICE_UNAVAILABLE, "draining"),
                InputError::OutOfTouch => (S::SERVICE_UNAVAILABLE, "no_leader"),
                InputError::TooManyStreams { .. } => (S::TOO_MANY_REQUESTS, "too_many_streams"),
                InputError::NotAuthenticated(_) | InputError::Credentials { .. } => {
                    (S::UNAUTHORIZED, "unauthenticated")
                }
                InputError::Denied(_) => (S::FORBIDDEN, "denied"),
                InputError::SecretTold { .. } => (S::CONFLICT, "secret_told"),
                InputError::Workflow(e) => match e {
                    Unchanged::Ended { .. } => (S::CONFLICT, "ended"),
                    Unchanged::NotEnded { .. } => (S::CONFLICT, "not_ended"),
                    Unchanged::NotAwaiting { .. } => (S::CONFLICT, "not_awaiting"),
                    Unchanged::StaleTry { .. } => (S::CONFLICT, "stale_try"),
                    Unchanged::NotADryRun => (S::BAD_REQUEST, "invalid_query"),
                    Unchanged::Retry(Refused::UnknownArg { .. }) => (S::BAD_REQUEST, "invalid_request"),
                    Unchanged::RetryTooLarge { .. } | Unchanged::Retry(_) => (S::CONFLICT, "not_retryable"),
                },
                InputError::Receptor(e) => match e {
                    Refusal::Json(_) => (S::BAD_REQUEST, "invalid_body"),
                    Refusal::Lrp(_) => (S::BAD_REQUEST, "invalid_lrp"),
                    Refusal::Task(_) => (S::BAD_REQUEST, "invalid_task"),
                    Refusal::NoSuchTask { .. } => (S::NOT_FOUND, "no_such_task"),
                    Refusal::Request(_) => (S::BAD_REQUEST, "invalid_request"),
                    Refusal::NoSuchLrp { .. } => (S::NOT_FOUND, "no_such_lrp"),
                    Refusal::NothingAtIndex { .. } | Refusal::NoSuchIndex { .. } => {
                        (S::NOT_FOUND, "no_such_index")
                    }
                    Refusal::Unauthorized => (S::UNAUTHORIZED, "unauthorized"),
                },
            },
            Self::Refused(e) => match e {
                Rejection::Bug { .. } => (S::INTERNAL_SERVER_ERROR, "bug"),
                Rejection::Undecodable { .. } => (S::INTERNAL_SERVER_ERROR, "undecodable"),
                // Never executed, and the node's next life has a new session.
                Rejection::SessionOver { .. } => (S::SERVICE_UNAVAILABLE, "session_over"),
                Rejection::SessionFull { .. } => (S::TOO_MANY_REQUESTS, "session_full"),
                Rejection::AlreadyFounded => (S::CONFLICT, "already_founded"),
                Rejection::OldIncarnation { .. } => (S::CONFLICT, "old_incarnation"),
                Rejection::OtherDisk { .. } => (S::CONFLICT, "other_disk"),
                Rejection::NoSuchVariable { .. } => (S::NOT_FOUND, "no_such_variable"),
                Rejection::RevisionMismatch { .. } => (S::PRECONDITION_FAILED, "revision_mismatch"),
                Rejection::TooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "too_large"),
                Rejection::TooMany { .. } => (S::TOO_MANY_REQUESTS, "too_many"),
                Rejection::IdempotencyKeyReused => (S::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
                Rejection::InvalidSetting { .. } => (S::BAD_REQUEST, "invalid_setting"),
                Rejection::NotLive { .. } => (S::NOT_FOUND, "no_such_request"),
                Rejection::RequestExists { .. } => (S::CONFLICT, "request_exists"),
                Rejection::NoSuchJob { .. } => (S::NOT_FOUND, "no_such_job"),
                Rejection::StaleEpoch { .. } => (S::CONFLICT, "stale_epoch"),
                Rejection::StaleTry { .. } => (S::CONFLICT, "stale_try"),
                Rejection::NothingDue { .. } => (S::CONFLICT, "nothing_due"),
                Rejection::TryOver { .. } => (S::CONFLICT, "try_over"),
                Rejection::NotOwner { .. } => (S::CONFLICT, "not_owner"),
                Rejection::NoSuchNode { .. } => (S::NOT_FOUND, "no_such_node"),
                Rejection::OtherTerm { .. } => (S::CONFLICT, "other_term"),
                Rejection::MayWait { .. } => (S::CONFLICT, "may_wait"),
                Rejection::LrpExists { .. } => (S::CONFLICT, "lrp_exists"),
                Rejection::NoSuchLrp { .. } => (S::NOT_FOUND, "no_such_lrp"),
                Rejection::LrpTagMismatch { .. } => (S::PRECONDITION_FAILED, "tag_mismatch"),
                Rejection::NoSuchIndex { .. } => (S::NOT_FOUND, "no_such_index"),
                Rejection::StaleInstance { .. } => (S::CONFLICT, "stale_instance"),
                Rejection::TaskExists { .. } => (S::CONFLICT, "task_exists"),
                Rejection::NoSuchTask { .. } => (S::NOT_FOUND, "no_such_task"),
                Rejection::TaskNotDeletable { .. } => (S::CONFLICT, "task_not_complete"),
                Rejection::TaskOver { .. } => (S::CONFLICT, "task_complete"),
                Rejection::StaleTask { .. } => (S::CONFLICT, "stale_task"),
                Rejection::StillLive { .. } => (S::CONFLICT, "request_live"),
                Rejection::NotAuthenticated(_) => (S::UNAUTHORIZED, "unauthenticated"),
                Rejection::Denied(_) => (S::FORBIDDEN, "denied"),
                Rejection::NoSuchToken { .. } => (S::NOT_FOUND, "no_such_token"),
                Rejection::TokenExists { .. } => (S::CONFLICT, "token_exists"),
                Rejection::InvalidAuth { .. } => (S::BAD_REQUEST, "invalid_auth"),
                Rejection::NoAdminLeft => (S::CONFLICT, "no_admin_left"),
                Rejection::InvalidTerms { .. } => (S::BAD_REQUEST, "invalid_request"),
                Rejection::NotFinished { .. } => (S::CONFLICT, "not_ended"),
                Rejection::NotOverdue { .. } => (S::CONFLICT, "not_overdue"),
                Rejection::NotAwaiting { .. } => (S::CONFLICT, "not_awaiting"),
                Rejection::Stopping { .. } => (S::CONFLICT, "stopping"),
                Rejection::OtherSpecs { .. } => (S::PRECONDITION_FAILED, "specs_mismatch"),
                Rejection::NoSuchSpecs { .. } => (S::NOT_FOUND, "no_such_specs"),
                Rejection::InvalidSpecFile { .. } => (S::BAD_REQUEST, "invalid_spec_file"),
                // It was built again as often as the node does that.
                Rejection::BuiltFromOtherSpecs { .. } => (S::CONFLICT, "specs_changed"),
                Rejection::LocksOut => (S::CONFLICT, "locks_out"),
            },
            Self::Propose(e) | Self::Create(CreateError { source: e, .. }) => match e {
                ProposeError::NoLeader { .. } => (S::SERVICE_UNAVAILABLE, "no_leader"),
                ProposeError::NotJoined => (S::SERVICE_UNAVAILABLE, "not_joined"),
                ProposeError::QueueFull => (S::TOO_MANY_REQUESTS, "queue_full"),
                ProposeError::DiskNearlyFull => (S::INSUFFICIENT_STORAGE, "disk_nearly_full"),
                ProposeError::ShuttingDown => (S::SERVICE_UNAVAILABLE, "shutting_down"),
                ProposeError::TooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "too_large"),
                ProposeError::OutcomeUnknown { .. } if capstan_model::mutant!("unknown-answered-503") => {
                    (S::SERVICE_UNAVAILABLE, "outcome_unknown")
                }
                ProposeError::OutcomeUnknown { .. } => (S::GATEWAY_TIMEOUT, "outcome_unknown"),
            },
            Self::Read(e) => match e {
                ReadError::NoLeader { .. } => (S::SERVICE_UNAVAILABLE, "no_leader"),
                ReadError::NotReached { .. } => (S::SERVICE_UNAVAILABLE, "index_not_reached"),
                ReadError::ShuttingDown => (S::SERVICE_UNAVAILABLE, "shutting_down"),
            },
            Self::Archive(e) => match e {
                ArchiveError::Row(_) => (S::INTERNAL_SERVER_ERROR, "archive"),
                ArchiveError::Task(_) => (S::INTERNAL_SERVER_ERROR, "archive"),
            },
            Self::Output(e) => match e {
                OutputError::Unreachable { .. } => (S::SERVICE_UNAVAILABLE, "cell_unreachable"),
                OutputError::Unreadable { .. } => (S::INTERNAL_SERVER_ERROR, "output"),
            },
        };
        Verdict { status, code }
    }

    /// The answer, in the shape of the surface the call came in on.
    pub(crate) fn answer(&self, surface: Surface) -> Answer {
        let mut verdict = self.verdict();
        if verdict.status == StatusCode::FORBIDDEN && surface != Surface::Cluster {
            // Neither of the two others knows 403.
            verdict.status = StatusCode::UNAUTHORIZED;
        }
        let message = self.public_message(verdict.status);
        let mut answer = match surface {
            Surface::Cluster => {
                answer::json(verdict.status, &ErrorBody { code: verdict.code.to_owned(), message })
            }
            Surface::SpinCycle => self.spin_cycle_answer(verdict.status, message),
            Surface::Receptor => receptor::error::answered(self, verdict.status, message),
        };
        let headers = answer.headers_mut();
        match verdict.status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::INSUFFICIENT_STORAGE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, surface.challenge());
            }
            _ => {}
        }
        if let Self::Input(InputError::MethodNotAllowed { allow }) = self {
            headers.insert(ALLOW, allow.clone());
        }
        if let Self::Create(CreateError { source: ProposeError::OutcomeUnknown { .. }, location }) = self {
            headers.insert(
                LOCATION,
                HeaderValue::try_from(location).expect("a path of ids is legal in a header"),
            );
        }
        answer
    }

    /// What the caller is told. The details of a bug go to our log only.
    fn public_message(&self, status: StatusCode) -> String {
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            let cause = std::error::Error::source(self).map(ToString::to_string);
            tracing::error!(error = %self, cause, "a call failed because of a bug or a damaged archive");
            return "internal error; the node's log says more".to_owned();
        }
        self.to_string()
    }

    /// Upstream has two shapes: its framework's for what fails before a handler, and its handlers' own.
    fn spin_cycle_answer(&self, status: StatusCode, message: String) -> Answer {
        let by_framework = match self {
            Self::Input(e) => match e {
                InputError::UnknownRoute
                | InputError::MethodNotAllowed { .. }
                | InputError::UnsupportedMediaType => return framework(status, status.canonical_reason()),
                InputError::UriTooLong { .. }
                | InputError::Path { .. }
                | InputError::BodyTooLarge { .. }
                | InputError::BodyTimeout
                | InputError::BodyBroken
                | InputError::Body { .. }
                | InputError::NotAuthenticated(_)
                | InputError::Credentials { .. }
                | InputError::Denied(_)
                | InputError::TooManyCalls { .. } => true,
                InputError::Name(_)
                | InputError::Query { .. }
                | InputError::Header { .. }
                | InputError::Build(_)
                | InputError::CreateTimeout { .. }
                | InputError::NoSuchVariable { .. }
                | InputError::NoSuchSpecs { .. }
                | InputError::SpecsUnusable { .. }
                | InputError::NoSuchNode { .. }
                | InputError::NoSuchCell { .. }
                | InputError::NoSuchRequest { .. }
                | InputError::NoSuchJobLog { .. }
                | InputError::NotStartable { .. }
                | InputError::JobRunnerOnly
                | InputError::EventsGone { .. }
                | InputError::NotOfThisLog { .. }
                | InputError::StreamsEnd
                | InputError::OutOfTouch
                | InputError::TooManyStreams { .. }
                | InputError::SecretTold { .. }
                | InputError::Workflow(_)
                | InputError::Receptor(_)
                | InputError::Draining => false,
            },
            Self::Refused(Rejection::NotAuthenticated(_) | Rejection::Denied(_)) => true,
            Self::Refused(_)
            | Self::Propose(_)
            | Self::Create(_)
            | Self::Read(_)
            | Self::Archive(_)
            | Self::Output(_) => false,
        };
        if by_framework {
            return framework(status, Some(&message));
        }
        let body = HandlerError { message, request_id: String::new(), http_status: status.as_u16() };
        spin_cycle::json::answer(status, &body, spin_cycle::json::Layout::Compact)
    }
}

fn framework(status: StatusCode, message: Option<&str>) -> Answer {
    let body = FrameworkError { message: message.unwrap_or_default().to_owned() };
    spin_cycle::json::answer(status, &body, spin_cycle::json::Layout::Compact)
}

#[cfg(test)]
mod tests {
    use capstan_model::ids::{CommandId, Incarnation, NodeId, VariableName};

    use super::*;

    fn name() -> VariableName {
        "a".parse().unwrap()
    }

    fn unknown_outcome() -> ProposeError {
        let incarnation = Incarnation { node: NodeId(1), boot: 2, nonce: 3 };
        ProposeError::OutcomeUnknown { id: CommandId { incarnation, seq: 4 }, waited: Duration::from_secs(4) }
    }

    #[test]
    fn the_status_tells_what_the_caller_may_do() {
        let waited = Duration::from_secs(4);
        let not_created = |error| BuildError::NotCreated {
            path: graph::NodePath::default(),
            job_type: "host/stop".into(),
            name: "stop".into(),
            error,
        };
        let refused = graph::CreateError::Failed("no such host".to_owned());
        let passing = graph::CreateError::Unavailable("the lease of this node is over".to_owned());
        let cases: [(ApiError, u16, bool); 16] = [
            (InputError::UnknownRoute.into(), 404, false),
            (InputError::BodyTooLarge { bytes_max: 1 }.into(), 413, false),
            (InputError::TooManyCalls { calls_max: 1 }.into(), 429, true),
            (InputError::Draining.into(), 503, true),
            (InputError::from(not_created(refused)).into(), 400, false),
            (InputError::from(not_created(passing)).into(), 503, true),
            (Rejection::RevisionMismatch { name: name(), current: None }.into(), 412, false),
            (Rejection::TooMany { what: "variables".to_owned(), count_max: 1 }.into(), 429, true),
            (Rejection::IdempotencyKeyReused.into(), 422, false),
            (ProposeError::NoLeader { waited }.into(), 503, true),
            (ProposeError::QueueFull.into(), 429, true),
            (ProposeError::DiskNearlyFull.into(), 507, true),
            (unknown_outcome().into(), 504, false),
            (ReadError::NoLeader { waited }.into(), 503, true),
            (ReadError::NotReached { index: 2, applied: 1 }.into(), 503, true),
            (Rejection::Bug { message: "secret".to_owned() }.into(), 500, false),
        ];
        for (error, status, retry_after) in cases {
            let shown = error.to_string();
            for surface in [Surface::Cluster, Surface::SpinCycle, Surface::Receptor] {
                let answer = error.answer(surface);
                assert_eq!(answer.status().as_u16(), status, "{shown}");
                assert_eq!(answer.headers().contains_key(RETRY_AFTER), retry_after, "{shown}");
            }
        }
    }

    #[test]
    fn a_creation_of_unknown_outcome_says_where_to_look() {
        let location = "/api/v1/requests/x".to_owned();
        let error: ApiError = CreateError { source: unknown_outcome(), location }.into();
        assert_eq!(error.answer(Surface::SpinCycle).headers()[LOCATION], "/api/v1/requests/x");
        let plain: ApiError = unknown_outcome().into();
        assert!(!plain.answer(Surface::Cluster).headers().contains_key(LOCATION));
    }

    #[test]
    fn details_of_a_bug_stay_in_our_log() {
        let error: ApiError = Rejection::Bug { message: "secret".to_owned() }.into();
        let body = error.answer(Surface::Cluster).into_body().into_whole();
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }

    #[test]
    fn each_surface_has_its_own_shapes() {
        let error: ApiError = Rejection::IdempotencyKeyReused.into();
        let message = "the idempotency key was used before with another body";
        let cluster = format!("{{\"code\":\"idempotency_key_reused\",\"message\":\"{message}\"}}\n");
        assert_eq!(error.answer(Surface::Cluster).into_body().into_whole(), cluster);
        let handler = format!("{{\"message\":\"{message}\",\"requestId\":\"\",\"httpStatus\":422}}\n");
        assert_eq!(error.answer(Surface::SpinCycle).into_body().into_whole(), handler);
        let error: ApiError = InputError::UnsupportedMediaType.into();
        assert_eq!(
            error.answer(Surface::SpinCycle).into_body().into_whole(),
            "{\"message\":\"Unsupported Media Type\"}\n"
        );
    }
}
