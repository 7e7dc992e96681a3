//! Routes: JSON values that nobody here looks into, bounded and kept without the blanks between their parts.

use std::{collections::BTreeMap, sync::Arc};

use super::{ROUTES_BYTES_MAX, draft::RoutesDraft};

/// Whether the values are few enough bytes, as sent, and none of them is `null`.
pub(super) fn are_legal(routes: &RoutesDraft) -> bool {
    let bytes: usize = routes.values().map(|value| value.len()).sum();
    bytes <= ROUTES_BYTES_MAX && routes.values().all(|value| &**value != "null")
}

/// The routes as they are stored and shown: each value without blanks, its members in the order they were sent in.
pub(super) fn compacted(routes: &RoutesDraft) -> BTreeMap<Arc<str>, Arc<str>> {
    routes.iter().map(|(name, value)| (Arc::clone(name), compact(value).into())).collect()
}

/// Leaves out the blanks that are not in a string.
fn compact(json: &str) -> String {
    let mut compacted = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if !in_string && matches!(c, ' ' | '\t' | '\r' | '\n') {
            continue;
        }
        compacted.push(c);
        if escaped {
            escaped = false;
        } else if c == '"' {
            in_string = !in_string;
        } else {
            escaped = in_string && c == '\\';
        }
    }
    compacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_left_out_except_in_strings() {
        let cases = [
            ("1", "1"),
            ("[ 1 ,\t2\r\n]", "[1,2]"),
            (r#"{ "b c" : "d  e" , "a" : null }"#, r#"{"b c":"d  e","a":null}"#),
            (r#"[ "a\" b" , "\\" , " \\\" " ]"#, r#"["a\" b","\\"," \\\" "]"#),
        ];
        for (sent, kept) in cases {
            assert_eq!(compact(sent), kept, "{sent}");
        }
    }
}
