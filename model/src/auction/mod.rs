//! The auction: gives what waits to be placed to cells, in batches, by a pure plan.
//!
//! The leader takes an [`Auction`] of State and a batch of [`mod@work`], and proposes what [`plan()`] comes to; apply checks it
//! again. The same state and batch give the same plan. What counts, in this order: an even number of instances of an LRP in each
//! zone, few of them on one cell, an even use of the cells. Nothing is ever moved to make room.

mod bid;
pub mod explain;
pub mod plan;
mod propose;
mod score;
pub mod work;

pub use self::{
    bid::{Auction, Bidder, Resource, Standing},
    explain::{Reason, Verdict, explain},
    plan::{Outcome, plan},
    propose::commands,
    work::{Item, Work},
};
