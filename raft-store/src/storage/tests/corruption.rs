//! Damage to a closed directory is found when it is opened, or makes no difference.

use std::path::PathBuf;

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::harness::{Directory, history, log_id, put};
use crate::type_config::LogId;

/// How many places are damaged, one directory each.
const ROUNDS: u64 = 60;

fn files(folder: PathBuf) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(path));
        } else if path.metadata().unwrap().len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_flipped_bit_is_found_or_harmless() {
    let template = Directory::new();
    let mut opened = template.open().await;
    opened.commit(history(8)).await;
    opened.snapshot().await;
    opened.commit(vec![put(1, 9), put(1, 10)]).await;
    let checksum = opened.machine.view().state().checksum();
    drop(opened);
    // A second opening writes the log's entries to a table file, so that both kinds of file are there.
    drop(template.open().await);

    let mut refused = 0;
    for seed in 0..ROUNDS {
        let directory = template.copy();
        let mut random = SmallRng::seed_from_u64(seed);
        let files = files(directory.path().to_owned());
        let file = &files[random.next_u64() as usize % files.len()];
        let mut bytes = std::fs::read(file).unwrap();
        let at = random.next_u64() as usize % bytes.len();
        bytes[at] ^= 1 << (random.next_u64() % 8);
        std::fs::write(file, bytes).unwrap();
        let place = format!("seed {seed}: byte {at} of {}", file.display());

        match directory.try_open().await {
            Err(_) => refused += 1,
            Ok(mut opened) => {
                assert_eq!(opened.machine.applied(), Some(log_id(1, 10)), "{place}");
                assert_eq!(opened.machine.view().state().checksum(), checksum, "{place}");
                assert!(opened.log_ids().await.iter().map(LogId::index).eq(1..=10), "{place}");
            }
        }
    }
    assert!(refused > 5, "only {refused} of {ROUNDS} were found");
}
