//! Parameters after the question mark, as forms encode them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Decodes the parameters in the order sent: `+` is a blank, and what is no UTF-8 becomes U+FFFD. A `%` without two
/// hexadecimal digits stands for itself. A word without `=` is a parameter with an empty value.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// The value of the first parameter of this name.
pub(crate) fn first<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    parameters(query).find(|(given, _)| given == name).map(|(_, value)| value)
}

/// Whether a parameter of this name was sent, with or without a value.
pub(crate) fn has(query: &str, name: &str) -> bool {
    parameters(query).any(|(given, _)| given == name)
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8_lossy();
    }
    let text = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&text).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_decoded_and_in_order() {
        let cases: [(&str, &[(&str, &str)]); 6] = [
            ("", &[]),
            ("&&", &[]),
            ("pretty", &[("pretty", "")]),
            ("arg=a%3Db=c&arg=x+y%2B", &[("arg", "a=b=c"), ("arg", "x y+")]),
            ("%6eame=%FF", &[("name", "\u{fffd}")]),
            ("a=1%2&=v", &[("a", "1%2"), ("", "v")]),
        ];
        for (query, expected) in cases {
            let found: Vec<_> = parameters(query).collect();
            let found: Vec<_> = found.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(found, expected, "{query:?}");
        }
    }

    #[test]
    fn the_first_of_a_name_counts() {
        assert_eq!(first("limit=1&limit=2", "limit").as_deref(), Some("1"));
        assert_eq!(first("limits=1", "limit"), None);
        assert!(has("a&pretty", "pretty"));
    }
}
