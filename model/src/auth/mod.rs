//! Who may do what: tokens, the policy, and the one rule that decides.
//!
//! A call is authenticated by the node that reads it; what it found out, an [`Author`], travels with the command. Apply resolves the author
//! again from the tokens in State and asks [`authorise()`] again, so that a token that was revoked, or has expired by log time, changes nothing
//! any more from that entry on, on every node. Reads are checked against the state that the asked node has applied.
//!
//! * [`Caller`], [`Author`] and [`Credential`]: who calls, and how he showed it. [`Operation`]: what he wants to do; [`Acl`]: what a spec
//!   says of it.
//! * [`policy`]: what the cluster asks of callers. [`token`]: tokens, of which only a hash is kept. `handle` decides on commands about
//!   both.
//! * [`audit`]: which caller changed what, as rows.

mod acl;
pub mod audit;
mod authorise;
mod caller;
mod check;
mod command;
mod handle;
mod live;
mod operation;
pub mod policy;
mod subject;
pub mod token;

pub use self::{
    acl::{Acl, AclEntry, AclOperation},
    authorise::{Denied, DeniedBecause, authorise},
    caller::{Author, Caller, Credential, NotAuthenticated},
    command::{AuthCommand, CreateToken},
    live::{Auth, AuthEvent},
    operation::{Operation, roles_that_grant},
    policy::{AuthPolicy, PolicyChange},
};
pub(crate) use self::{
    check::check,
    handle::{admit, handle},
    subject::subject,
};
