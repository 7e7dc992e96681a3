//! Which operation a path and a method name.
//!
//! One match over the segments of the path, rather than a chain of warp filters: the surface is seen at a glance, and a call costs
//! no rejected attempts.

use capstan_model::{spec_store::VERSION_BYTES_MAX, variables::VALUE_BYTES_MAX};
use http::{HeaderValue, Method};

use crate::{error::InputError, receptor};

/// Everything that can be asked for. Names and ids are as sent, not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint<'a> {
    PutVariable {
        name: &'a str,
    },
    GetVariable {
        name: &'a str,
    },
    DeleteVariable {
        name: &'a str,
    },
    ListVariables,
    Events,
    /// Lets a node take no new work and hand over what it has, or ends that.
    DrainNode {
        id: &'a str,
        draining: bool,
    },
    /// Why the instances of an LRP are where they are.
    ExplainLrp {
        guid: &'a str,
    },
    ListSpecs,
    PushSpecs,
    /// A version of the request specs.
    GetSpecs {
        version: &'a str,
    },
    /// Makes an older version current again.
    RevertSpecs {
        version: &'a str,
    },
    ListCells,
    GetCell {
        id: &'a str,
    },
    ClusterStatus,
    Health,
    Ready,
    Metrics,
    Version,
    CreateRequest,
    ListRequests,
    GetRequest {
        id: &'a str,
    },
    GetJobChain {
        id: &'a str,
    },
    GetLog {
        id: &'a str,
    },
    GetJobLog {
        id: &'a str,
        job: &'a str,
    },
    StopRequest {
        id: &'a str,
    },
    StartRequest {
        id: &'a str,
    },
    RequestList,
    Running,
    /// What only a separate Job Runner had a use for.
    JobRunnerOnly,
    /// Something of Diego's.
    Receptor(receptor::route::Endpoint<'a>),
}

/// The largest body of a new request or LRP, in bytes.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// The largest body of a push of specs, in bytes: JSON writes some letters of a text in two.
const SPECS_BYTES_MAX: usize = 2 * VERSION_BYTES_MAX;

impl Endpoint<'_> {
    /// How many bytes of body are read; `None` where a body has no meaning and is ignored.
    pub(crate) fn body_bytes_max(&self) -> Option<usize> {
        match self {
            Self::PutVariable { .. } => Some(VALUE_BYTES_MAX),
            Self::PushSpecs => Some(SPECS_BYTES_MAX),
            // The Go client sends a body with every call, and keeps the connection only if it is read.
            Self::CreateRequest | Self::Receptor(_) => Some(REQUEST_BYTES_MAX),
            _ => None,
        }
    }

    /// Whether it is answered at once from what the node knows of itself.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::ClusterStatus | Self::Health | Self::Ready | Self::Metrics | Self::Version)
    }
}

/// The most segments any route has, and one more to tell longer paths.
const SEGMENTS_MAX: usize = 8;

/// Finds the operation.
///
/// # Errors
/// [`InputError::UnknownRoute`] when no method of the path is known, else [`InputError::MethodNotAllowed`].
pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Result<Endpoint<'a>, InputError> {
    let mut segments = [""; SEGMENTS_MAX];
    let mut count = 0;
    for segment in path.strip_prefix('/').ok_or(InputError::UnknownRoute)?.split('/') {
        *segments.get_mut(count).ok_or(InputError::UnknownRoute)? = segment;
        count += 1;
    }
    match &segments[..count] {
        ["cluster", "v1", rest @ ..] => cluster(method, rest),
        ["api", "v1", rest @ ..] => spin_cycle(method, rest),
        ["v1", rest @ ..] => receptor::route::find(method, rest).map(Endpoint::Receptor),
        ["version"] => strictly(method, &[(Method::GET, Endpoint::Version)]),
        ["health"] => one_of(method, &[(Method::GET, Endpoint::Health)]),
        ["ready"] => one_of(method, &[(Method::GET, Endpoint::Ready)]),
        ["metrics"] => one_of(method, &[(Method::GET, Endpoint::Metrics)]),
        _ => Err(InputError::UnknownRoute),
    }
}

