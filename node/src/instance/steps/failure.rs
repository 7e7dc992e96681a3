//! How a step fails.

use std::fmt;

/// Why a step failed, as its owner reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    text: String,
    tellable: bool,
}

impl Failure {
    /// A failure whose text may be quoted by the steps around it, and so reach the output.
    pub fn tellable(text: impl Into<String>) -> Self {
        Self { text: text.into(), tellable: true }
    }

    /// A failure whose text is a reason and nothing else.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), tellable: false }
    }

    /// A step was told to end before it had.
    pub fn cancelled() -> Self {
        Self::plain("cancelled")
    }

    /// Several failures as one, in the given order, as hashicorp/go-multierror of 2015 writes them.
    pub fn all(failures: &[Self]) -> Self {
        let points: Vec<String> = failures.iter().map(|failure| format!("* {failure}")).collect();
        Self::plain(format!("{} error(s) occurred:\n\n{}", failures.len(), points.join("\n")))
    }

    /// The text, if steps around this one may quote it.
    pub fn told(&self) -> Option<&str> {
        self.tellable.then_some(&*self.text)
    }

    /// The text, as a reason for whoever asks why the instance ended.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
