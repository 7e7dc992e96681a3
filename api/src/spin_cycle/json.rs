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

    /// What stands before the elements of a list, between them, and behind them as the last of the answer.
    pub(crate) fn of_lists(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Compact => ("[", ",", "]\n"),
            Self::Pretty => ("[\n", ",\n", "\n]\n"),
        }
    }

    /// Some elements of a list, with what stands between them.
    pub(crate) fn encode_elements(self, elements: &[impl Serialize]) -> Vec<u8> {
        let (begin, _, end) = self.of_lists();
        let mut list = encode(&elements, self);
        list.truncate(list.len() - end.len());
        list.split_off(begin.len())
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
    fn a_list_made_of_parts_is_as_the_whole_would_be() {
        let elements = [json!({"a": [1]}), json!("<"), json!([])];
        for layout in [Layout::Compact, Layout::Pretty] {
            let (begin, between, end) = layout.of_lists();
            let parts =
                elements.chunks(2).map(|part| String::from_utf8(layout.encode_elements(part)).unwrap());
            let list = [begin, &parts.collect::<Vec<_>>().join(between), end].concat();
            assert_eq!(list, String::from_utf8(encode(&elements, layout)).unwrap());
        }
    }

    #[test]
    fn pretty_is_indented_by_two_blanks() {
        let text = encode(&json!({"a": [1], "b": []}), Layout::Pretty);
        assert_eq!(String::from_utf8(text).unwrap(), "{\n  \"a\": [\n    1\n  ],\n  \"b\": []\n}\n");
    }
}
