//! What became of an input that broke nothing.

/// What a decoder made of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It, or some of it, meant something.
    Understood,
    /// It was refused.
    Refused,
}

impl Verdict {
    /// Understood if `is_understood`.
    pub fn of(is_understood: bool) -> Self {
        if is_understood { Self::Understood } else { Self::Refused }
    }
}
