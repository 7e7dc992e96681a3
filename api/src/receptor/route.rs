//! Which operation a path and a method name, by the rules of Diego's router (reference 3.1): no path is cleaned, a parameter is never
//! empty and never holds a slash, and HEAD is allowed wherever GET is.

use http::{HeaderValue, Method};

use crate::error::InputError;

/// Everything that can be asked for under `/v1`. Parameters are as sent, not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint<'a> {
    CreateDesired,
    ListDesired,
    GetDesired { guid: &'a str },
    UpdateDesired { guid: &'a str },
    RemoveDesired { guid: &'a str },
    ListActual,
    ListActualOf { guid: &'a str },
    GetActual { guid: &'a str, index: &'a str },
    KillActual { guid: &'a str, index: &'a str },
    GetOutput { guid: &'a str, index: &'a str },
    Events,
    ListCells,
    ListDomains,
    UpsertDomain { domain: &'a str },
    CreateTask,
    ListTasks,
    GetTask { guid: &'a str },
    DeleteTask { guid: &'a str },
    CancelTask { guid: &'a str },
    AuthCookie,
    Version,
}

/// Finds the operation from the segments behind `/v1`.
///
/// # Errors
/// [`InputError::UnknownRoute`] when no method of the path is known, else [`InputError::MethodNotAllowed`].
pub(crate) fn find<'a>(method: &Method, segments: &[&'a str]) -> Result<Endpoint<'a>, InputError> {
    if segments.iter().any(|segment| segment.is_empty() || has_slash(segment)) {
        return Err(InputError::UnknownRoute);
    }
    let endpoints: &[(Method, Endpoint<'a>)] = match *segments {
        ["desired_lrps"] => &[(Method::POST, Endpoint::CreateDesired), (Method::GET, Endpoint::ListDesired)],
        ["desired_lrps", guid] => &[
            (Method::GET, Endpoint::GetDesired { guid }),
            (Method::PUT, Endpoint::UpdateDesired { guid }),
            (Method::DELETE, Endpoint::RemoveDesired { guid }),
        ],
        ["actual_lrps"] => &[(Method::GET, Endpoint::ListActual)],
        ["actual_lrps", guid] => &[(Method::GET, Endpoint::ListActualOf { guid })],
        ["actual_lrps", guid, "index", index] => &[
            (Method::GET, Endpoint::GetActual { guid, index }),
            (Method::DELETE, Endpoint::KillActual { guid, index }),
        ],
        ["actual_lrps", guid, "index", index, "logs"] => {
            &[(Method::GET, Endpoint::GetOutput { guid, index })]
        }
        ["events"] => &[(Method::GET, Endpoint::Events)],
        ["cells"] => &[(Method::GET, Endpoint::ListCells)],
        ["domains"] => &[(Method::GET, Endpoint::ListDomains)],
        ["domains", domain] => &[(Method::PUT, Endpoint::UpsertDomain { domain })],
        ["tasks"] => &[(Method::POST, Endpoint::CreateTask), (Method::GET, Endpoint::ListTasks)],
        ["tasks", guid] => {
            &[(Method::GET, Endpoint::GetTask { guid }), (Method::DELETE, Endpoint::DeleteTask { guid })]
        }
        ["tasks", guid, "cancel"] => &[(Method::POST, Endpoint::CancelTask { guid })],
        ["auth_cookie"] => &[(Method::POST, Endpoint::AuthCookie)],
        ["version"] => &[(Method::GET, Endpoint::Version)],
        _ => return Err(InputError::UnknownRoute),
    };
    one_of(method, endpoints)
}

/// Whether a parameter would hold a slash once decoded: Diego's router sees it decoded.
fn has_slash(segment: &str) -> bool {
    segment.as_bytes().windows(3).any(|escape| escape.eq_ignore_ascii_case(b"%2f"))
}

fn one_of<'a>(method: &Method, endpoints: &[(Method, Endpoint<'a>)]) -> Result<Endpoint<'a>, InputError> {
    let wanted = if *method == Method::HEAD { &Method::GET } else { method };
    if let Some((_, endpoint)) = endpoints.iter().find(|(known, _)| known == wanted) {
        return Ok(*endpoint);
    }
    let names = endpoints.iter().flat_map(|(known, _)| match known.as_str() {
        "GET" => &["HEAD", "GET"][..],
        "POST" => &["POST"],
        "PUT" => &["PUT"],
        "DELETE" => &["DELETE"],
        other => unreachable!("no route has the method {other}"),
    });
    let allow = names.copied().collect::<Vec<_>>().join(", ");
    Err(InputError::MethodNotAllowed {
        allow: HeaderValue::try_from(allow).expect("method names are legal in a header"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(method: &str, path: &'a str) -> Result<Endpoint<'a>, InputError> {
        let segments: Vec<&str> = path.split('/').collect();
        find(&method.parse().unwrap(), &segments)
    }

    #[test]
    fn paths_name_operations() {
        let cases = [
            ("POST", "desired_lrps", Endpoint::CreateDesired),
            ("HEAD", "desired_lrps", Endpoint::ListDesired),
            ("GET", "desired_lrps/a%20b", Endpoint::GetDesired { guid: "a%20b" }),
            ("PUT", "desired_lrps/p", Endpoint::UpdateDesired { guid: "p" }),
            ("DELETE", "desired_lrps/p", Endpoint::RemoveDesired { guid: "p" }),
            ("GET", "actual_lrps", Endpoint::ListActual),
            ("GET", "actual_lrps/p", Endpoint::ListActualOf { guid: "p" }),
            ("GET", "actual_lrps/p/index/x", Endpoint::GetActual { guid: "p", index: "x" }),
            ("DELETE", "actual_lrps/p/index/0", Endpoint::KillActual { guid: "p", index: "0" }),
            ("GET", "actual_lrps/p/index/0/logs", Endpoint::GetOutput { guid: "p", index: "0" }),
            ("GET", "events", Endpoint::Events),
            ("GET", "cells", Endpoint::ListCells),
            ("GET", "domains", Endpoint::ListDomains),
            ("PUT", "domains/d", Endpoint::UpsertDomain { domain: "d" }),
            ("POST", "tasks", Endpoint::CreateTask),
            ("GET", "tasks", Endpoint::ListTasks),
            ("GET", "tasks/t", Endpoint::GetTask { guid: "t" }),
            ("DELETE", "tasks/t", Endpoint::DeleteTask { guid: "t" }),
            ("POST", "tasks/t/cancel", Endpoint::CancelTask { guid: "t" }),
            ("POST", "auth_cookie", Endpoint::AuthCookie),
            ("GET", "version", Endpoint::Version),
        ];
        for (method, path, expected) in cases {
            assert_eq!(found(method, path).ok(), Some(expected), "{method} {path}");
        }
    }

    #[test]
    fn a_path_is_taken_literally() {
        let paths = [
            "",
            "nope",
            "desired_lrps/",
            "desired_lrps/p/",
            "desired_lrps/p/x",
            "desired_lrps/a%2Fb",
            "desired_lrps/a%2fb",
            "Desired_lrps",
            "actual_lrps/p/index",
            "actual_lrps/p/index/",
            "actual_lrps//index/0",
            "domains/",
            "/desired_lrps",
        ];
        for path in paths {
            assert!(matches!(found("GET", path), Err(InputError::UnknownRoute)), "{path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let cases = [
            ("PATCH", "desired_lrps", "POST, HEAD, GET"),
            ("PATCH", "desired_lrps/x", "HEAD, GET, PUT, DELETE"),
            ("OPTIONS", "domains", "HEAD, GET"),
            ("GET", "domains/d", "PUT"),
            ("GET", "auth_cookie", "POST"),
        ];
        for (method, path, expected) in cases {
            let Err(InputError::MethodNotAllowed { allow }) = found(method, path) else {
                panic!("{method} {path}");
            };
            assert_eq!(allow, expected);
        }
    }
}
