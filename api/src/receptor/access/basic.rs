//! One name and password, in the header `Authorization` or in a cookie that holds what the header would.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{AUTHORIZATION, COOKIE, SET_COOKIE},
};

use crate::{
    answer::{Answer, empty},
    call::Head,
};

const COOKIE_NAME: &str = "receptor_authorization";

/// A name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name, without a colon.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Whether a call brings them. A cookie counts before the header, even an empty one.
    pub(super) fn are_in(&self, headers: &HeaderMap) -> bool {
        let header = || headers.get(AUTHORIZATION).map(|value| value.as_bytes().to_vec());
        let given = cookie_of(headers).or_else(header).unwrap_or_default();
        let decoded = given.strip_prefix(b"Basic ").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let Some(decoded) = decoded else { return false };
        let mut parts = decoded.splitn(2, |b| *b == b':');
        let (username, password) = (parts.next().unwrap_or_default(), parts.next());
        // Both are compared, whatever the first comparison says.
        let same = same(username, self.username.as_bytes())
            & same(password.unwrap_or_default(), self.password.as_bytes());
        same && password.is_some()
    }
}

/// `POST /v1/auth_cookie`: gives a browser the cookie of the credentials it sent.
pub(crate) fn cookie(head: &Head<'_>) -> Answer {
    let mut answer = empty(StatusCode::NO_CONTENT);
    let given = head.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    if !given.is_empty() {
        answer.headers_mut().insert(SET_COOKIE, set_cookie(given));
    }
    answer
}

/// Leaves out what a cookie may not hold, and quotes what Go's library quotes.
fn set_cookie(value: &[u8]) -> HeaderValue {
    let legal = |b: &u8| (0x20..0x7f).contains(b) && !matches!(b, b'"' | b';' | b'\\');
    let value: String = value.iter().filter(|b| legal(b)).map(|b| char::from(*b)).collect();
    let quote = if value.contains([' ', ',']) { "\"" } else { "" };
    let cookie = format!("{COOKIE_NAME}={quote}{value}{quote}; HttpOnly");
    HeaderValue::try_from(cookie).expect("visible ASCII is legal in a header")
}

/// The value of the first cookie of ours, without quotes around it.
pub(crate) fn cookie_of(headers: &HeaderMap) -> Option<Vec<u8>> {
    let lines = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|b| *b == b';'));
    let value = lines.filter_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(COOKIE_NAME.as_bytes())?.strip_prefix(b"=")?;
        Some(value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value))
    });
    value.into_iter().next().map(<[u8]>::to_vec)
}

/// Whether two texts are the same, in a time that tells nothing of how far they are.
fn same(given: &[u8], expected: &[u8]) -> bool {
    let padded = expected.iter().copied().chain(std::iter::repeat(0));
    let differences = given.iter().zip(padded).fold(0, |seen, (a, b)| seen | (a ^ b));
    std::hint::black_box(differences) == 0 && given.len() == expected.len()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Method};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn credentials_come_in_the_header_or_the_cookie() {
        // "u:p", "x:y", "u", "u:p:q" and "u:" in base64.
        let ours = Credentials { username: "u".to_owned(), password: "p".to_owned() };
        let cases: [(&[(&str, &str)], bool); 15] = [
            (&[], false),
            (&[("authorization", "Basic dTpw")], true),
            (&[("authorization", "Basic eDp5")], false),
            (&[("authorization", "Basic dQ==")], false),
            (&[("authorization", "Basic dTpwOnE=")], false),
            (&[("authorization", "Basic dTo=")], false),
            (&[("authorization", "basic dTpw")], false),
            (&[("authorization", "Basic  dTpw")], false),
            (&[("authorization", "Basic dTpw!")], false),
            (&[("authorization", "Bearer dTpw")], false),
            (&[("cookie", "receptor_authorization=\"Basic dTpw\"")], true),
            (&[("cookie", "a=b; receptor_authorization=Basic dTpw; c=d")], true),
            (&[("cookie", "receptor_authorization="), ("authorization", "Basic dTpw")], false),
            (&[("cookie", "receptor_authorization=\"Basic eDp5\""), ("authorization", "Basic dTpw")], false),
            (&[("cookie", "other=1"), ("authorization", "Basic dTpw")], true),
        ];
        for (pairs, accepted) in cases {
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, *value)).collect();
            assert_eq!(ours.are_in(&headers(&pairs)), accepted, "{pairs:?}");
        }
        let colon = Credentials { username: "u".to_owned(), password: "p:q".to_owned() };
        assert!(colon.are_in(&headers(&[("authorization", "Basic dTpwOnE=")])));
        let none = Credentials { username: "u".to_owned(), password: String::new() };
        assert!(none.are_in(&headers(&[("authorization", "Basic dTo=")])));
        assert!(!none.are_in(&headers(&[("authorization", "Basic dQ==")])));
    }

    #[test]
    fn the_cookie_holds_what_the_header_held() {
        let given = |pairs: &[(&'static str, &str)]| {
            let headers = headers(pairs);
            let head = Head::new(&Method::POST, "/v1/auth_cookie", "", &headers);
            let answer = cookie(&head);
            assert_eq!(answer.status(), StatusCode::NO_CONTENT);
            answer.headers().get(SET_COOKIE).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(given(&[]), None);
        assert_eq!(
            given(&[("authorization", "Basic dTpw")]).unwrap(),
            "receptor_authorization=\"Basic dTpw\"; HttpOnly"
        );
        assert_eq!(given(&[("authorization", "a;b\"c")]).unwrap(), "receptor_authorization=abc; HttpOnly");
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = format!("{:?}", Credentials { username: "u".to_owned(), password: "secret".to_owned() });
        assert!(shown.contains("\"u\"") && !shown.contains("secret"), "{shown}");
    }
}
