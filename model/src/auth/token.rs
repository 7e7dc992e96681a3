//! Tokens: what callers show. Only a hash of the secret is kept.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::Caller;
use crate::{ids::InvalidId, time::Timestamp};

/// How many tokens there may be.
pub const TOKENS_MAX: usize = 10_000;
/// The longest life of a token, in seconds: ten years.
pub const LIFETIME_SECS_MAX: u64 = 3_650 * 24 * 3_600;

/// How many tokens one command drops because their time is over.
pub const DROPPED_MAX: usize = 256;

/// Names a token, and is the name of name and password: 16 hexadecimal digits. It is no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenId(pub [u8; 8]);

/// What is kept of a token's secret: SHA-256 of it. The secret has 256 random bits, so that there is nothing to guess, and neither salt nor
/// a slow hash would add anything.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretHash(pub [u8; 32]);

/// What somebody shows to say who he is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its name.
    pub id: TokenId,
    /// Whose it is; several may have the same.
    pub caller: Arc<str>,
    /// What he may do with it: sorted, one at least, [`super::policy::ROLES_MAX`] at most.
    pub roles: Arc<[Arc<str>]>,
    /// Of its secret.
    pub hash: SecretHash,
    /// Log time of the entry that made it.
    pub created_at: Timestamp,
    /// Who had it made; empty of nobody in particular.
    pub created_by: Arc<str>,
    /// When it ends, in log time; `None` is never.
    pub expires_at: Option<Timestamp>,
}

impl Token {
    /// Whether its time is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Who shows it.
    pub fn caller(&self) -> Caller {
        Caller { name: Arc::clone(&self.caller), roles: Arc::clone(&self.roles) }
    }
}

impl SecretHash {
    /// Whether it is of the same secret, found out in a time that tells nothing of where they differ.
    pub fn is(&self, other: &Self) -> bool {
        let differences = self.0.iter().zip(other.0).fold(0, |seen, (a, b)| seen | (a ^ b));
        std::hint::black_box(differences) == 0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl FromStr for TokenId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let digits = Some(text).filter(|text| text.len() == 16 && text.bytes().all(is_digit));
        let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.map(|number| Self(number.to_be_bytes())).ok_or_else(|| InvalidId {
            text: text.chars().take(300).collect(),
            expected: "a token's id: 16 characters of 0-9 a-f",
        })
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

/// What it is of is not to be found out by a guess either.
impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_id_is_read_as_it_is_shown() {
        let id = TokenId([0, 1, 2, 3, 0xfc, 0xfd, 0xfe, 0xff]);
        assert_eq!(id.to_string(), "00010203fcfdfeff");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "0001020304050607a", "00010203FCFDFEFF", "+001020304050607", "0001020304050 07"] {
            assert!(text.parse::<TokenId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn hashes_are_the_same_in_all_their_bytes_or_not_at_all() {
        let hash = SecretHash([7; 32]);
        assert!(hash.is(&SecretHash([7; 32])));
        for place in 0..32 {
            let mut other = hash;
            other.0[place] ^= 0x80;
            assert!(!hash.is(&other), "byte {place}");
        }
        assert_eq!(format!("{hash:?}"), "SecretHash(..)");
    }
}
