//! `http-request`: makes one HTTP call and fails when the answer is not the expected one.
//!
//! The call is made by a process of this program ([`call::main`]), so that it is stopped, fenced, bounded and logged like
//! every other job: the body of the answer is its standard output, and what happened its standard error.

pub mod call;
mod expected;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use capstan_model::{
    spec::{JobSignature, Wait},
    workflow::{
        graph::{CreateError, CreateOutput},
        json::{JsonMap, JsonText},
    },
};
use futures::future::{BoxFuture, FutureExt, ready};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ureq::http::{HeaderName, HeaderValue, Method, Uri, header};

use self::expected::Expected;
use super::{Description, JobType, Run, RunInput, optional_text_arg, text_arg};
use crate::executor::{Outcome, StartSpec};

/// The first argument of this program that makes it one call.
pub const ARGUMENT: &str = "__http-request";

/// How long a call may take when the spec does not say.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a call may take at most.
const TIMEOUT_MAX: Duration = Duration::from_secs(60 * 60);
/// How much longer its process may take before it is killed.
const PROCESS_SLACK: Duration = Duration::from_secs(5);

/// The type `http-request`.
///
/// Its args, all texts: `url`; and optionally `method` (GET), `headers` (an object, or `Name: value` lines), `body`,
/// `expectedStatus` (`2xx`; codes, ranges and classes between commas) and `timeout` (`30s`).
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest;

/// What a try is given, and its process told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    method: String,
    url: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(rename = "expectedStatus")]
    expected_status: Expected,
    #[serde(rename = "timeoutMs")]
    timeout_ms: u64,
}

impl JobType for HttpRequest {
    fn describe(&self) -> Description {
        Description { name: Cow::Borrowed("http-request"), idempotent: false }
    }

    fn signature(&self) -> BoxFuture<'static, JobSignature> {
        ready(JobSignature::needing(&["url"])).boxed()
    }

    fn create(&self, args: JsonMap) -> BoxFuture<'static, Result<CreateOutput, CreateError>> {
        let created = parse(&args).map(|stored| {
            let bytes = serde_json::to_vec(&stored).expect("texts and numbers are serialisable");
            CreateOutput { bytes: bytes.into(), ..CreateOutput::default() }
        });
        ready(created.map_err(CreateError::Failed)).boxed()
    }

    fn run(&self, input: RunInput) -> Run {
        match serde_json::from_slice::<Stored>(&input.bytes) {
            Ok(stored) => Run::Process(StartSpec {
                args: vec![ARGUMENT.to_owned()],
                stdin: input.bytes.to_vec(),
                deadline: Some(Duration::from_millis(stored.timeout_ms).saturating_add(PROCESS_SLACK)),
                ..StartSpec::new(input.key, "/proc/self/exe")
            }),
            Err(error) => Run::Done(Box::new(Outcome::unmade(&error.to_string()))),
        }
    }
}

fn parse(args: &JsonMap) -> Result<Stored, String> {
    let url = text_arg(args, "url")?;
    let parsed: Uri = url.parse().map_err(|error| format!("arg url is {url:?}: {error}"))?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) || parsed.host().is_none_or(str::is_empty) {
        return Err(format!("arg url is {url:?}: expected http://host/path or https://host/path"));
    }
    let method = optional_text_arg(args, "method")?.unwrap_or_else(|| "GET".to_owned());
    let parsed = Method::from_bytes(method.as_bytes());
    let parsed = parsed.map_err(|error| format!("arg method is {method:?}: {error}"))?;
    let body = optional_body(args);
    if body.is_some() && matches!(parsed, Method::HEAD | Method::CONNECT) {
        return Err(format!("arg body is set: a {method} has none"));
    }
    let timeout = match optional_text_arg(args, "timeout")? {
        None => TIMEOUT,
        Some(text) => {
            Wait::try_from(Arc::from(text)).map_err(|error| format!("arg timeout is {error}"))?.duration()
        }
    };
    if timeout.is_zero() || timeout > TIMEOUT_MAX {
        return Err(format!("arg timeout is {timeout:?}: expected more than 0s and at most 1h"));
    }
    Ok(Stored {
        method,
        url,
        headers: headers(args)?,
        body,
        expected_status: match optional_text_arg(args, "expectedStatus")? {
            None => Expected::default(),
            Some(text) => text.parse().map_err(|error| format!("arg expectedStatus is {text:?}: {error}"))?,
        },
        timeout_ms: u64::try_from(timeout.as_millis()).expect("an hour at most").max(1),
    })
}

/// A text is sent as it is, any other value as JSON.
fn optional_body(args: &JsonMap) -> Option<String> {
    let body = args.get("body").filter(|body| body.as_str() != "null")?;
    Some(body.to_text().unwrap_or_else(|| body.as_str().to_owned()))
}

