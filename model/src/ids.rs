//! One newtype per identifier, so that two of them cannot be swapped.
//!
//! Ids are drawn before a command is proposed and travel inside it: nothing in this crate makes one up.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// A member of the Raft group, voter or learner. Given in the configuration, never reused for another disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

/// Identifies one cluster for ever; drawn once, by the voter with the lowest id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub u128);

/// Identifies one data directory for ever; drawn when the directory is first opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DiskId(pub u128);

/// One life of a node: the node, how often its data directory was opened, and random bits.
///
/// Ordered by node, then `boot`: only an incarnation with a higher boot count ends another of the same node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation {
    /// The node that lives this life.
    pub node: NodeId,
    /// Boot count, fsynced in the data directory before the node says anything.
    pub boot: u64,
    /// Random bits, so that a directory restored from an old copy is not taken for the life it repeats.
    pub nonce: u64,
}

/// Names one command for ever: who proposed it, and its number in that incarnation, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommandId {
    /// The proposer.
    pub incarnation: Incarnation,
    /// Counts the proposer's commands, from 1.
    pub seq: u64,
}

/// A request: twelve bytes shown as the 20 characters of an xid (`[0-9a-v]`), ordered by creation second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub [u8; 12]);

/// A job within one request: four characters of `[a-zA-Z0-9]`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId(pub [u8; 4]);

/// One run of a job, counted from 1 and never repeated within a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TryNo(pub u32);

/// Counts the owners of a request, from 1; a command under an older epoch changes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// A variable's name: 1 to 256 characters of `[A-Za-z0-9._-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct VariableName(Arc<str>);

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct InvalidId {
    /// What was given, cut to 300 characters.
    pub text: String,
    /// What would be right.
    pub expected: &'static str,
}

impl VariableName {
    /// The longest name, in characters.
    pub const LEN_MAX: usize = 256;
    const EXPECTED: &str = "a variable name: 1 to 256 characters of A-Z a-z 0-9 . _ -";

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Arc<str>> for VariableName {
    type Error = InvalidId;

    fn try_from(text: Arc<str>) -> Result<Self, InvalidId> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=Self::LEN_MAX).contains(&text.len()) && text.bytes().all(legal) {
            Ok(Self(text))
        } else {
            Err(invalid(&text, Self::EXPECTED))
        }
    }
}

impl FromStr for VariableName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Arc::<str>::from(text).try_into()
    }
}

/// Orders and compares as its text does, so that maps can be searched by text.
impl Borrow<str> for VariableName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<VariableName> for Arc<str> {
    fn from(name: VariableName) -> Self {
        name.0
    }
}

const XID_DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

impl RequestId {
    /// Builds an id from what an xid is made of: a Unix time in seconds and eight random bytes.
    pub fn from_parts(unix_secs: u32, random: [u8; 8]) -> Self {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&unix_secs.to_be_bytes());
        bytes[4..].copy_from_slice(&random);
        Self(bytes)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 96 bits in twenty digits of five bits; the last digit carries the last bit and four zeros.
        let mut text = [0_u8; 20];
        for (place, digit) in text.iter_mut().enumerate() {
            let value = (0..5).fold(0_usize, |acc, bit| {
                let at = place * 5 + bit;
                let set = at < 96 && self.0[at / 8] & (0x80 >> (at % 8)) != 0;
                acc << 1 | usize::from(set)
            });
            *digit = XID_DIGITS[value];
        }
        f.write_str(std::str::from_utf8(&text).expect("xid digits are ASCII"))
    }
}

impl FromStr for RequestId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        const EXPECTED: &str = "a request id: 20 characters of 0-9 a-v";
        let refused = || invalid(text, EXPECTED);
        if text.len() != 20 {
            return Err(refused());
        }
        let mut bytes = [0_u8; 12];
        for (place, digit) in text.bytes().enumerate() {
            let value = XID_DIGITS.iter().position(|d| *d == digit).ok_or_else(refused)?;
            for bit in 0..5 {
                let at = place * 5 + bit;
                let set = value & (0x10 >> bit) != 0;
                if at < 96 {
                    bytes[at / 8] |= if set { 0x80 >> (at % 8) } else { 0 };
                } else if set {
                    return Err(refused());
                }
            }
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or("????"))
    }
}

impl FromStr for JobId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match <[u8; 4]>::try_from(text.as_bytes()) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_alphanumeric) => Ok(Self(bytes)),
            _ => Err(invalid(text, "a job id: 4 characters of a-z A-Z 0-9")),
        }
    }
}

pub(crate) fn invalid(text: &str, expected: &'static str) -> InvalidId {
    InvalidId { text: text.chars().take(300).collect(), expected }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{:016x}", self.node, self.boot, self.nonce)
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.incarnation, self.seq)
    }
}

impl fmt::Display for TryNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_read_as_xids() {
        // The example of rs/xid's README.
        let bytes = [0x4d, 0x88, 0xe1, 0x5b, 0x60, 0xf4, 0x86, 0xe4, 0x28, 0x41, 0x2d, 0xc9];
        assert_eq!(RequestId(bytes).to_string(), "9m4e2mr0ui3e8a215n4g");
        assert_eq!("9m4e2mr0ui3e8a215n4g".parse(), Ok(RequestId(bytes)));
    }

    #[test]
    fn malformed_ids_are_refused() {
        for text in [
            "",
            "9m4e2mr0ui3e8a215n4",
            "9m4e2mr0ui3e8a215n4z",
            "9m4e2mr0ui3e8a215n4h",
            "9M4e2mr0ui3e8a215n4g",
        ] {
            assert!(text.parse::<RequestId>().is_err(), "{text:?}");
        }
        for text in ["", "abc", "abcde", "ab-d", "äb"] {
            assert!(text.parse::<JobId>().is_err(), "{text:?}");
        }
        for text in ["", "a/b", "a b", "ä", &"x".repeat(257)] {
            assert!(text.parse::<VariableName>().is_err(), "{text:?}");
        }
        assert!("x".repeat(256).parse::<VariableName>().is_ok());
    }
}
