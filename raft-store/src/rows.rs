//! What the store itself writes down: keys, values and their versions. The model's rows are `capstan_model::rows`.
//!
//! The log engine holds `e` + index (big-endian) for each entry, and `vote`, `purged` and `committed`. The state engine holds the model's
//! rows and, in the table that the model leaves to the store, `applied` and `membership`. openraft's types are translated into our own
//! here, so that what is stored does not change with the library. Every value starts with the CRC-32C of the rest.

use std::{collections::BTreeSet, io};

use bytes::{BufMut, Bytes, BytesMut};
use capstan_model::rows::Table;
use openraft::{EntryPayload, Membership, vote::RaftLeaderId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::type_config::{EntryData, LogId, RaftEntry, StoredMembership, Vote};

/// The key of the vote in the log engine.
pub(crate) const VOTE_KEY: &[u8] = b"vote";
/// The key of the last purged log id in the log engine.
pub(crate) const PURGED_KEY: &[u8] = b"purged";
/// The key of the last known committed log id in the log engine.
pub(crate) const COMMITTED_KEY: &[u8] = b"committed";
/// The key of [`Applied`] in the state engine.
pub(crate) const APPLIED_KEY: &[u8] = &[Table::Store as u8, b'a'];
/// The key of the applied membership in the state engine.
pub(crate) const MEMBERSHIP_KEY: &[u8] = &[Table::Store as u8, b'm'];

const CRC_BYTES: usize = 4;

/// The key of the log entry at `index`.
pub(crate) fn entry_key(index: u64) -> Bytes {
    let mut key = BytesMut::with_capacity(9);
    key.put_u8(b'e');
    key.put_u64(index);
    key.freeze()
}

/// The key behind that of every log entry.
pub(crate) fn entries_end() -> Bytes {
    Bytes::from_static(b"f")
}

/// A log id as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredLogId {
    term: u64,
    index: u64,
}

/// A membership as it is stored: the voters, one set or the two of a change under way, and all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Members {
    voters: Vec<BTreeSet<u64>>,
    nodes: BTreeSet<u64>,
}

/// A membership and the entry that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MembersAt {
    log_id: Option<StoredLogId>,
    members: Members,
}

/// What stands before a log entry's payload.
#[derive(Serialize, Deserialize)]
enum EntryHeader {
    V1 { id: StoredLogId, kind: EntryKind },
}

#[derive(Serialize, Deserialize)]
enum EntryKind {
    Blank,
    /// The payload follows to the end of the value.
    Normal,
    Membership(Members),
}

#[derive(Serialize, Deserialize)]
enum VoteRow {
    V1 { term: u64, node: u64, committed: bool },
}

#[derive(Serialize, Deserialize)]
enum LogIdRow {
    V1(StoredLogId),
}

#[derive(Serialize, Deserialize)]
enum MembershipRow {
    V1(MembersAt),
}

#[derive(Serialize, Deserialize)]
enum AppliedRow {
    V1 { applied: StoredLogId, log_flushed_upto: Option<u64>, checksum: u128 },
}

/// How far the state is, written with every batch of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applied {
    /// The last entry in the rows.
    pub(crate) log_id: LogId,
    /// The smaller of that index and the highest one whose flush this node's log had reported: a log that ends below it, and was not
    /// purged past it, has lost entries.
    pub(crate) log_flushed_upto: Option<u64>,
    /// The checksum of the live rows.
    pub(crate) checksum: u128,
}

/// Encodes a log entry; the payload is copied, not encoded again.
pub(crate) fn encode_entry(entry: &RaftEntry) -> Bytes {
    let (kind, payload) = match &entry.payload {
        EntryPayload::Blank => (EntryKind::Blank, None),
        EntryPayload::Normal(data) => (EntryKind::Normal, Some(&data.0)),
        EntryPayload::Membership(membership) => (EntryKind::Membership(membership.into()), None),
    };
    let header = EntryHeader::V1 { id: entry.log_id.into(), kind };
    seal(&header, payload.map_or(&[], |bytes| bytes))
}

/// Decodes a log entry; its payload shares `value`'s memory.
///
/// # Errors
/// The bytes are damaged or of an unknown version.
pub(crate) fn decode_entry(value: &Bytes) -> io::Result<RaftEntry> {
    let body = unseal(value)?;
    let (EntryHeader::V1 { id, kind }, rest) = postcard::take_from_bytes(&body).map_err(undecodable)?;
    let payload = match kind {
        EntryKind::Blank => EntryPayload::Blank,
        EntryKind::Normal => EntryPayload::Normal(EntryData(body.slice_ref(rest))),
        EntryKind::Membership(members) => EntryPayload::Membership(members.into()),
    };
    Ok(RaftEntry { log_id: id.into(), payload })
}

