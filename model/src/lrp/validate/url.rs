//! As much of URLs as the rules are about.

/// Whether a text is a URL with a scheme, such as `preloaded:NAME` or `docker:///image`.
pub(crate) fn has_scheme(text: &str) -> bool {
    let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
    let Some(rest) = after_scheme(url) else { return false };
    let path = rest.split('?').next().unwrap_or_default();
    // What follows a scheme without a slash is opaque and not decoded.
    is_decodable(fragment) && (!path.starts_with('/') || is_decodable(path))
}

/// Whether a text may stand in the first line of a call: an absolute URL, or a path from the root.
pub(crate) fn is_request_uri(text: &str) -> bool {
    text == "*" || text.starts_with('/') || after_scheme(text).is_some()
}

/// What follows the scheme and its colon.
fn after_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once(':')?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(legal)).then_some(rest)
}

/// Whether two hexadecimal digits follow each `%`.
fn is_decodable(text: &str) -> bool {
    let escapes = text.split('%').skip(1).map(str::as_bytes);
    escapes.into_iter().all(|rest| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rootfs_has_a_scheme() {
        for text in ["preloaded:x", "docker:///x#tag", "a+b.c-1:", "preloaded:100%", "docker://h/x?%"] {
            assert!(has_scheme(text), "{text}");
        }
        for text in ["", "ploop", ":x", "1a:x", "a b:x", "/a:b", "docker:///x%zz", "docker:///x#%"] {
            assert!(!has_scheme(text), "{text}");
        }
    }

    #[test]
    fn a_callback_is_absolute_or_a_path() {
        for text in ["http://h/x", "mailto:x", "/x", "*"] {
            assert!(is_request_uri(text), "{text}");
        }
        for text in ["x", ":x", "x/y:z", "?x"] {
            assert!(!is_request_uri(text), "{text}");
        }
    }
}
