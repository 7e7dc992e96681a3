//! How things are written for people.

pub(crate) mod arg;
pub(crate) mod bar;
pub(crate) mod escape;
pub(crate) mod facts;
pub(crate) mod table;
pub(crate) mod time;
pub(crate) mod version;
pub(crate) mod when;
