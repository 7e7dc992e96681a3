//! Facts about one thing, one a line, the names in a column.

use super::escape;

/// Draws facts. Values are taken as they are: what comes from others is to be escaped before, see [`or_dash`].
pub(crate) fn facts<const N: usize>(facts: [(&str, String); N]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    facts.map(|(name, value)| format!("{name:<width$}{value}")).join("\n")
}

/// A text made safe for a line, or `-` for an empty one.
pub(crate) fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { escape::line(text) }
}
