//! Versions of request specs as people see them.

/// How many digits of a version are shown.
const SHORT: usize = 12;

/// The first digits of a version.
pub(crate) fn short(version: &str) -> &str {
    version.get(..SHORT).unwrap_or(version)
}
