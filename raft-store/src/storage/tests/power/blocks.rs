//! What a block device holds, and every write and flush that it was asked for, in order.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use rand::{RngExt, rngs::SmallRng};

/// The unit in which a device writes: it survives a power cut whole or not at all. The page size too, so no file system asks for less.
const BLOCK_BYTES: usize = 4096;

type Block = Arc<[u8; BLOCK_BYTES]>;

/// The content of a device; blocks that were never written are zeros. Clones are cheap.
#[derive(Clone, Default)]
pub(super) struct Blocks(BTreeMap<u64, Block>);

impl Blocks {
    fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        for part in parts(offset, len) {
            if let Some(block) = self.0.get(&part.block) {
                bytes[part.of_bytes.clone()].copy_from_slice(&block[part.of_block.clone()]);
            }
        }
        bytes
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        for part in parts(offset, bytes.len()) {
            let block = self.0.entry(part.block).or_insert_with(|| Arc::new([0; BLOCK_BYTES]));
            Arc::make_mut(block)[part.of_block].copy_from_slice(&bytes[part.of_bytes]);
        }
    }
}

/// The part of a transfer that falls into one block.
struct Part {
    block: u64,
    of_block: std::ops::Range<usize>,
    of_bytes: std::ops::Range<usize>,
}

fn parts(offset: u64, len: usize) -> impl Iterator<Item = Part> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let start = (at % BLOCK_BYTES as u64) as usize;
        let count = (BLOCK_BYTES - start).min(len - done);
        let of_bytes = done..done + count;
        done += count;
        Some(Part { block: at / BLOCK_BYTES as u64, of_block: start..start + count, of_bytes })
    })
}

/// Something a device was asked for and has answered.
enum Request {
    Write { offset: u64, bytes: Vec<u8> },
    Flush,
}

/// How much a device keeps to itself until it is flushed.
#[derive(Debug)]
pub(super) enum Cache {
    /// Nothing: each write that was answered is there.
    None,
    /// Everything: of the blocks written since the last flush a random choice is there, in no order.
    Volatile(SmallRng),
}

/// A device that remembers what it was asked for.
pub(super) struct Recorder {
    before: Blocks,
    state: Mutex<State>,
}

struct State {
    now: Blocks,
    requests: Vec<Request>,
}

impl Recorder {
    pub(super) fn new(before: Blocks) -> Arc<Self> {
        let state = State { now: before.clone(), requests: Vec::new() };
        Arc::new(Self { before, state: Mutex::new(state) })
    }

    pub(super) fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        self.lock().now.read(offset, len)
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) {
        let mut state = self.lock();
        state.now.write(offset, bytes);
        state.requests.push(Request::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn flush(&self) {
        self.lock().requests.push(Request::Flush);
    }

    /// What it holds now.
    pub(super) fn blocks(&self) -> Blocks {
        self.lock().now.clone()
    }

    /// How many requests it has answered.
    pub(super) fn answered(&self) -> usize {
        self.lock().requests.len()
    }

    /// What it holds after a power cut when it had answered `answered` requests.
    pub(super) fn after_power_cut(&self, answered: usize, cache: &mut Cache) -> Blocks {
        let state = self.lock();
        let requests = &state.requests[..answered];
        let flushed = requests.iter().rposition(|request| matches!(request, Request::Flush)).unwrap_or(0);
        let mut blocks = self.before.clone();
        for (number, request) in requests.iter().enumerate() {
            let Request::Write { offset, bytes } = request else { continue };
            match cache {
                Cache::Volatile(random) if number > flushed => {
                    for part in parts(*offset, bytes.len()).filter(|_| random.random_bool(0.5)) {
                        let at = part.block * BLOCK_BYTES as u64 + part.of_block.start as u64;
                        blocks.write(at, &bytes[part.of_bytes]);
                    }
                }
                Cache::Volatile(_) | Cache::None => blocks.write(*offset, bytes),
            }
        }
        blocks
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while holding it")
    }
}
