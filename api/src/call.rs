//! What of a call is known before its body is read.

use std::borrow::Cow;

use capstan_model::auth::Caller;
use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::percent_decode_str;

use crate::{auth::Identity, error::InputError};

/// The line and headers of a call, as sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    /// Without the query; not decoded.
    pub(crate) path: &'a str,
    /// Without the question mark; not decoded, empty when there is none.
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    /// Who makes it, once that has been found out.
    pub(crate) by: Option<&'a Identity>,
}

impl<'a> Head<'a> {
    /// A call whose maker is not known yet.
    pub(crate) fn new(method: &'a Method, path: &'a str, query: &'a str, headers: &'a HeaderMap) -> Self {
        Self { method, path, query, headers, by: None }
    }

    /// Who makes it; nobody in particular as long as that is not known.
    pub(crate) fn caller(&self) -> Caller {
        self.by.map(|by| by.caller.clone()).unwrap_or_default()
    }
}

/// Whose shapes an answer has: each part of the surface keeps its own, also for errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// `/api` and `/version`: Spin Cycle's.
    SpinCycle,
    /// `/v1`: Diego's Receptor's.
    Receptor,
    /// Everything else.
    Cluster,
}

impl Surface {
    /// What a call that must say who makes it is told to bring.
    pub(crate) fn challenge(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Receptor => "Basic realm=\"API Authentication\"",
            Self::SpinCycle | Self::Cluster => "Bearer realm=\"capstan\", Basic realm=\"capstan\"",
        })
    }

    pub(crate) fn of(path: &str) -> Self {
        let under = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if under("/api") || path == "/version" {
            Self::SpinCycle
        } else if under("/v1") {
            Self::Receptor
        } else {
            Self::Cluster
        }
    }
}

/// Decodes one segment of a path.
///
/// # Errors
/// [`InputError::Path`] for a `%` that two hexadecimal digits do not follow, and for bytes that are not UTF-8.
pub(crate) fn decode_segment(segment: &str) -> Result<Cow<'_, str>, InputError> {
    let refused = |reason| InputError::Path { segment: segment.chars().take(300).collect(), reason };
    if segment
        .split('%')
        .skip(1)
        .any(|rest| rest.len() < 2 || !rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit))
    {
        return Err(refused("a % must be followed by two hexadecimal digits"));
    }
    percent_decode_str(segment).decode_utf8().map_err(|_| refused("it is not UTF-8 once decoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_prefix_has_its_surface() {
        for path in ["/api", "/api/", "/api/v1/nope", "/version"] {
            assert_eq!(Surface::of(path), Surface::SpinCycle, "{path}");
        }
        for path in ["/v1", "/v1/", "/v1/nope", "/v1/version"] {
            assert_eq!(Surface::of(path), Surface::Receptor, "{path}");
        }
        for path in ["/", "/apix", "/cluster/v1/variables", "/version/", "//v1/cells", "/v1x", "*"] {
            assert_eq!(Surface::of(path), Surface::Cluster, "{path}");
        }
    }

    #[test]
    fn segments_are_decoded_once() {
        assert_eq!(decode_segment("plain.name-1").unwrap(), "plain.name-1");
        assert_eq!(decode_segment("a%2Fb%41+c").unwrap(), "a/bA+c");
        assert_eq!(decode_segment("%2541").unwrap(), "%41");
        for segment in ["%", "%4", "a%zz", "%+1", "%C3%28", "%é"] {
            assert!(matches!(decode_segment(segment), Err(InputError::Path { .. })), "{segment}");
        }
    }
}
