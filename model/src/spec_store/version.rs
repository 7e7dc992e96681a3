//! What a version of the specs is, and how content is named.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    ids::{InvalidId, invalid},
    time::Timestamp,
};

/// Names what specs are made of: the SHA-256 over their files' paths and texts, sorted by path, each with its length before it.
/// Shown in hex, and shortened for people.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpecsId(pub [u8; 32]);

/// Names a text: its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TextHash(pub [u8; 32]);

/// Counts the pushes and reverts, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VersionNumber(pub u64);

/// One version: what was pushed, when and by whom. Two of them may have the same content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// Its place in the order of versions.
    pub number: VersionNumber,
    /// Its content.
    pub id: SpecsId,
    /// The version before it, which its sender had seen.
    pub parent: Option<SpecsId>,
    /// The stamp of the entry that stored it.
    pub pushed_at: Timestamp,
    /// Who pushed it; empty when nobody is known.
    pub pushed_by: Arc<str>,
    /// Its files, sorted by path.
    pub files: Vec<FileRecord>,
}

/// A file of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its path within the directory, with `/` between the parts.
    pub path: Arc<str>,
    /// Its text.
    pub text: TextHash,
    /// How many bytes the text has.
    pub bytes: u64,
}

impl SpecsId {
    /// How many digits are shown to people.
    const SHORT: usize = 12;

    /// The id of these files, which are sorted by path.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut hasher = Sha256::new();
        for (path, text) in files {
            for part in [path, text] {
                hasher.update((part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
        Self(hasher.finalize().into())
    }

    /// Its first digits, for people.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(Self::SHORT);
        text
    }
}

impl TextHash {
    /// The hash of a text.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }
}

impl fmt::Display for SpecsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for SpecsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpecsId({self})")
    }
}

impl fmt::Display for TextHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for TextHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextHash({self})")
    }
}

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl FromStr for SpecsId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let refused = || invalid(text, "a version of specs: 64 characters of 0-9 a-f");
        let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        if text.len() != 64 || !text.bytes().all(is_digit) {
            return Err(refused());
        }
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[place * 2..place * 2 + 2], 16).map_err(|_| refused())?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_that_of_paths_and_texts() {
        let id = SpecsId::of([("a.yaml", "x"), ("b.yaml", "y")]);
        for other in [
            &[("a.yaml", "x")][..],
            &[("a.yaml", "x"), ("b.yaml", "z")],
            &[("a.yaml", "x"), ("c.yaml", "y")],
            &[("a.yamlx", ""), ("b.yaml", "y")],
        ] {
            assert_ne!(SpecsId::of(other.iter().copied()), id, "{other:?}");
        }
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.short(), id.to_string()[..12]);
        for text in ["", "abc", &"g".repeat(64), &"A".repeat(64), &"é".repeat(32)] {
            assert!(text.parse::<SpecsId>().is_err(), "{text}");
        }
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(
            (SpecsId::of([]).to_string(), TextHash::of("").to_string()),
            (nothing.into(), nothing.into())
        );
    }
}