fn headers(args: &JsonMap) -> Result<BTreeMap<String, String>, String> {
    let given: Vec<(String, String)> = match args.get("headers").map(JsonText::to_value) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(members)) => members
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name, text)),
                Value::Number(_) | Value::Bool(_) => Ok((name, value.to_string())),
                other => Err(format!("arg headers: {name} is {other}: expected text")),
            })
            .collect::<Result<_, _>>()?,
        Some(Value::String(lines)) => lines
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| match line.split_once(':') {
                Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
                None => Err(format!("arg headers has the line {line:?}: expected \"Name: value\"")),
            })
            .collect::<Result<_, _>>()?,
        Some(other) => {
            return Err(format!("arg headers is {other}: expected an object or \"Name: value\" lines"));
        }
    };
    let mut seen = BTreeSet::new();
    for (name, value) in &given {
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let parsed = parsed.map_err(|error| format!("arg headers: {name:?}: {error}"))?;
        if matches!(parsed, header::CONTENT_LENGTH | header::TRANSFER_ENCODING) {
            return Err(format!("arg headers: {name} follows from the body and cannot be set"));
        }
        if !seen.insert(parsed.as_str().to_owned()) {
            return Err(format!("arg headers: {name} is given twice"));
        }
        HeaderValue::from_str(value).map_err(|error| format!("arg headers: {name}: {value:?}: {error}"))?;
    }
    Ok(given.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::tests::{args, input};

    fn stored(object: &str) -> Result<Stored, String> {
        let created =
            HttpRequest.create(args(object)).now_or_never().unwrap().map_err(|error| error.to_string())?;
        Ok(serde_json::from_slice(&created.bytes).unwrap())
    }

    #[test]
    fn args_have_defaults() {
        let stored = stored(r#"{"url":"http://localhost:1/x"}"#).unwrap();
        assert_eq!((&*stored.method, stored.timeout_ms, stored.body), ("GET", 30_000, None));
        assert_eq!(stored.expected_status, Expected::default());
    }

    #[test]
    fn headers_are_an_object_or_lines() {
        let expected =
            BTreeMap::from([("Accept".to_owned(), "*/*".to_owned()), ("X-N".to_owned(), "5".to_owned())]);
        let object = stored(r#"{"url":"http://h","headers":{"Accept":"*/*","X-N":5}}"#).unwrap();
        assert_eq!(object.headers, expected);
        let lines = stored(r#"{"url":"http://h","headers":"Accept: */*\n\nX-N:5"}"#).unwrap();
        assert_eq!(lines.headers, expected);
    }

    #[test]
    fn a_body_is_text_or_json() {
        let body = |value: &str| stored(&format!(r#"{{"url":"http://h","body":{value}}}"#)).unwrap().body;
        assert_eq!(body(r#""a b""#).as_deref(), Some("a b"));
        assert_eq!(body(r#"{"a":[1,2.5]}"#).as_deref(), Some(r#"{"a":[1,2.5]}"#));
        assert_eq!(body("null"), None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            ("{}", "required arg url is not set"),
            (r#"{"url":"/x"}"#, "expected http://host/path"),
            (r#"{"url":"ftp://h/x"}"#, "expected http://host/path"),
            (r#"{"url":"http://h h"}"#, "arg url is"),
            (r#"{"url":"http://h","method":"GE T"}"#, "arg method is"),
            (r#"{"url":"http://h","timeout":"soon"}"#, "arg timeout is"),
            (r#"{"url":"http://h","timeout":"2h"}"#, "at most 1h"),
            (r#"{"url":"http://h","timeout":"0s"}"#, "more than 0s"),
            (r#"{"url":"http://h","expectedStatus":"fine"}"#, "arg expectedStatus is"),
            (r#"{"url":"http://h","headers":"none"}"#, "Name: value"),
            (r#"{"url":"http://h","headers":{"a":[]}}"#, "expected text"),
            (r#"{"url":"http://h","headers":{"a b":"c"}}"#, "arg headers"),
            (r#"{"url":"http://h","headers":{"a":"c\nd"}}"#, "arg headers"),
            (r#"{"url":"http://h","headers":{"X-A":"b","x-a":"c"}}"#, "given twice"),
            (r#"{"url":"http://h","headers":"a: b\na: c"}"#, "given twice"),
            (r#"{"url":"http://h","headers":{"content-length":"5"}}"#, "cannot be set"),
            (r#"{"url":"http://h","headers":{"Transfer-Encoding":"chunked"}}"#, "cannot be set"),
            (r#"{"url":"http://h","method":"HEAD","body":"x"}"#, "a HEAD has none"),
            (r#"{"url":"http://h:1","method":"CONNECT","body":"x"}"#, "a CONNECT has none"),
        ];
        for (object, part) in cases {
            let error = stored(object).unwrap_err();
            assert!(error.contains(part), "{object}: {error}");
        }
    }

    #[test]
    fn a_try_is_a_process_of_this_program() {
        let bytes = HttpRequest
            .create(args(r#"{"url":"http://h","timeout":"2s"}"#))
            .now_or_never()
            .unwrap()
            .unwrap()
            .bytes;
        let Run::Process(spec) = HttpRequest.run(input(&bytes)) else { panic!("no process") };
        assert_eq!((spec.args, spec.stdin), (vec![ARGUMENT.to_owned()], bytes.to_vec()));
        assert_eq!(spec.deadline, Some(Duration::from_secs(7)));
        assert!(matches!(HttpRequest.run(input(b"{}")), Run::Done(_)));
    }
}
