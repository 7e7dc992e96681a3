//! Says a thing once, not a hundred times a second.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long the same text stays unsaid.
const REPEAT_AFTER: Duration = Duration::from_secs(30);

/// Remembers what was said last.
#[derive(Debug, Default)]
pub(super) struct Quiet(Mutex<Option<Said>>);

#[derive(Debug)]
struct Said {
    text: String,
    at: Instant,
    swallowed: u64,
}

impl Quiet {
    /// Whether `text` should be said now: `Some` with how often it was swallowed since it was said last.
    pub(super) fn news(&self, text: &str, now: Instant) -> Option<u64> {
        let mut last = self.0.lock().expect("no code that holds this lock panics");
        if let Some(said) = last.as_mut()
            && said.text == text
            && now.duration_since(said.at) < REPEAT_AFTER
        {
            said.swallowed += 1;
            return None;
        }
        let swallowed = last.as_ref().filter(|said| said.text == text).map_or(0, |said| said.swallowed);
        *last = Some(Said { text: text.to_owned(), at: now, swallowed: 0 });
        Some(swallowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_said_and_repetition_counted() {
        let (quiet, start) = (Quiet::default(), Instant::now());
        assert_eq!(quiet.news("refused", start), Some(0));
        assert_eq!(quiet.news("refused", start), None);
        assert_eq!(quiet.news("refused", start + REPEAT_AFTER / 2), None);
        assert_eq!(quiet.news("refused", start + REPEAT_AFTER), Some(2));
        assert_eq!(quiet.news("cut", start + REPEAT_AFTER), Some(0));
    }
}
