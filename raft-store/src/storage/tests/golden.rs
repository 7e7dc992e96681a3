//! The bytes of everything that is stored. A shipped version is never edited: when one of these changes, data in the field is lost.

use capstan_model::ids::{ClusterId, DiskId};
use openraft::Membership;

use super::harness::{NODE, blank, bulk, log_id, membership, rocks};
use crate::{
    identity::{Identity, IdentityFile, read},
    rows::{self, Applied},
    snapshot::{Manifest, SnapshotFile},
    type_config::{StoredMembership, Vote},
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn members() -> StoredMembership {
    let joint = vec![[1, 2, 3].into(), [2, 3, 4].into()];
    StoredMembership::new(Some(log_id(3, 300)), Membership::new_with_defaults(joint, [5]))
}

#[test]
fn log_entries() {
    let cases =
        [(blank(2, 7), "blank"), (bulk(2, 300, 3), "normal"), (membership(5, 8, &[1, 2, 3]), "membership")];
    let encoded: Vec<String> = cases
        .iter()
        .map(|(entry, name)| {
            let bytes = rows::encode_entry(entry);
            assert_eq!(rows::decode_entry(&bytes).unwrap(), *entry, "{name}");
            format!("{name} {}", hex(&bytes))
        })
        .collect();
    assert_eq!(
        encoded,
        [
            "blank 8fd0657d00020700",
            "normal 6ab7fb3a0002ac02015a5a5a",
            "membership e070235000050802010301020303010203"
        ]
    );
    assert_eq!(hex(&rows::entry_key(300)), "65000000000000012c");
}

#[test]
fn vote_and_log_ids() {
    let vote = Vote { leader_id: openraft::vote::RaftLeaderId::new(300, 2), committed: true };
    let bytes = rows::encode_vote(&vote);
    assert_eq!(hex(&bytes), "7418d0d700ac020201");
    assert_eq!(rows::decode_vote(&bytes).unwrap(), vote);
    let bytes = rows::encode_log_id(log_id(2, 300));
    assert_eq!(hex(&bytes), "a2d2e5b10002ac02");
    assert_eq!(rows::decode_log_id(&bytes).unwrap(), log_id(2, 300));
    assert_eq!(
        [rows::VOTE_KEY, rows::PURGED_KEY, rows::COMMITTED_KEY],
        [&b"vote"[..], b"purged", b"committed"]
    );
}

#[test]
fn state_rows() {
    let applied =
        Applied { log_id: log_id(2, 300), log_flushed_upto: Some(299), checksum: 0x0123_4567_89ab_cdef };
    let bytes = rows::encode_applied(&applied);
    assert_eq!(hex(&bytes), "b9371e010002ac0201ab02ef9bafcdf8acd19101");
    assert_eq!(rows::decode_applied(&bytes).unwrap(), applied);
    let bytes = rows::encode_membership(&members());
    assert_eq!(hex(&bytes), "f2e46482000103ac02020301020303020304050102030405");
    assert_eq!(rows::decode_membership(&bytes).unwrap(), members());
    assert_eq!([hex(rows::APPLIED_KEY), hex(rows::MEMBERSHIP_KEY)], ["0061", "006d"]);
}

#[test]
fn manifest() {
    let manifest = Manifest {
        last_log_id: log_id(2, 300),
        membership: members(),
        checksum: 0xfeed,
        files: vec![SnapshotFile { name: "CURRENT".into(), len: 16, hash: 0xbeef }],
    };
    let bytes = manifest.encode();
    assert_eq!(
        hex(&bytes),
        "6a1e4c640002ac020103ac02020301020303020304050102030405edfd03010743555252454e5410effd02"
    );
    assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
}

#[test]
fn identity() {
    let folder = tempfile::TempDir::new().unwrap();
    let disk = rocks(folder.path());
    let new = Identity { cluster: None, node: NODE, disk: DiskId(0xd15c), boot: 299 };
    let file = IdentityFile::new(disk.clone(), new);
    file.raise_boot().unwrap();
    file.set_cluster(ClusterId(0xc1)).unwrap();
    let bytes = std::fs::read(folder.path().join("identity")).unwrap();
    assert_eq!(hex(&bytes), "addf3f620001c10101dca203ac02");
    assert_eq!(read(&*disk).unwrap(), Some(Identity { cluster: Some(ClusterId(0xc1)), boot: 300, ..new }));
}

#[test]
fn pointer() {
    let pointer = crate::generation::encode_pointer(300);
    assert_eq!(hex(&pointer), "126889d600ac02");
}

#[test]
fn damaged_values_are_refused() {
    let whole = rows::encode_entry(&bulk(2, 300, 40));
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(rows::decode_entry(&damaged.into()).is_err(), "bit {bit}");
    }
    for len in 0..whole.len() {
        assert!(rows::decode_entry(&whole.slice(..len)).is_err(), "cut to {len}");
    }
}
