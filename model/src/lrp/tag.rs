//! Modification tags, by which readers drop what is stale.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3;

use super::{actual::Presence, guid::Guid};

/// Says of two forms of one record which is newer: another epoch is another record, a higher index a later form of the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModificationTag {
    /// Drawn when the record is created; shown as a UUID.
    pub epoch: u128,
    /// Counts the changes since, from 0.
    pub index: u64,
}

/// What an epoch is drawn for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// A desired LRP.
    Desired,
    /// A record of one of its indices.
    Record { index: u32, presence: Presence },
}

impl ModificationTag {
    /// The tag of the next change.
    #[must_use]
    pub fn next(self) -> Self {
        Self { index: self.index + 1, ..self }
    }

    /// The tag of a new record. `draw` is the one random number of the command that creates it, and as many records as it takes
    /// get epochs of their own from it.
    pub(super) fn drawn(draw: u128, guid: &Guid, purpose: Purpose) -> Self {
        let (kind, index) = match purpose {
            Purpose::Desired => (0, 0),
            Purpose::Record { index, presence: Presence::Ordinary } => (1, index),
            Purpose::Record { index, presence: Presence::Evacuating } => (2, index),
        };
        let mut bytes = Vec::with_capacity(32 + guid.as_str().len());
        bytes.extend_from_slice(&draw.to_be_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(&index.to_be_bytes());
        bytes.extend_from_slice(guid.as_str().as_bytes());
        Self { epoch: as_uuid_v4(xxh3::xxh3_128(&bytes)), index: 0 }
    }
}

/// Sets the bits by which a random UUID is known (RFC 9562, 5.4).
pub fn as_uuid_v4(random: u128) -> u128 {
    random & !(0xf << 76) & !(0b11 << 62) | 0x4 << 76 | 0b10 << 62
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_draw_makes_different_random_uuids() {
        let guid = |text: &str| text.parse::<Guid>().unwrap();
        let record = |index, presence| Purpose::Record { index, presence };
        let drawn = [
            ModificationTag::drawn(1, &guid("a"), Purpose::Desired),
            ModificationTag::drawn(2, &guid("a"), Purpose::Desired),
            ModificationTag::drawn(1, &guid("b"), Purpose::Desired),
            ModificationTag::drawn(1, &guid("a"), record(0, Presence::Ordinary)),
            ModificationTag::drawn(1, &guid("a"), record(1, Presence::Ordinary)),
            ModificationTag::drawn(1, &guid("a"), record(1, Presence::Evacuating)),
        ];
        let epochs: std::collections::BTreeSet<u128> = drawn.iter().map(|tag| tag.epoch).collect();
        assert_eq!(epochs.len(), drawn.len());
        for epoch in epochs {
            let text = format!("{epoch:032x}");
            assert_eq!(&text[12..13], "4", "{text}");
            assert!("89ab".contains(&text[16..17]), "{text}");
        }
    }
}