fn cluster<'a>(method: &Method, segments: &[&'a str]) -> Result<Endpoint<'a>, InputError> {
    match *segments {
        ["variables", name] if !name.is_empty() => one_of(
            method,
            &[
                (Method::PUT, Endpoint::PutVariable { name }),
                (Method::GET, Endpoint::GetVariable { name }),
                (Method::DELETE, Endpoint::DeleteVariable { name }),
            ],
        ),
        ["variables"] => one_of(method, &[(Method::GET, Endpoint::ListVariables)]),
        ["events"] => one_of(method, &[(Method::GET, Endpoint::Events)]),
        ["status"] => one_of(method, &[(Method::GET, Endpoint::ClusterStatus)]),
        ["lrps", guid, "explain"] if !guid.is_empty() => {
            one_of(method, &[(Method::GET, Endpoint::ExplainLrp { guid })])
        }
        ["specs"] => {
            one_of(method, &[(Method::PUT, Endpoint::PushSpecs), (Method::GET, Endpoint::ListSpecs)])
        }
        ["specs", version] if !version.is_empty() => {
            one_of(method, &[(Method::GET, Endpoint::GetSpecs { version })])
        }
        ["specs", version, "revert"] if !version.is_empty() => {
            one_of(method, &[(Method::POST, Endpoint::RevertSpecs { version })])
        }
        ["cells"] => one_of(method, &[(Method::GET, Endpoint::ListCells)]),
        ["cells", id] if !id.is_empty() => one_of(method, &[(Method::GET, Endpoint::GetCell { id })]),
        ["nodes", id, what @ ("drain" | "undrain")] if !id.is_empty() => {
            one_of(method, &[(Method::POST, Endpoint::DrainNode { id, draining: what == "drain" })])
        }
        _ => Err(InputError::UnknownRoute),
    }
}

fn spin_cycle<'a>(method: &Method, segments: &[&'a str]) -> Result<Endpoint<'a>, InputError> {
    let endpoints: &[(Method, Endpoint<'a>)] = match *segments {
        ["requests"] => &[(Method::POST, Endpoint::CreateRequest), (Method::GET, Endpoint::ListRequests)],
        ["requests", id, ref rest @ ..] if !id.is_empty() => return of_request(method, id, rest),
        ["request-list"] => &[(Method::GET, Endpoint::RequestList)],
        ["status", "running"] => &[(Method::GET, Endpoint::Running)],
        ["job-chains"] | ["job-chains", "resume"] => &[(Method::POST, Endpoint::JobRunnerOnly)],
        ["job-chains", id, "stop"] if !id.is_empty() => &[(Method::PUT, Endpoint::JobRunnerOnly)],
        _ => return Err(InputError::UnknownRoute),
    };
    strictly(method, endpoints)
}

fn of_request<'a>(method: &Method, id: &'a str, rest: &[&'a str]) -> Result<Endpoint<'a>, InputError> {
    let endpoints: &[(Method, Endpoint<'a>)] = match *rest {
        [] => &[(Method::GET, Endpoint::GetRequest { id })],
        ["log"] => &[(Method::GET, Endpoint::GetLog { id }), (Method::POST, Endpoint::JobRunnerOnly)],
        ["log", job] if !job.is_empty() => {
            return strictly(method, &[(Method::GET, Endpoint::GetJobLog { id, job })]);
        }
        ["stop"] => &[(Method::PUT, Endpoint::StopRequest { id })],
        ["start"] => &[(Method::PUT, Endpoint::StartRequest { id })],
        ["job-chain"] => &[(Method::GET, Endpoint::GetJobChain { id })],
        ["finish" | "suspend" | "progress"] => &[(Method::PUT, Endpoint::JobRunnerOnly)],
        _ => return Err(InputError::UnknownRoute),
    };
    strictly(method, endpoints)
}

/// Chooses by method; a HEAD is a GET whose body is not sent.
fn one_of<'a>(method: &Method, endpoints: &[(Method, Endpoint<'a>)]) -> Result<Endpoint<'a>, InputError> {
    strictly(if *method == Method::HEAD { &Method::GET } else { method }, endpoints)
}

