//! JSON as Go's encoder writes it, which is what Spin Cycle's clients have seen so far.

use http::StatusCode;
use serde::Serialize;

use crate::{
    answer::{self, Answer},
    call::Head,
    go_escape::escape,
    query,
};

/// Whether people are meant to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// On one line.
    Compact,
    /// Indented by two blanks: the caller sent `?pretty`.
    Pretty,
}

impl Layout {
    pub(crate) fn of(head: &Head<'_>) -> Self {
        if query::has(head.query, "pretty") { Self::Pretty } else { Self::Compact }
    }
}

/// An answer in JSON that ends in a newline.
pub(crate) fn answer(status: StatusCode, body: &impl Serialize, layout: Layout) -> Answer {
    answer::with_body(status, answer::JSON, encode(body, layout))
}

fn encode(body: &impl Serialize, layout: Layout) -> Vec<u8> {
    let encoded = match layout {
        Layout::Compact => serde_json::to_vec(body),
        Layout::Pretty => serde_json::to_vec_pretty(body),
    };
    let mut text = escape(encoded.expect("wire types are plain data with text keys"));
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strings_are_escaped_for_html() {
        let cases = [
            (json!("a<b>&c"), r#""a\u003cb\u003e\u0026c""#),
            (json!("\u{2028}\u{2029}\u{2027}é€"), "\"\\u2028\\u2029\u{2027}é€\""),
            (json!({"<": 1}), r#"{"\u003c":1}"#),
        ];
        for (value, expected) in cases {
            assert_eq!(String::from_utf8(encode(&value, Layout::Compact)).unwrap(), format!("{expected}\n"));
        }
    }

    #[test]
    fn pretty_is_indented_by_two_blanks() {
        let text = encode(&json!({"a": [1], "b": []}), Layout::Pretty);
        assert_eq!(String::from_utf8(text).unwrap(), "{\n  \"a\": [\n    1\n  ],\n  \"b\": []\n}\n");
    }
}
