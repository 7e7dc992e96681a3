//! Entries of the log: the store's value, the model's entry in it, and the sealed commands in that.

use bytes::Bytes;
use capstan_model::{
    command::{Entry, Opened, Sealed, Settled},
    time::Timestamp,
};
use capstan_raft_store::fuzzing;

use super::world::{World, author, call, commands};
use crate::{Seed, Target, Verdict};

pub(crate) const TARGET: Target = Target { name: "log_entry", run, seeds };

/// The first byte says what the rest is.
fn run(input: &[u8]) -> Verdict {
    let Some((mode, rest)) = input.split_first() else { return Verdict::Refused };
    Verdict::of(match mode & 3 {
        0 => fuzzing::log_values(&Bytes::copy_from_slice(rest)),
        1 => fuzzing::log_values(&fuzzing::sealed(rest)),
        _ => entry(rest),
    })
}

/// Reads an entry of the model's; what it holds is applied, whatever it is.
fn entry(bytes: &[u8]) -> bool {
    let Ok(entry) = postcard::from_bytes::<Entry>(bytes) else { return false };
    let written = postcard::to_stdvec(&entry).expect("entries are serialisable");
    assert_eq!(postcard::from_bytes(&written).as_ref(), Ok(&entry), "what was written reads as it was");
    let Entry::V1 { commands, .. } = &entry;
    for sealed in commands {
        if let Ok(opened) = sealed.open()
            && let Ok(again) = Sealed::seal(sealed.id, opened.clone())
        {
            assert_eq!(again.open(), Ok(opened), "a command stays what it is");
        }
    }
    let mut world = World::small();
    world.apply(&entry);
    world.check();
    true
}

fn seeds() -> Vec<Seed> {
    let mut world = World::small();
    let mut sealed =
        |idempotency, command| Sealed::new(world.next_id(1), idempotency, command).expect("a small command");
    let singly: Vec<_> = commands().into_iter().map(|(_, command)| sealed(None, command)).collect();
    let (_, put) = commands().swap_remove(3);
    let called = sealed(Some(call()), put.clone());
    let opened = Opened { author: Some(author()), idempotency: Some(call()), command: put };
    let authored = Sealed::seal(called.id, opened).expect("a small command");
    let undecodable = Sealed { bytes: "no command".into(), ..called.clone() };
    let incarnation = called.id.incarnation;
    let entry = |commands| {
        let settled = vec![Settled { incarnation, below: 4 }];
        let entry = Entry::V1 { time: Timestamp(1_700_000_000_000_000_001), settled, commands };
        [&[2][..], &postcard::to_stdvec(&entry).expect("entries are serialisable")].concat()
    };
    let model = [
        Seed::new("one-each", entry(singly)),
        Seed::new("called", entry(vec![called])),
        Seed::new("authored", entry(vec![authored])),
        Seed::new("undecodable", entry(vec![undecodable])),
    ];
    let stored =
        fuzzing::sample_values().into_iter().filter(|(name, _)| !matches!(*name, "applied" | "members"));
    model
        .into_iter()
        .chain(stored.map(|(name, value)| Seed::new(name, [&[0][..], &value].concat())))
        .collect()
}
