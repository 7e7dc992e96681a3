//! Every deterministic way to refuse a command. A refused command has changed nothing.

use serde::{Deserialize, Serialize};

use crate::{
    auth::{Denied, NotAuthenticated, token::TokenId},
    ids::{DiskId, Epoch, Incarnation, JobId, NodeId, RequestId, TryNo, VariableName},
    lrp::{
        guid::{Guid, ProcessGuid},
        tag::ModificationTag,
    },
    spec_store::SpecsId,
};

/// Why a command was refused; the same on every node. New variants go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// Applying the command panicked; it was contained and changed nothing.
    #[error("applying the command failed: {message}")]
    Bug {
        /// What the panic said.
        message: String,
    },
    /// The command could not be decoded by this version.
    #[error("the command could not be decoded: {message}")]
    Undecodable {
        /// What the decoder said.
        message: String,
    },
    /// The proposer's session has ended, or the command is below its window; it was not executed.
    #[error("the session of incarnation {incarnation} is over, or its command was settled")]
    SessionOver {
        /// The proposer.
        incarnation: Incarnation,
    },
    /// The command's number is past the session's window; it was not executed, and nothing was remembered, so that it can be once
    /// the window has moved. A proposer therefore keeps within its window; this only protects the others from one that
    /// does not.
    #[error("incarnation {incarnation} has {unsettled_max} unsettled commands, the most a session may have")]
    SessionFull {
        /// The proposer.
        incarnation: Incarnation,
        /// The bound.
        unsettled_max: u64,
    },
    /// The cluster has its id already.
    #[error("the cluster is founded already")]
    AlreadyFounded,
    /// A newer life of the node is known.
    #[error("node {} has a newer incarnation than {incarnation}", incarnation.node)]
    OldIncarnation {
        /// The life that came late.
        incarnation: Incarnation,
    },
    /// The node is known with another data directory.
    #[error(
        "node {node} is recorded with disk {recorded}, not {found}: a wiped or swapped data directory needs a new node id"
    )]
    OtherDisk {
        /// The node.
        node: NodeId,
        /// The disk in the node table.
        recorded: DiskId,
        /// The disk it came with.
        found: DiskId,
    },
    /// There is no such variable.
    #[error("there is no variable {name}")]
    NoSuchVariable {
        /// The name asked for.
        name: VariableName,
    },
    /// The write's condition does not hold.
    #[error("variable {name} {}", as_revision(*current))]
    RevisionMismatch {
        /// The variable.
        name: VariableName,
        /// Its revision; `None` when it does not exist.
        current: Option<u64>,
    },
    /// A value is larger than it may be.
    #[error("{what} has {bytes} bytes; the most is {bytes_max}")]
    TooLarge {
        /// What.
        what: String,
        /// Its size.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// There are as many of them as there may be.
    #[error("there may be at most {count_max} {what}")]
    TooMany {
        /// What, in the plural.
        what: String,
        /// The bound.
        count_max: u64,
    },
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used before with another body")]
    IdempotencyKeyReused,
    /// The setting's value is out of its bounds.
    #[error("setting {name}: {reason}")]
    InvalidSetting {
        /// The setting.
        name: String,
        /// What would be right.
        reason: String,
    },
    /// The request is not live: unknown, or finished and in the archive.
    #[error("request {request} is not live")]
    NotLive {
        /// The request.
        request: RequestId,
    },
    /// A request of this id exists.
    #[error("request {request} exists already")]
    RequestExists {
        /// The request.
        request: RequestId,
    },
    /// The request has no such job.
    #[error("request {request} has no job {job}")]
    NoSuchJob {
        /// The request.
        request: RequestId,
        /// The job asked for.
        job: JobId,
    },
    /// The request has changed hands since.
    #[error("request {request} is under epoch {current}, not {named}")]
    StaleEpoch {
        /// The request.
        request: RequestId,
        /// Its epoch.
        current: Epoch,
        /// The epoch the command named.
        named: Epoch,
    },
    /// The job is at another try.
    #[error("job {job} is at try {current}, not {named}")]
    StaleTry {
        /// The job.
        job: JobId,
        /// Its current try.
        current: TryNo,
        /// The try the command named.
        named: TryNo,
    },
    /// A retry was asked for before its time, or when none is due.
    #[error("job {job} has no retry due")]
    NothingDue {
        /// The job.
        job: JobId,
    },
    /// The try does not run: its end is known already, which is what a repeated report meets.
    #[error("try {try_no} of job {job} is not running")]
    TryOver {
        /// The job.
        job: JobId,
        /// The try, which is the job's current one.
        try_no: TryNo,
    },
    /// The epoch is the request's, but another life owns it.
    #[error("request {request} is not owned by incarnation {incarnation}")]
    NotOwner {
        /// The request.
        request: RequestId,
        /// Who took itself for its owner.
        incarnation: Incarnation,
    },
    /// No such node ever joined.
    #[error("there is no node {node}")]
    NoSuchNode {
        /// The node asked for.
        node: NodeId,
    },
    /// A request may wait for an owner for as long as it does.
    #[error("request {request} may wait for an owner")]
    MayWait {
        /// The request.
        request: RequestId,
    },
    /// What a leader judged counts in its own term only.
    #[error("judged in term {given}, and this is term {now}")]
    OtherTerm {
        /// The term of the leader that judged.
        given: u64,
        /// The term of the entry.
        now: u64,
    },
    /// An LRP of this guid is desired, in whatever domain.
    #[error("LRP {guid} is desired already")]
    LrpExists {
        /// The guid.
        guid: ProcessGuid,
    },
    /// No LRP of this guid is desired.
    #[error("no LRP {guid} is desired")]
    NoSuchLrp {
        /// The guid.
        guid: ProcessGuid,
    },
    /// The desired LRP was changed since.
    #[error("LRP {guid} is at change {} of {:032x}", current.index, current.epoch)]
    LrpTagMismatch {
        /// The LRP.
        guid: ProcessGuid,
        /// Its tag.
        current: ModificationTag,
    },
    /// There is no instance at this index.
    #[error("LRP {guid} does not exist or has no instance at index {index}")]
    NoSuchIndex {
        /// The LRP.
        guid: ProcessGuid,
        /// The index asked for.
        index: u32,
    },
    /// The instance is not the one of its index any more: its cell is to stop it.
    #[error("that instance of LRP {guid} at index {index} is not the current one")]
    StaleInstance {
        /// The LRP.
        guid: ProcessGuid,
        /// The index.
        index: u32,
    },
    /// A task of this guid exists, in whatever domain.
    #[error("task {guid} exists already")]
    TaskExists {
        /// The guid.
        guid: Guid,
    },
    /// There is no task of this guid.
    #[error("there is no task {guid}")]
    NoSuchTask {
        /// The guid asked for.
        guid: Guid,
    },
    /// The task is not complete, or its callback is being called.
    #[error("task {guid} is not complete")]
    TaskNotDeletable {
        /// The task.
        guid: Guid,
    },
    /// The task is complete already.
    #[error("task {guid} is complete already")]
    TaskOver {
        /// The task.
        guid: Guid,
    },
    /// The task is not what the command takes it for any more: a cell that does it is to stop it.
    #[error("task {guid} is not in the state that was named")]
    StaleTask {
        /// The task.
        guid: Guid,
    },
    /// The request has not ended, so nothing of it leaves.
    #[error("request {request} has not ended")]
    StillLive {
        /// The request.
        request: RequestId,
    },
    /// Who had the command proposed is nobody the cluster knows, or no longer.
    #[error(transparent)]
    NotAuthenticated(#[from] NotAuthenticated),
    /// Who had the command proposed may not do that, or no longer.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// There is no such token.
    #[error("there is no token {id}")]
    NoSuchToken {
        /// The id asked for.
        id: TokenId,
    },
    /// A token of this id exists.
    #[error("token {id} exists already")]
    TokenExists {
        /// The id.
        id: TokenId,
    },
    /// Something about tokens or the policy is not as it may be.
    #[error("{what}: {reason}")]
    InvalidAuth {
        /// What.
        what: String,
        /// What would be right.
        reason: String,
    },
    /// Nobody could administer the cluster any more.
    #[error(
        "auth is required only as long as there is a token that has an admin role and never expires: make one first"
    )]
    NoAdminLeft,
    /// What a request has beyond Spin Cycle does not fit its chain.
    #[error("the terms of the request do not fit its chain: {reason}")]
    InvalidTerms {
        /// What does not.
        reason: String,
    },
    /// Only a request that has ended can be gone on with.
    #[error("request {request} has not ended")]
    NotFinished {
        /// The request.
        request: RequestId,
    },
    /// Nothing of the request that was named is out of time, or not yet.
    #[error("request {request} is not out of time")]
    NotOverdue {
        /// The request.
        request: RequestId,
    },
    /// The job waits for nobody's decision.
    #[error("job {job} of request {request} does not wait for a decision")]
    NotAwaiting {
        /// The request.
        request: RequestId,
        /// The job.
        job: JobId,
    },
    /// The request is being stopped.
    #[error("request {request} is being stopped")]
    Stopping {
        /// The request.
        request: RequestId,
    },
    /// The request specs are not those that were named.
    #[error("{}", specs_at(*current))]
    OtherSpecs {
        /// The current version; `None` when there is none.
        current: Option<SpecsId>,
    },
    /// No version of the request specs with this content is kept.
    #[error("no version {version} of the request specs is kept")]
    NoSuchSpecs {
        /// The content asked for.
        version: SpecsId,
    },
    /// A file of request specs is not named as it must be.
    #[error("spec file {path:?}: {reason}")]
    InvalidSpecFile {
        /// Its path as given.
        path: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The request specs are not those that the request was built from: it can be built again.
    #[error("the request was built from other specs: {}", specs_at(*current))]
    BuiltFromOtherSpecs {
        /// The current version; `None` when there is none.
        current: Option<SpecsId>,
    },
    /// Who changes the policy would not be an administrator after it, in a cluster that asks who calls.
    #[error(
        "you would lock yourself out: none of your roles would be an admin role any more; who has one that stays may do it"
    )]
    LocksOut,
}

/// Refuses a text that is longer than it may be.
pub(crate) fn check_size(what: &str, text: &str, bytes_max: usize) -> Result<(), Rejection> {
    if text.len() <= bytes_max {
        return Ok(());
    }
    Err(Rejection::TooLarge { what: what.to_owned(), bytes: text.len() as u64, bytes_max: bytes_max as u64 })
}

fn specs_at(current: Option<SpecsId>) -> String {
    let nothing = || "there are no request specs yet".to_owned();
    current.map_or_else(nothing, |id| format!("the request specs are at version {id}"))
}

fn as_revision(current: Option<u64>) -> String {
    current.map_or_else(|| "does not exist".to_owned(), |revision| format!("has revision {revision}"))
}
