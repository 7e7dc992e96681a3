//! `GET /api/v1/request-list`: what may be started, with which args.

use capstan_client::spin_cycle::{RequestArg, RequestListEntry};
use capstan_model::spec::ListedArg;
use http::StatusCode;
use serde_json::Value;

use super::{json, shapes};
use crate::{answer::Answer, call::Head, error::ApiError, service::Inner};

pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let view = api.parts.cluster.view();
    let in_use = api.specs.of(view.state(), &*api.parts.workflows).await?;
    let requests = in_use.specs.request_list();
    let entries = requests.iter().map(|request| RequestListEntry {
        name: request.name.to_string(),
        args: request.args.iter().map(arg).collect(),
    });
    Ok(json::answer(StatusCode::OK, &entries.collect::<Vec<_>>(), json::Layout::of(head)))
}

fn arg(arg: &ListedArg) -> RequestArg {
    RequestArg {
        pos: 0,
        name: arg.name.to_string(),
        desc: arg.desc.to_string(),
        kind: shapes::arg_kind(arg.kind),
        given: false,
        default: arg.default.as_ref().map_or(Value::Null, |text| Value::String(text.to_string())),
        value: Value::Null,
    }
}
