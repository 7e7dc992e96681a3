//! Snapshots from other nodes: the manifest, and the parts of files as they arrive.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use capstan_raft_store::fuzzing::{self, Chunk};
use serde::{Deserialize, Serialize};

use crate::{Seed, Target, Verdict, memory_disk::MemoryDisk, runtime};

pub(crate) const TARGET: Target = Target { name: "snapshot", run, seeds };

/// A snapshot on its way.
#[derive(Serialize, Deserialize)]
struct Stream {
    /// What the manifest promises, by name.
    files: Vec<(String, Bytes)>,
    /// What arrives instead of all files in order: file, offset, bytes.
    parts: Option<Vec<(u32, u64, Bytes)>>,
}

/// The first byte says what the rest is: a manifest as it is or under a checksum, or a [`Stream`].
fn run(input: &[u8]) -> Verdict {
    let Some((mode, rest)) = input.split_first() else { return Verdict::Refused };
    Verdict::of(match mode & 3 {
        0 => manifest(&Bytes::copy_from_slice(rest)),
        1 => manifest(&fuzzing::sealed(rest)),
        _ => match postcard::from_bytes(rest) {
            Ok(stream) => receive(&stream),
            Err(_) => return Verdict::Refused,
        },
    })
}

fn manifest(bytes: &Bytes) -> bool {
    let understood = fuzzing::manifest(bytes);
    let disk = MemoryDisk::default();
    let received = runtime::block_on(fuzzing::receive_snapshot(Arc::new(disk.clone()), bytes, []));
    assert!(understood || received.is_err(), "nothing is received under a manifest that is none");
    assert_eq!(disk.files(), [""; 0], "what is not installed leaves nothing behind");
    understood
}

/// Receives a stream. One that brings the files as promised arrives, if they have plain names of their own.
fn receive(stream: &Stream) -> bool {
    let mut files = stream.files.clone();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let manifest = fuzzing::manifest_of(&files);
    let honest = (0..).zip(&files).map(|(file, (_, bytes))| Chunk { file, offset: 0, bytes: bytes.clone() });
    let chunks: Vec<_> = match &stream.parts {
        None => honest.collect(),
        Some(parts) => {
            let part = |(file, offset, bytes): &(_, _, Bytes)| Chunk {
                file: *file,
                offset: *offset,
                bytes: bytes.clone(),
            };
            parts.iter().map(part).collect()
        }
    };
    let disk = MemoryDisk::default();
    let received = runtime::block_on(fuzzing::receive_snapshot(Arc::new(disk.clone()), &manifest, chunks));
    let names: BTreeSet<_> = files.iter().map(|(name, _)| name).collect();
    let is_plain =
        |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']) && name.len() <= 255;
    if stream.parts.is_none() && names.len() == files.len() && names.iter().all(|name| is_plain(name)) {
        received.as_ref().expect("all that was promised has arrived");
    }
    assert_eq!(disk.files(), [""; 0], "what is not installed leaves nothing behind");
    received.is_ok()
}

fn seeds() -> Vec<Seed> {
    let files: Vec<(String, Bytes)> = vec![
        ("000012.sst".to_owned(), "rows of the state".into()),
        ("CURRENT".to_owned(), "MANIFEST-000005\n".into()),
        ("empty".to_owned(), Bytes::new()),
    ];
    let manifest = fuzzing::manifest_of(&files);
    let stream = |name, parts| {
        let stream = Stream { files: files.clone(), parts };
        let encoded = postcard::to_stdvec(&stream).expect("streams are serialisable");
        Seed::new(name, [&[2][..], &encoded].concat())
    };
    let parts = vec![
        (0, 0, "rows of ".into()),
        (0, 0, "rows".into()),
        (1, 0, "MANIFEST-000005\n".into()),
        (0, 8, "the state".into()),
    ];
    vec![
        Seed::new("manifest", [&[0][..], &manifest].concat()),
        Seed::new("manifest-body", [&[1][..], &manifest[4..]].concat()),
        stream("whole", None),
        stream("in-parts", Some(parts)),
    ]
}
