//! The fuzzer's way to the decoders of this crate, which are private. Each function panics when something does not hold,
//! and says whether the bytes meant anything.

use std::{collections::BTreeSet, fmt::Debug, io, sync::Arc};

use bytes::Bytes;
use openraft::{
    EntryPayload, Membership,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, VoteRequest,
        VoteResponse,
    },
    vote::RaftLeaderId,
};
use serde::{Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    engine::Disk,
    network,
    rows::{self, Applied},
    snapshot::{Manifest, SnapshotFile, Snapshots},
    type_config::{EntryData, LogId, RaftEntry, SnapshotMeta, StoredMembership, TypeConfig, Vote},
};

/// Puts the checksum of a stored value before it.
pub fn sealed(body: &[u8]) -> Bytes {
    rows::seal(&(), body)
}

/// Reads bytes as each of the log's values: an entry, a vote, a log id.
pub fn log_values(value: &Bytes) -> bool {
    [
        stays(value, rows::decode_entry, rows::encode_entry),
        stays(value, rows::decode_vote, rows::encode_vote),
        stays(value, rows::decode_log_id, |log_id| rows::encode_log_id(*log_id)),
    ]
    .contains(&true)
}

/// Reads bytes as each of the values beside the model's rows: how far the state is, the membership.
pub fn state_values(value: &Bytes) -> bool {
    [
        stays(value, rows::decode_applied, rows::encode_applied),
        stays(value, rows::decode_membership, rows::encode_membership),
    ]
    .contains(&true)
}

/// Reads bytes as a snapshot's manifest.
pub fn manifest(value: &Bytes) -> bool {
    stays(value, Manifest::decode, Manifest::encode)
}

/// Reads bytes as each of openraft's messages.
pub fn raft_messages(bytes: &[u8]) -> bool {
    [
        is_message::<AppendEntriesRequest<TypeConfig>>(bytes),
        is_message::<AppendEntriesResponse<TypeConfig>>(bytes),
        is_message::<VoteRequest<TypeConfig>>(bytes),
        is_message::<VoteResponse<TypeConfig>>(bytes),
        is_message::<TransferLeaderRequest<TypeConfig>>(bytes),
        is_message::<SnapshotResponse<TypeConfig>>(bytes),
        is_message::<(Vote, SnapshotMeta)>(bytes),
    ]
    .contains(&true)
}

/// Messages of openraft's to start from, by name.
pub fn sample_messages() -> Vec<(&'static str, Bytes)> {
    let vote = VoteRequest::new(vote(), Some(log_id()));
    let append = AppendEntriesRequest::<TypeConfig> {
        vote: self::vote(),
        prev_log_id: Some(log_id()),
        entries: sample_entries(),
        leader_commit: Some(log_id()),
    };
    let meta = SnapshotMeta { last_log_id: Some(log_id()), last_membership: membership() };
    vec![
        ("append", network::encode(&append)),
        ("appended", network::encode(&AppendEntriesResponse::<TypeConfig>::Success)),
        (
            "appended-in-part",
            network::encode(&AppendEntriesResponse::<TypeConfig>::PartialSuccess(Some(log_id()))),
        ),
        ("vote", network::encode::<VoteRequest<TypeConfig>>(&vote)),
        ("voted", network::encode(&VoteResponse::<TypeConfig>::new(self::vote(), Some(log_id()), true))),
        (
            "transfer",
            network::encode(&TransferLeaderRequest::<TypeConfig>::new(self::vote(), 3, Some(log_id()))),
        ),
        ("snapshot-end", network::encode(&(self::vote(), meta))),
    ]
}

/// The log's and the state's own values to start from, by name.
pub fn sample_values() -> Vec<(&'static str, Bytes)> {
    let applied = Applied { log_id: log_id(), log_flushed_upto: Some(299), checksum: 1 << 100 };
    let entries = ["blank", "normal", "membership"].into_iter().zip(sample_entries());
    let entries = entries.map(|(name, entry)| (name, rows::encode_entry(&entry)));
    let others = [
        ("vote", rows::encode_vote(&vote())),
        ("log-id", rows::encode_log_id(log_id())),
        ("applied", rows::encode_applied(&applied)),
        ("members", rows::encode_membership(&membership())),
    ];
    entries.chain(others).collect()
}

/// The manifest of a snapshot of these files, given by name and content.
pub fn manifest_of(files: &[(String, Bytes)]) -> Bytes {
    let mut files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| SnapshotFile {
            name: name.clone(),
            len: bytes.len() as u64,
            hash: xxh3_128(bytes),
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Manifest { last_log_id: log_id(), membership: membership(), checksum: 7, files }.encode()
}

fn vote() -> Vote {
    Vote { leader_id: RaftLeaderId::new(300, 2), committed: true }
}

fn log_id() -> LogId {
    LogId::new(300.into(), 1_000)
}

fn membership() -> StoredMembership {
    let voters = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([1, 2, 4])];
    StoredMembership::new(Some(log_id()), Membership::new_with_defaults(voters, [5]))
}

fn sample_entries() -> Vec<RaftEntry> {
    let payloads = [
        EntryPayload::Blank,
        EntryPayload::Normal(EntryData("an entry of the model's".into())),
        EntryPayload::Membership(membership().membership().clone()),
    ];
    payloads.into_iter().map(|payload| RaftEntry { log_id: log_id(), payload }).collect()
}

/// A part of a snapshot's file, as it arrives.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Which file of the manifest.
    pub file: u32,
    /// Where in it.
    pub offset: u64,
    /// The part.
    pub bytes: Bytes,
}

/// Receives a snapshot onto a disk. One that arrives whole is dropped again as one that is not installed.
///
/// # Errors
/// The manifest, a chunk or the whole was refused.
pub async fn receive_snapshot(
    disk: Arc<dyn Disk>,
    manifest: &Bytes,
    chunks: impl IntoIterator<Item = Chunk>,
) -> io::Result<()> {
    let snapshots = Snapshots::open(disk)?;
    let mut receiver = snapshots.receive(manifest)?;
    for Chunk { file, offset, bytes } in chunks {
        receiver.chunk(file, offset, &bytes)?;
    }
    let snapshot = receiver.finish().await?;
    snapshot.check().expect("what was received is what the manifest says");
    for (file, len) in snapshot.files() {
        let all = usize::try_from(len).expect("it was received into memory");
        let read = snapshot.read(file, 0, all).expect("every file of the manifest is there");
        assert_eq!(read.len(), all, "as long as the manifest says");
    }
    Ok(())
}

/// Whether bytes are a value. One that is must be the same after it was written and read.
fn stays<T: PartialEq + Debug>(
    value: &Bytes,
    decode: impl Fn(&Bytes) -> io::Result<T>,
    encode: impl Fn(&T) -> Bytes,
) -> bool {
    let Ok(decoded) = decode(value) else { return false };
    let again = decode(&encode(&decoded)).expect("what was written can be read");
    assert_eq!(again, decoded, "what was written reads as it was");
    true
}

/// Whether bytes are a message of openraft's, not all of whose types can be compared.
fn is_message<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> bool {
    let Ok(decoded) = network::decode::<T>(bytes) else { return false };
    let encoded = network::encode(&decoded);
    let again = network::decode::<T>(&encoded).expect("what was sent can be read");
    assert_eq!(network::encode(&again), encoded, "what was sent reads as it was");
    true
}
