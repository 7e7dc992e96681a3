//! Who may call `/v1`, and from which pages: what Diego's operators can switch on (reference 3.5, 3.6). Both are off by default.

mod basic;
mod cors;

use http::{HeaderValue, Method, StatusCode, header::WWW_AUTHENTICATE};

use super::error::Refusal;
use crate::{
    answer::Answer,
    call::{Head, Surface},
    error::ApiError,
};

pub use self::basic::Credentials;
pub(crate) use self::basic::cookie;

/// What a call under `/v1` must bring, and what its answer allows browsers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The one name and password that are accepted; without them everybody is.
    pub credentials: Option<Credentials>,
    /// Whether pages from anywhere may call.
    pub cors: bool,
}

impl Access {
    /// The answer to a browser that asks what it may send: given before the path is looked at, and to everybody.
    pub(crate) fn preflight(&self, head: &Head<'_>) -> Option<Answer> {
        (self.cors && *head.method == Method::OPTIONS).then(|| cors::preflight(head.headers))
    }

    /// Lets a call pass that brings the credentials.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`].
    pub(crate) fn check(&self, head: &Head<'_>) -> Result<(), Refusal> {
        match &self.credentials {
            Some(credentials) if !credentials.are_in(head.headers) => Err(Refusal::Unauthorized),
            _ => Ok(()),
        }
    }

    /// The answer to a call that [`Access::check`] has refused.
    pub(crate) fn refused(refusal: Refusal) -> Answer {
        let mut answer = ApiError::from(refusal).answer(Surface::Receptor);
        debug_assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "only credentials are checked");
        let realm = HeaderValue::from_static("Basic realm=\"API Authentication\"");
        answer.headers_mut().insert(WWW_AUTHENTICATE, realm);
        answer
    }

    /// Tells a browser that the page which called may see the answer.
    pub(crate) fn share(&self, head: &Head<'_>, answer: &mut Answer) {
        if self.cors {
            cors::share(head.headers, answer);
        }
    }
}
