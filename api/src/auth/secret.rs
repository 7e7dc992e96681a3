//! Secrets of tokens: drawn here, told once, and kept as their hash alone.

use capstan_model::auth::token::{SecretHash, TokenId};
use capstan_raft_store::ports::Entropy;
use sha2::{Digest, Sha256};

/// A token as it is told once.
pub struct DrawnToken {
    /// Names it.
    pub id: TokenId,
    /// 256 random bits as 64 hexadecimal digits.
    pub secret: String,
}

impl DrawnToken {
    /// Draws one.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        let secret = format!("{:032x}{:032x}", entropy.u128(), entropy.u128());
        Self { id: TokenId(entropy.u64().to_be_bytes()), secret }
    }

    /// What the cluster keeps of its secret.
    pub fn hash(&self) -> SecretHash {
        hash(&self.secret)
    }

    /// As a call brings it: `ID.SECRET`.
    pub fn text(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }
}

/// What is kept of a secret.
pub(crate) fn hash(secret: &str) -> SecretHash {
    SecretHash(Sha256::digest(secret).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hashed_with_sha_256() {
        // The second example of FIPS 180-2, appendix B.
        let SecretHash(hash) = hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    }
}
