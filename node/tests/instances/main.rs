//! Instances as real processes: the guardian of the real program, and the driver in front of it.

#![allow(clippy::unwrap_used, reason = "it is part of tests")]

mod fencing;
#[path = "../guardian_world/mod.rs"]
mod guardian_world;
mod machine;
mod networks;
mod processes;
mod transfers;
