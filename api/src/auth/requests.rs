//! Whether somebody may start a request, or do something to one: its spec says so.

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

/// Lets a caller start a request; gives what its spec says, for apply to ask again. What there is no spec of is left to be refused as that.
///
/// # Errors
/// [`InputError::Denied`].
pub(crate) fn may_start(
    api: &Inner,
    head: &Head<'_>,
    specs: &Specs,
    request_type: &str,
) -> Result<Option<Acl>, InputError> {
    match acl_of(specs, request_type) {
        Some(acl) => decide(api, head, Operation::Start, Some(acl)),
        None => Ok(None),
    }
}

/// Lets a caller do what its spec grants to a request there is. What nobody is asked for is not looked up either.
///
/// # Errors
/// [`InputError::Denied`]; [`InputError::NoSuchRequest`] where only its type could tell; a read that failed.
pub(crate) async fn may_change(
    api: &Inner,
    head: &Head<'_>,
    operation: Operation,
    request: RequestId,
) -> Result<Option<Acl>, ApiError> {
    let view = api.parts.cluster.view();
    let policy = view.state().auth.policy();
    if head.by.is_some_and(|by| policy.is_admin(&by.caller)) {
        return Ok(None);
    }
    let specs = api.specs_in_use(view.state()).await?.specs;
    if !policy.required && !policy.strict && specs.sequences().all(|spec| spec.acl.is_empty()) {
        return Ok(None);
    }
    let request_type = match type_in(view, request).await? {
        Some(known) => Some(known),
        // This node may only not have heard of it yet.
        None => type_in(api.parts.cluster.read(Consistency::Linearizable).await?, request).await?,
    };
    let request_type = request_type.ok_or_else(|| InputError::NoSuchRequest { id: request.to_string() })?;
    Ok(decide(api, head, operation, acl_of(&specs, &request_type))?)
}

fn decide(
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
