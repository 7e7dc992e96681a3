//! `GET /cluster/v1/audit?caller=&operation=&after=&limit=`: who changed what, the newest first.

use capstan_client::{
    cluster::{AuditPage, AuditRecord},
    spin_cycle::UtcTime,
};
use capstan_model::auth::{
    Operation,
    audit::{self, Record, Wanted},
};
use http::StatusCode;

use super::auth::at_index;
use crate::{
    answer::{self, Answer},
    archive,
    call::Head,
    error::{ApiError, InputError},
    query, read,
    service::Inner,
};

/// The most records of one page, and how many one has when the caller does not say.
const PAGE_MAX: usize = 1_000;

pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let (wanted, limit) = (wanted(head.query)?, query::limit(head.query, PAGE_MAX)?);
    let view = read::view(&api.parts.cluster, head).await?;
    let index = view.index();
    let page = archive::read(view, move |view| audit::page(view, &wanted, limit)).await?;
    let records = page.records.into_iter().map(shown).collect();
    Ok(at_index(answer::json(StatusCode::OK, &AuditPage { records, next: page.next }), index))
}

fn wanted(query: &str) -> Result<Wanted, InputError> {
    let operation = query::first(query, "operation").map(|name| operation(&name)).transpose()?;
    let after = query::first(query, "after").map(|text| number(&text)).transpose()?;
    Ok(Wanted { caller: query::first(query, "caller").map(String::from), operation, after })
}

fn operation(name: &str) -> Result<Operation, InputError> {
    Operation::named(name).ok_or_else(|| {
        let shown: String = name.chars().take(100).collect();
        let known = Operation::ALL.map(Operation::name).join(", ");
        InputError::Query { reason: format!("parameter operation: {shown:?} is none of {known}") }
    })
}

fn number(text: &str) -> Result<u64, InputError> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(100).collect();
        InputError::Query { reason: format!("parameter after: {shown:?} is not the number of a record") }
    })
}

fn shown(record: Record) -> AuditRecord {
    AuditRecord {
        number: record.number,
        index: record.index,
        at: UtcTime::from_unix_nanos(record.at.0),
        caller: record.caller.to_string(),
        token: record.token.map(|id| id.to_string()),
        operation: record.operation.name().to_owned(),
        what: record.what.to_string(),
    }
}
