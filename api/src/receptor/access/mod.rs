//! Who may call `/v1`, and from which pages: what Diego's operators can switch on (reference 3.5, 3.6). Both are off by default. The tokens of
//! the cluster ([`crate::auth`]) open it too.

mod basic;
mod cors;

use http::Method;

use crate::{answer::Answer, call::Head};

pub use self::basic::Credentials;
pub(crate) use self::basic::{cookie, cookie_of};

/// What a call under `/v1` must bring, and what its answer allows browsers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The one name and password that are accepted beside tokens; without them everybody is, as far as the cluster lets him.
    pub credentials: Option<Credentials>,
    /// Whether pages from anywhere may call.
    pub cors: bool,
}

impl Access {
    /// The answer to a browser that asks what it may send: given before the path is looked at, and to everybody.
    pub(crate) fn preflight(&self, head: &Head<'_>) -> Option<Answer> {
        (self.cors && *head.method == Method::OPTIONS).then(|| cors::preflight(head.headers))
    }

    /// The name of the credentials, if a call brings them.
    pub(crate) fn configured_caller(&self, head: &Head<'_>) -> Option<&str> {
        let credentials = self.credentials.as_ref()?;
        credentials.are_in(head.headers).then_some(credentials.username.as_str())
    }

    /// Whether a call must bring something, whatever the cluster asks for.
    pub(crate) fn is_guarded(&self) -> bool {
        self.credentials.is_some()
    }

    /// Tells a browser that the page which called may see the answer.
    pub(crate) fn share(&self, head: &Head<'_>, answer: &mut Answer) {
        if self.cors {
            cors::share(head.headers, answer);
        }
    }
}
