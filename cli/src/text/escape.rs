//! Keeps what comes from jobs and callers from driving the terminal.

use std::fmt::Write as _;

/// Makes a text safe for one line of a terminal: line breaks and tabs are shown as escapes too.
pub(crate) fn line(text: &str) -> String {
    escaped(text, |c| !is_hostile(c) && !matches!(c, '\n' | '\t'))
}

/// Makes a text safe for a terminal and keeps its line breaks and tabs.
pub(crate) fn lines(text: &str) -> String {
    escaped(text, |c| !is_hostile(c))
}

/// Makes JSON safe for a terminal. JSON itself escapes only part of what is hostile; the rest can stand nowhere but
/// inside its strings, where an escape means the same.
pub(crate) fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hostile(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

fn escaped(text: &str, harmless: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if harmless(c) {
            safe.push(c);
        } else {
            safe.extend(c.escape_default());
        }
    }
    safe
}

/// Control characters, which move the cursor, and the marks that make text read in another order than it is stored.
fn is_hostile(c: char) -> bool {
    let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && !matches!(c, '\n' | '\t')) || reorders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_drives_a_terminal_gets_through() {
        assert_eq!(line("\x1b]0;owned\x07"), "\\u{1b}]0;owned\\u{7}");
        assert_eq!(line("a\u{9b}2Jb\u{202e}c"), "a\\u{9b}2Jb\\u{202e}c");
        assert_eq!(line("two\nlines\tand a tab"), "two\\nlines\\tand a tab");
        assert_eq!(lines("two\nlines\tand a tab\r"), "two\nlines\tand a tab\\r");
        assert_eq!(line("Grüße, 世界"), "Grüße, 世界");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let text = serde_json::to_string("a\u{9b}\u{202e}\u{7f}b").unwrap();
        let safe = json(&text);
        assert_eq!(safe, "\"a\\u009b\\u202e\\u007fb\"");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), "a\u{9b}\u{202e}\u{7f}b");
    }
}
