//! Long-running processes: what is desired, what there is of it, and the rules that bring the second to the first.
//!
//! Behaviour and names are Diego's (`reference` of the Receptor API), as far as `docs/lrps.md` does not say otherwise.
//!
//! A desired LRP ([`desired`]) is a [`definition`], how many instances, and a [`tag`]. Each index of it has one or two records
//! ([`actual`]) on [`cell`]s, which say how far they keep them apart ([`isolation`]). A [`command`] leads to [`event`]s: `handle` takes
//! what owners and cells ask for, `report` what cells tell, `placement` what an auction came to; the events change [`Lrps`]. What is left
//! to do without anybody asking is listed by [`convergence`]. `draft` holds what several of them need. What owners send is checked by
//! [`validate`] before it becomes a command.
//!
//! Wishes take effect whole, within one entry: an index that is desired has a record from then on, and one that is not has
//! none, or its cell has been asked to stop it. So nothing is ever missing or left over, and there is nothing to look for.

mod check;
mod counts;
mod draft;
mod handle;
mod indexes;
mod live;
mod live_rows;
mod placement;
mod report;

pub mod action;
pub mod actual;
pub mod cell;
pub mod command;
pub mod convergence;
pub mod crash;
pub mod definition;
pub mod desired;
pub mod domain;
pub mod egress;
pub mod event;
pub mod guid;
pub mod isolation;
pub mod tag;
pub mod validate;

pub(crate) use self::{
    check::check,
    handle::{expire_domains, follow, handle},
};
pub use self::{counts::Counts, live::Lrps, report::REASON_BYTES_MAX};
