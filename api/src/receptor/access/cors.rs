//! Calls from pages of other origins.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    },
};

use crate::answer::{Answer, empty};

/// Allows what is asked for. What is not asked for is allowed too, as an empty text.
pub(super) fn preflight(headers: &HeaderMap) -> Answer {
    let mut answer = empty(StatusCode::OK);
    let echoed = |asked: HeaderName| headers.get(asked).cloned().unwrap_or(HeaderValue::from_static(""));
    let methods = echoed(ACCESS_CONTROL_REQUEST_METHOD);
    let names = echoed(ACCESS_CONTROL_REQUEST_HEADERS);
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    answer
}

/// Names the page's origin, unless it has none.
pub(super) fn share(headers: &HeaderMap, answer: &mut Answer) {
    let origin = headers.get(ORIGIN).filter(|origin| !matches!(origin.as_bytes(), b"" | b"*"));
    if let Some(origin) = origin {
        answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(answer: &Answer) -> Vec<(&str, &str)> {
        answer.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
    }

    #[test]
    fn a_preflight_echoes_what_is_asked_for() {
        let asked = [
            (ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST")),
            (ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("X-A")),
        ];
        let answer = preflight(&HeaderMap::from_iter(asked));
        let expected = [("access-control-allow-methods", "POST"), ("access-control-allow-headers", "X-A")];
        assert_eq!(shown(&answer), expected);
        let answer = preflight(&HeaderMap::new());
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(shown(&answer), expected.map(|(name, _)| (name, "")));
    }

    #[test]
    fn an_origin_is_echoed_unless_it_is_none() {
        for (origin, echoed) in [("http://e.com", true), ("null", true), ("*", false), ("", false)] {
            let mut answer = empty(StatusCode::NOT_FOUND);
            share(&HeaderMap::from_iter([(ORIGIN, HeaderValue::from_str(origin).unwrap())]), &mut answer);
            let expected =
                [("access-control-allow-origin", origin), ("access-control-allow-credentials", "true")];
            assert_eq!(shown(&answer), if echoed { &expected[..] } else { &[] }, "{origin}");
        }
    }
}
