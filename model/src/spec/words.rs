//! The shapes of messages, as in Spin Cycle: a value is invalid, a field is missing, a value is there twice.

pub(super) fn invalid(field: &str, value: &str, expected: &str) -> String {
    format!("invalid value \"{value}\" in field '{field}', expected {expected}")
}

pub(super) fn missing(field: &str, why: &str) -> String {
    format!("field '{field}' missing: {why}")
}

pub(super) fn duplicated(field: &str, value: &str, why: &str) -> String {
    format!("value \"{value}\" duplicated in field '{field}': {why}")
}

pub(super) fn null(field: &str, expected: &str) -> String {
    format!("a null in field '{field}', expected {expected}")
}

/// Names in quotes, with commas between them.
pub(super) fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}
