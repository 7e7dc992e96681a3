//! Whether somebody may start or stop a request: its spec says so, as this node knows it.

use std::sync::Arc;

use capstan_model::{
    auth::{Acl, Operation, authorise},
    ids::RequestId,
    spec::Specs,
};
use capstan_raft_store::handle::{Consistency, View};

use crate::{
    archive,
    call::Head,
    error::{ApiError, InputError},
    service::Inner,
};

/// Lets a caller start a request of a type that there is; gives what its spec says, for apply to ask again.
///
/// # Errors
/// [`InputError::Denied`].
pub(crate) fn may_start(
    api: &Inner,
    head: &Head<'_>,
    specs: &Specs,
    request_type: &str,
) -> Result<Option<Acl>, InputError> {
    may(api, head, Operation::Start, acl_of(specs, request_type))
}

/// Lets a caller stop a request. What nobody is asked for is not looked up either.
///
/// # Errors
/// [`InputError::Denied`]; [`InputError::NoSuchRequest`] where only its type could tell; a read that failed.
pub(crate) async fn may_stop(
    api: &Inner,
    head: &Head<'_>,
    request: RequestId,
) -> Result<Option<Acl>, ApiError> {
    let specs = api.parts.workflows.specs();
    let view = api.parts.cluster.view();
    let policy = view.state().auth.policy();
    let is_free = !policy.required && !policy.strict && specs.sequences().all(|spec| spec.acl.is_empty());
    if is_free || head.by.is_some_and(|by| policy.is_admin(&by.caller)) {
        return Ok(None);
    }
    let request_type = match type_in(view, request).await? {
        Some(known) => Some(known),
        // This node may only not have heard of it yet.
        None => type_in(api.parts.cluster.read(Consistency::Linearizable).await?, request).await?,
    };
    let request_type = request_type.ok_or_else(|| InputError::NoSuchRequest { id: request.to_string() })?;
    Ok(may(api, head, Operation::Stop, acl_of(&specs, &request_type))?)
}

fn may(
    api: &Inner,
    head: &Head<'_>,
    operation: Operation,
    acl: Option<Acl>,
) -> Result<Option<Acl>, InputError> {
    let (view, caller) = (api.parts.cluster.view(), head.caller());
    authorise(view.state().auth.policy(), &caller, operation, acl.as_ref())?;
    Ok(acl)
}

/// The ACL of a type of request; `None` when no spec here is of that type.
fn acl_of(specs: &Specs, request_type: &str) -> Option<Acl> {
    let spec = specs.sequence(request_type).filter(|spec| spec.is_request);
    spec.map(|spec| Acl::of(&spec.acl))
}

/// The type of a request, live or finished.
async fn type_in(view: View, request: RequestId) -> Result<Option<Arc<str>>, ApiError> {
    if let Some(live) = view.state().requests.get(&request) {
        return Ok(Some(live.summary().request_type));
    }
    let finished =
        archive::read(view, move |view| capstan_model::archive::finished_request(view, request)).await?;
    Ok(finished.map(|detail| detail.summary.request_type))
}
