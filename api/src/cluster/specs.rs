//! `/cluster/v1/specs`: the cluster's request specs, version by version.

use std::sync::Arc;

use bytes::Bytes;
use capstan_client::{
    cluster::{
        SpecFinding, SpecText, SpecsContent, SpecsList, SpecsPush, SpecsPushed, SpecsRefused, SpecsVersion,
    },
    spin_cycle::UtcTime,
};
use capstan_model::{
    command::Command,
    reply::Answer as Reply,
    spec::{Finding, JobTypes, Level, lint},
    spec_store::{PushSpecs, RevertSpecs, SpecFile, SpecStore, SpecsId, VersionRecord},
    state::State,
};
use capstan_raft_store::{
    handle::{Committed, ProposeOptions},
    runtime,
};
use http::{HeaderValue, StatusCode, header::ETAG};

use crate::{
    answer::{self, Answer},
    auth,
    call::{Head, Surface, decode_segment},
    error::{ApiError, ArchiveError, InputError},
    headers, read,
    service::Inner,
};

/// What names the version in use in a path.
const CURRENT: &str = "current";
/// How many digits of a version name it at least.
const DIGITS_MIN: usize = 4;
/// How many findings a refusal lists.
const FINDINGS_MAX: usize = 1_000;

/// `GET …`: the versions that are kept, newest first.
pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let view = match capstan_model::mutant!("specs-listed-stale") {
        true => api.parts.cluster.view(),
        false => read::view(&api.parts.cluster, head).await?,
    };
    let store = &view.state().specs;
    let list = SpecsList {
        current: store.current_id().map(|id| id.to_string()),
        versions: store.versions().rev().map(|version| shown(version)).collect(),
    };
    Ok(at_index(answer::json(StatusCode::OK, &list), view.index()))
}

/// `GET …/{version}`: a version with its files.
pub(crate) async fn get(api: &Inner, head: &Head<'_>, version: &str) -> Result<Answer, ApiError> {
    let view = read::view(&api.parts.cluster, head).await?;
    let store = &view.state().specs;
    let record = match find(store, version) {
        Ok(record) => record,
        Err(error) => return Ok(refused(error, view.index())),
    };
    let text =
        |(path, text): (&Arc<str>, &Arc<str>)| SpecText { path: path.to_string(), text: text.to_string() };
    let content = SpecsContent { version: shown(record), files: store.files(record).map(text).collect() };
    let mut answer = answer::json(StatusCode::OK, &content);
    answer.headers_mut().insert(ETAG, etag(record.id));
    Ok(at_index(answer, view.index()))
}

/// `PUT …`: checks the files and puts them in the place of the current ones.
pub(crate) async fn push(api: &Inner, head: &Head<'_>, body: Bytes) -> Result<Answer, ApiError> {
    let expected = headers::expected_specs(head.headers)?;
    let options = auth::options(head, &body)?;
    let push: SpecsPush = serde_json::from_slice(&body).map_err(|error| InputError::Body {
        reason: format!("the body is not {{\"files\":[{{\"path\",\"text\"}}]}}: {error}"),
    })?;
    let mut files: Vec<SpecFile> = push
        .files
        .into_iter()
        .map(|file| SpecFile { path: file.path.into(), text: file.text.into() })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let files = match check(files).await? {
        Ok(files) => files,
        Err(findings) => return Ok(answer::json(StatusCode::BAD_REQUEST, &wrong(&findings))),
    };
    let command = Command::PushSpecs(Arc::new(PushSpecs { files, expected, by: head.caller().name }));
    propose(api, command, options).await
}

/// `POST …/{version}/revert`: makes older content current again.
pub(crate) async fn revert(api: &Inner, head: &Head<'_>, version: &str) -> Result<Answer, ApiError> {
    let expected = headers::expected_specs(head.headers)?;
    let options = auth::options(head, b"")?;
    let view = read::view(&api.parts.cluster, head).await?;
    let to = match find(&view.state().specs, version) {
        Ok(record) => record.id,
        Err(error) => return Ok(refused(error, view.index())),
    };
    let command = Command::RevertSpecs(RevertSpecs { to, expected, by: head.caller().name });
    propose(api, command, options).await
}