pub(crate) fn encode_vote(vote: &Vote) -> Bytes {
    seal(
        &VoteRow::V1 { term: vote.leader_id.term, node: vote.leader_id.voted_for, committed: vote.committed },
        &[],
    )
}

pub(crate) fn decode_vote(value: &Bytes) -> io::Result<Vote> {
    let VoteRow::V1 { term, node, committed } = decode(value)?;
    Ok(Vote { leader_id: RaftLeaderId::new(term, node), committed })
}

pub(crate) fn encode_log_id(log_id: LogId) -> Bytes {
    seal(&LogIdRow::V1(log_id.into()), &[])
}

pub(crate) fn decode_log_id(value: &Bytes) -> io::Result<LogId> {
    decode(value).map(|LogIdRow::V1(stored)| stored.into())
}

pub(crate) fn encode_membership(membership: &StoredMembership) -> Bytes {
    seal(&MembershipRow::V1(membership.into()), &[])
}

pub(crate) fn decode_membership(value: &Bytes) -> io::Result<StoredMembership> {
    decode(value).map(|MembershipRow::V1(stored)| stored.into())
}

pub(crate) fn encode_applied(row: &Applied) -> Bytes {
    let &Applied { log_id, log_flushed_upto, checksum } = row;
    seal(&AppliedRow::V1 { applied: log_id.into(), log_flushed_upto, checksum }, &[])
}

pub(crate) fn decode_applied(value: &Bytes) -> io::Result<Applied> {
    let AppliedRow::V1 { applied, log_flushed_upto, checksum } = decode(value)?;
    Ok(Applied { log_id: applied.into(), log_flushed_upto, checksum })
}

/// Encodes a value with its CRC in front and `tail`, as it is, behind.
pub(crate) fn seal<T: Serialize>(value: &T, tail: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(CRC_BYTES + 64 + tail.len());
    bytes.extend_from_slice(&[0; CRC_BYTES]);
    let mut bytes = postcard::to_extend(value, bytes).expect("stored types are serialisable");
    bytes.extend_from_slice(tail);
    let crc = crc32c::crc32c(&bytes[CRC_BYTES..]);
    bytes[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    bytes.into()
}

/// Decodes a value that [`seal`] encoded without a tail.
///
/// # Errors
/// The bytes are damaged or of an unknown version.
pub(crate) fn decode<T: DeserializeOwned>(value: &Bytes) -> io::Result<T> {
    postcard::from_bytes(&unseal(value)?).map_err(undecodable)
}

fn unseal(value: &Bytes) -> io::Result<Bytes> {
    let Some((crc, body)) = value.split_first_chunk::<CRC_BYTES>() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a stored value of {} bytes", value.len()),
        ));
    };
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        capstan_model::sometimes!("damaged value detected");
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum of a stored value is wrong"));
    }
    Ok(value.slice_ref(body))
}

fn undecodable(error: postcard::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("undecodable stored value: {error}"))
}

impl From<LogId> for StoredLogId {
    fn from(log_id: LogId) -> Self {
        Self { term: **log_id.committed_leader_id(), index: log_id.index() }
    }
}

impl From<StoredLogId> for LogId {
    fn from(stored: StoredLogId) -> Self {
        Self::new(stored.term.into(), stored.index)
    }
}

impl From<&Membership<u64, openraft::EmptyNode>> for Members {
    fn from(membership: &Membership<u64, openraft::EmptyNode>) -> Self {
        Self {
            voters: membership.get_joint_config().clone(),
            nodes: membership.nodes().map(|(node, _)| *node).collect(),
        }
    }
}

impl From<Members> for Membership<u64, openraft::EmptyNode> {
    fn from(members: Members) -> Self {
        Self::new_with_defaults(members.voters, members.nodes)
    }
}

impl From<&StoredMembership> for MembersAt {
    fn from(membership: &StoredMembership) -> Self {
        Self { log_id: membership.log_id().map(Into::into), members: membership.membership().into() }
    }
}

impl From<MembersAt> for StoredMembership {
    fn from(stored: MembersAt) -> Self {
        Self::new(stored.log_id.map(Into::into), stored.members.into())
    }
}
