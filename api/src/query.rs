//! Parameters after the question mark, as forms encode them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::error::InputError;

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

/// How many items of a list are wanted: `limit`, or as many as a page may have. A larger limit is as good as that.
///
/// # Errors
/// [`InputError::Query`] for anything but a whole number from 1 on.
pub(crate) fn limit(query: &str, page_max: usize) -> Result<usize, InputError> {
    let Some(text) = first(query, "limit") else { return Ok(page_max) };
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(limit) if digits && limit > 0 => {
            Ok(usize::try_from(limit).map_or(page_max, |limit| limit.min(page_max)))
        }
        _ => {
            let shown: String = text.chars().take(100).collect();
            let reason = format!("parameter limit: {shown:?} is not a whole number from 1 to {page_max}");
            Err(InputError::Query { reason })
        }
    }
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
    fn a_limit_is_a_positive_number() {
        for (query, expected) in [("", 1_000), ("limit=1", 1), ("limit=1000", 1_000), ("limit=5000", 1_000)] {
            assert_eq!(limit(query, 1_000).unwrap(), expected, "{query}");
        }
        for query in ["limit=0", "limit=", "limit=-1", "limit=+5", "limit=x", "limit=99999999999999999999"] {
            assert!(matches!(limit(query, 1_000), Err(InputError::Query { .. })), "{query}");
        }
    }

    #[test]
    fn the_first_of_a_name_counts() {
        assert_eq!(first("limit=1&limit=2", "limit").as_deref(), Some("1"));
        assert_eq!(first("limits=1", "limit"), None);
        assert!(has("a&pretty", "pretty"));
    }
}
