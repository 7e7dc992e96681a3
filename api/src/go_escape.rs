//! The escapes Go's encoder writes into JSON, and serde's does not.

/// Escapes what could end a script element or a line of JavaScript. These characters stand only inside JSON's strings.
pub(crate) fn escape(text: Vec<u8>) -> Vec<u8> {
    if !text.iter().any(|b| matches!(b, b'<' | b'>' | b'&' | 0xe2)) {
        return text;
    }
    let mut escaped = Vec::with_capacity(text.len() + text.len() / 8);
    let mut rest = &text[..];
    while let [first, after @ ..] = rest {
        let (replacement, len): (&[u8], usize) = match rest {
            [b'<', ..] => (br"\u003c", 1),
            [b'>', ..] => (br"\u003e", 1),
            [b'&', ..] => (br"\u0026", 1),
            [0xe2, 0x80, 0xa8, ..] => (br"\u2028", 3),
            [0xe2, 0x80, 0xa9, ..] => (br"\u2029", 3),
            _ => {
                escaped.push(*first);
                rest = after;
                continue;
            }
        };
        escaped.extend_from_slice(replacement);
        rest = &rest[len..];
    }
    escaped
}
