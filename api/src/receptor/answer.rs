//! Answers in the shapes of Receptor: compact JSON without a newline, and the plain texts of Go's own router.

use capstan_client::receptor::ErrorBody;
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, X_CONTENT_TYPE_OPTIONS},
};
use serde::Serialize;

use crate::{
    answer::{Answer, with_body},
    go_escape::escape,
};

/// The Go client decodes what has this content type and nothing else; so it never stands on an empty body.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let text = serde_json::to_vec(body).expect("wire types are plain data with text keys");
    with_body(status, JSON, escape(text))
}

/// An error in the shape of all handlers.
pub(crate) fn error(status: StatusCode, name: &str, message: String) -> Answer {
    json(status, &ErrorBody { name: name.to_owned(), message })
}

/// No route leads to the path.
pub(crate) fn no_route() -> Answer {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// The path has other methods.
pub(crate) fn method_not_allowed(allow: &HeaderValue) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    answer.headers_mut().insert(ALLOW, allow.clone());
    answer
}

fn text(status: StatusCode, body: &'static str) -> Answer {
    let mut answer = with_body(status, TEXT, body);
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_compact_and_escaped() {
        let answer = error(StatusCode::BAD_REQUEST, "InvalidJSON", "a <b> & \"c\"".to_owned());
        let expected = r#"{"name":"InvalidJSON","message":"a \u003cb\u003e \u0026 \"c\""}"#;
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(answer.into_body().into_whole(), expected);
    }
}
