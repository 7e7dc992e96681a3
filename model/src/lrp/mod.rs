//! Long-running processes: what is desired, what there is of it, and the rules that bring the second to the first.
//!
//! Behaviour and names are Diego's (`reference` of the Receptor API), as far as `docs/lrps.md` does not say otherwise.

pub mod action;
pub mod definition;
pub mod egress;
