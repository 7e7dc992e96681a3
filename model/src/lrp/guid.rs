//! Names of LRPs and tasks, chosen by those who desire them.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// A text that cannot name an LRP or a task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a guid has 1 to {} characters of A-Z a-z 0-9 _ -", Guid::LEN_MAX)]
pub struct InvalidGuid;

/// 1 to 255 characters of `[A-Za-z0-9_-]`, unique among all LRPs, or among all tasks, whatever their domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct Guid(Arc<str>);

/// The guid of an LRP.
pub type ProcessGuid = Guid;

impl Guid {
    /// The longest guid, in characters. Diego's database has the same bound.
    pub const LEN_MAX: usize = 255;

    /// Not above any guid, for ranges; it names nothing.
    pub(crate) fn lowest() -> Self {
        Self("".into())
    }

    /// The guid as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Arc<str>> for Guid {
    type Error = InvalidGuid;

    fn try_from(text: Arc<str>) -> Result<Self, InvalidGuid> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        let is_guid = (1..=Self::LEN_MAX).contains(&text.len()) && text.bytes().all(legal);
        if is_guid { Ok(Self(text)) } else { Err(InvalidGuid) }
    }
}

impl FromStr for Guid {
    type Err = InvalidGuid;

    fn from_str(text: &str) -> Result<Self, InvalidGuid> {
        Arc::<str>::from(text).try_into()
    }
}

impl From<Guid> for Arc<str> {
    fn from(guid: Guid) -> Self {
        guid.0
    }
}

/// Orders and compares as its text does, so that maps can be searched by text.
impl Borrow<str> for Guid {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_has_only_characters_that_need_no_escape() {
        for text in ["", "abc def", "abc/def", "abc,def", "abc.def", "abc∆def", &"x".repeat(256)] {
            assert!(text.parse::<Guid>().is_err(), "{text:?}");
        }
        for text in ["a", "A-b_9", &"x".repeat(255)] {
            assert!(text.parse::<Guid>().is_ok(), "{text:?}");
        }
    }
}
