//! Whole clusters on one thread, in virtual time, from one seed. `README.md` tells how to use it.
//!
//! [`run`] makes a [`world`] of three real nodes on simulated ground ([`disk`], [`net`]), lets things go wrong ([`faults`]) while
//! clients work ([`workload`] on variables, [`requests`], [`specs_load`], [`auth_load`], [`retention`], and those that follow [`events`]), then heals and demands progress. The [`oracle`] and its [`invariants`]
//! watch meanwhile, the committed log ([`ledger`]) and the true table of [`processes`] included; the [`history`] of what clients
//! were told is judged at the end. [`mutants`] are bugs planted to see that they are caught.

pub mod auth_load;
mod calls;
pub mod corpus;
pub mod coverage;
pub mod determinism;
pub mod disk;
pub mod events;
pub mod faults;
mod guardian;
mod health;
pub mod history;
pub mod instances;
pub mod invariants;
pub mod ledger;
pub mod lrps;
pub mod mutants;
pub mod net;
pub mod oracle;
pub mod plan;
pub mod probes;
pub mod processes;
pub mod report;
pub mod requests;
pub mod retention;
pub mod run;
pub mod shrink;
pub mod specs_load;
pub mod sweep;
pub mod tally;
pub mod trace;
pub mod workload;
pub mod world;
