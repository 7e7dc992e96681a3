//! Who makes a call, and whether he may.
//!
//! The node that reads a call finds out who makes it ([`identify`]), and asks whether he may do what the call is for ([`permission`]) before the
//! body is read. What is then proposed carries what was found out ([`options`]), so that apply can ask again.

mod brought;
pub(crate) mod permission;
pub(crate) mod requests;
pub(crate) mod secret;

use capstan_model::{
    auth::{Acl, Author, Caller, Credential, NotAuthenticated},
    command::Idempotency,
    state::State,
};
use capstan_raft_store::handle::ProposeOptions;

use self::brought::Brought;
use crate::{
    call::{Head, Surface},
    error::InputError,
    headers,
    receptor::access::Access,
};

/// Who makes a call.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Him, with the roles that he had as the call was read.
    pub(crate) caller: Caller,
    /// How he showed it.
    pub(crate) credential: Credential,
}

impl Identity {
    /// What a command of his carries; `acl` is of the request it is about.
    pub(crate) fn author(&self, acl: Option<Acl>) -> Author {
        Author { name: self.caller.name.clone(), credential: self.credential, acl }
    }
}

/// Finds out who makes a call. Without any credentials that is nobody in particular, if the cluster lets him.
///
/// # Errors
/// [`InputError::NotAuthenticated`] and [`InputError::Credentials`].
pub(crate) fn identify(
    state: &State,
    access: &Access,
    surface: Surface,
    head: &Head<'_>,
) -> Result<Identity, InputError> {
    let is_receptor = surface == Surface::Receptor;
    if is_receptor && let Some(name) = access.configured_caller(head) {
        return known(state, name, Credential::Receptor);
    }
    match brought::read(head.headers, is_receptor) {
        Ok(Brought::Nothing) => known(state, "", Credential::None),
        Ok(Brought::Token { id, hash }) => match state.auth.token(id) {
            Some(token) if token.hash.is(&hash) || capstan_model::mutant!("secret-not-compared") => {
                known(state, "", Credential::Token(id))
            }
            _ => Err(NotAuthenticated::NoSuchToken.into()),
        },
        // Where nobody is asked, Diego passes over what is no credential of his.
        Ok(Brought::Unknown) | Err(_) if is_receptor && !state.auth.policy().required => {
            known(state, "", Credential::None)
        }
        Ok(Brought::Unknown) => Err(NotAuthenticated::NoSuchToken.into()),
        Err(error) => Err(error),
    }
}

fn known(state: &State, name: &str, credential: Credential) -> Result<Identity, InputError> {
    let author = Author { name: name.into(), credential, acl: None };
    let caller = state.auth.caller(&author, state.log_time())?;
    Ok(Identity { caller, credential })
}

/// How a client's command is proposed: on behalf of its caller, and once for its idempotency key.
///
/// # Errors
/// [`InputError::Header`] for a malformed key.
pub(crate) fn options(head: &Head<'_>, body: &[u8]) -> Result<ProposeOptions, InputError> {
    Ok(options_for(head, headers::idempotency(head, body)?, None))
}

/// As [`options`], for a command about a request whose spec says this.
pub(crate) fn options_for(
    head: &Head<'_>,
    idempotency: Option<Idempotency>,
    acl: Option<Acl>,
) -> ProposeOptions {
    let acl = acl.filter(|_| !capstan_model::mutant!("acl-not-carried"));
    let author = head.by.map_or_else(Author::anonymous, |by| by.author(acl));
    ProposeOptions { author: Some(author), idempotency, ..ProposeOptions::client() }
}