async fn propose(api: &Inner, command: Command, options: ProposeOptions) -> Result<Answer, ApiError> {
    let Committed { reply, index } = api.parts.cluster.propose(command, options).await?;
    let reply = match reply {
        Ok(reply) => reply,
        Err(rejection) => return Ok(refused(rejection, index)),
    };
    let Reply::SpecsPushed { version, changed } = reply else { unreachable!("a push is answered as one") };
    let pushed = SpecsPushed { version: version.to_string(), changed };
    let mut answer = answer::json(StatusCode::OK, &pushed);
    answer.headers_mut().insert(ETAG, etag(version));
    Ok(at_index(answer, index))
}

/// Gives the files back if requests can be built from them; else what is wrong with them, which is nothing when they define no sequence.
async fn check(files: Vec<SpecFile>) -> Result<Result<Vec<SpecFile>, Vec<Finding>>, ApiError> {
    let checking = move || {
        let texts = files.iter().map(|file| (&file.path, Ok(&file.text)));
        let linted = lint(texts, &JobTypes::default());
        if linted.is_ok() && !linted.sequences.is_empty() { Ok(files) } else { Err(linted.findings) }
    };
    Ok(runtime::spawn_blocking(checking).await.map_err(ArchiveError::Task)?)
}

/// The newest version whose content is named in a path, in full, by its first digits, or as the current one.
fn find<'a>(store: &'a SpecStore, named: &str) -> Result<&'a VersionRecord, InputError> {
    let named = decode_segment(named)?;
    let unknown =
        |reason: &str| InputError::NoSuchSpecs { version: named.to_string(), reason: reason.to_owned() };
    if named == CURRENT {
        return store.current().map(|version| &**version).ok_or_else(|| unknown("none were pushed yet"));
    }
    if named.len() < DIGITS_MIN {
        return Err(unknown(&format!("name it by at least {DIGITS_MIN} digits")));
    }
    let mut found: Option<&VersionRecord> = None;
    for version in store.versions().rev().filter(|version| version.id.to_string().starts_with(&*named)) {
        match found {
            None => found = Some(version),
            Some(newer) if newer.id == version.id => {}
            Some(_) => return Err(unknown("several begin with these digits")),
        }
    }
    found.ok_or_else(|| unknown("GET /cluster/v1/specs lists those that are kept"))
}

fn shown(version: &VersionRecord) -> SpecsVersion {
    SpecsVersion {
        number: version.number.0,
        version: version.id.to_string(),
        parent: version.parent.map(|parent| parent.to_string()),
        pushed_at: UtcTime::from_unix_nanos(version.pushed_at.0),
        pushed_by: version.pushed_by.to_string(),
        file_count: version.files.len() as u64,
        bytes: version.files.iter().map(|file| file.bytes).sum(),
    }
}

fn wrong(findings: &[Finding]) -> SpecsRefused {
    let first = findings.iter().find(|finding| finding.is_error());
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    let first = first.map(ToString::to_string).unwrap_or_default();
    SpecsRefused {
        code: "invalid_specs".to_owned(),
        message: match errors {
            0 => "the files define no sequence".to_owned(),
            1 => format!("the specs have an error: {first}"),
            _ => format!("the specs have {errors} errors, the first: {first}"),
        },
        findings: findings.iter().take(FINDINGS_MAX).map(finding).collect(),
    }
}

fn finding(finding: &Finding) -> SpecFinding {
    let level = match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    SpecFinding {
        level: level.to_owned(),
        rule: finding.rule.to_string(),
        file: finding.file.to_string(),
        line: finding.at.map(|at| at.line),
        column: finding.at.map(|at| at.column),
        sequence: finding.sequence.as_ref().map(ToString::to_string),
        node: finding.node.as_ref().map(ToString::to_string),
        message: finding.message.clone(),
    }
}

/// The version whose specs are in use, for the status of a node.
pub(super) fn in_use(state: &State) -> Option<String> {
    state.specs.current_id().map(|id| id.to_string())
}

fn etag(id: SpecsId) -> HeaderValue {
    HeaderValue::try_from(format!("\"{id}\"")).expect("digits and quotes are legal in a header")
}

fn refused(error: impl Into<ApiError>, index: u64) -> Answer {
    at_index(error.into().answer(Surface::Cluster), index)
}

fn at_index(mut answer: Answer, index: u64) -> Answer {
    answer.headers_mut().insert(headers::INDEX, HeaderValue::from(index));
    answer
}
