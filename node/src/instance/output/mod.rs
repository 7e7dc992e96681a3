//! What an instance writes: lines in files that are bounded in number, size and age.
//!
//! The files of one index of an LRP are shared by its instances on this cell, one after the other, so that the output of
//! one that crashed is still there beside that of its successor. One process writes them, others may read at any time.

mod lines;
mod reader;
mod record;
mod segments;
mod writer;

pub use self::{
    lines::{LINE_BYTES_MAX, Lines},
    reader::{Cursor, Page, Query, exists, find, read_from},
    record::Record,
    segments::{Bounds, remove_old},
    writer::Writer,
};

/// The most bytes of output that are held for whoever waits for a process.
pub const HELD_BYTES_MAX: usize = 64 * 1024;

/// A number of bytes as progress messages write it: `12B`, `1.5K`, `3M`.
pub fn byte_size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    if bytes == 0 {
        return "0".to_owned();
    }
    let Some((unit, shift)) = UNITS.into_iter().find(|(_, shift)| bytes >> shift > 0) else {
        return format!("{bytes}B");
    };
    // In tenths, rounded half up.
    let tenths = (u128::from(bytes) * 10 + (1 << (shift - 1))) >> shift;
    match tenths % 10 {
        0 => format!("{}{unit}", tenths / 10),
        tenth => format!("{}.{tenth}{unit}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_with_at_most_one_decimal() {
        let cases = [
            (0, "0"),
            (1, "1B"),
            (1_023, "1023B"),
            (1_024, "1K"),
            (1_536, "1.5K"),
            (1024 * 1024 - 1, "1024K"),
            (3 * 1024 * 1024, "3M"),
            (5 * 1024 * 1024 * 1024 + 1024 * 1024 * 512, "5.5G"),
            (1 << 40, "1T"),
        ];
        for (bytes, text) in cases {
            assert_eq!(byte_size(bytes), text);
        }
    }
}
