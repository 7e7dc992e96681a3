//! How things are written for people.

pub(crate) mod arg;
pub(crate) mod escape;
pub(crate) mod table;
pub(crate) mod time;