/// Chooses by method; Spin Cycle knows no HEAD.
fn strictly<'a>(method: &Method, endpoints: &[(Method, Endpoint<'a>)]) -> Result<Endpoint<'a>, InputError> {
    if let Some((_, endpoint)) = endpoints.iter().find(|(known, _)| known == method) {
        return Ok(*endpoint);
    }
    let allowed: Vec<&str> = endpoints.iter().map(|(known, _)| known.as_str()).collect();
    let allow = HeaderValue::try_from(allowed.join(", ")).expect("method names are legal in a header");
    Err(InputError::MethodNotAllowed { allow })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_operations() {
        let cases = [
            ("PUT", "/cluster/v1/variables/a", Endpoint::PutVariable { name: "a" }),
            ("HEAD", "/cluster/v1/variables/a%20", Endpoint::GetVariable { name: "a%20" }),
            ("GET", "/cluster/v1/variables", Endpoint::ListVariables),
            ("HEAD", "/health", Endpoint::Health),
            ("POST", "/cluster/v1/nodes/2/drain", Endpoint::DrainNode { id: "2", draining: true }),
            ("POST", "/cluster/v1/nodes/2/undrain", Endpoint::DrainNode { id: "2", draining: false }),
            ("GET", "/cluster/v1/lrps/p/explain", Endpoint::ExplainLrp { guid: "p" }),
            ("PUT", "/cluster/v1/specs", Endpoint::PushSpecs),
            ("GET", "/cluster/v1/specs/current", Endpoint::GetSpecs { version: "current" }),
            ("POST", "/cluster/v1/specs/ab/revert", Endpoint::RevertSpecs { version: "ab" }),
            ("GET", "/cluster/v1/cells", Endpoint::ListCells),
            ("HEAD", "/cluster/v1/cells/cell-1", Endpoint::GetCell { id: "cell-1" }),
            ("GET", "/version", Endpoint::Version),
            ("POST", "/api/v1/requests", Endpoint::CreateRequest),
            ("GET", "/api/v1/requests/x", Endpoint::GetRequest { id: "x" }),
            ("GET", "/api/v1/requests/x/log/y", Endpoint::GetJobLog { id: "x", job: "y" }),
            ("PUT", "/api/v1/requests/x/stop", Endpoint::StopRequest { id: "x" }),
            ("POST", "/api/v1/requests/x/log", Endpoint::JobRunnerOnly),
            ("PUT", "/api/v1/job-chains/x/stop", Endpoint::JobRunnerOnly),
        ];
        for (method, path, expected) in cases {
            let method = method.parse().unwrap();
            assert_eq!(find(&method, path).ok(), Some(expected), "{method} {path}");
        }
    }

    #[test]
    fn a_path_is_taken_literally() {
        let paths = [
            "",
            "*",
            "/",
            "//",
            "/cluster",
            "/cluster/v1",
            "/cluster/v1/",
            "/cluster/v1/variables/",
            "/Cluster/v1/status",
            "/cluster/v1/variables/a/b",
            "/cluster/v1/status/",
            "/cluster/v1/cells/",
            "/cluster/v1/lrps/p",
            "/cluster/v1/lrps//explain",
            "/api/v1/requests/",
            "/api/v1/requests//stop",
            "/api/v1//",
            "/api/v1/requests/x/log/",
            "/api/v1/requests/x/y",
            "/api/v2/requests",
            "/health/",
            "/a/b/c/d/e/f/g/h/i/j",
        ];
        for path in paths {
            assert!(matches!(find(&Method::GET, path), Err(InputError::UnknownRoute)), "{path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let cases = [
            ("POST", "/cluster/v1/variables/a", "PUT, GET, DELETE"),
            ("PUT", "/api/v1/requests", "POST, GET"),
            ("HEAD", "/api/v1/requests", "POST, GET"),
            ("OPTIONS", "/version", "GET"),
        ];
        for (method, path, expected) in cases {
            let Err(InputError::MethodNotAllowed { allow }) = find(&method.parse().unwrap(), path) else {
                panic!("{method} {path}");
            };
            assert_eq!(allow, expected);
        }
    }
}
