//! Adds lines to an output.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    record::Record,
    segments::{self, Bounds},
};

/// The one writer of one output. Lines are handed to the operating system at once and never synced: what a machine that
/// loses its power had just written is not worth a disk's time.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    bounds: Bounds,
    current: Segment,
}

/// The file being written.
#[derive(Debug)]
struct Segment {
    number: u64,
    file: File,
    bytes: u64,
    begun: SystemTime,
}

impl Writer {
    /// Goes on behind the lines there are. What a crash left of a line is ended, so that it spoils no other.
    ///
    /// # Errors
    /// The folder cannot be made, or its files not be written.
    pub fn open(folder: &Path, bounds: Bounds) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let number = segments::list(folder)?.last().copied().unwrap_or(1);
        let current = Segment::open(folder, number)?;
        Ok(Self { folder: folder.to_owned(), bounds, current })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// It cannot be written; part of it may have been.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        self.turn_over(SystemTime::now())?;
        let mut line = Vec::new();
        record.encode(&mut line);
        self.current.file.write_all(&line)?;
        self.current.bytes += line.len() as u64;
        Ok(())
    }

    /// Begins another file when this one is full or old, and removes those that are too many or too old.
    fn turn_over(&mut self, now: SystemTime) -> io::Result<()> {
        let age = now.duration_since(self.current.begun).unwrap_or_default();
        let is_full = self.current.bytes >= self.bounds.segment_bytes;
        if is_full || (self.current.bytes > 0 && age > self.bounds.age_max / 4) {
            self.current = Segment::open(&self.folder, self.current.number + 1)?;
            segments::trim(&self.folder, &self.bounds, now)?;
        }
        Ok(())
    }
}

impl Segment {
    fn open(folder: &Path, number: u64) -> io::Result<Self> {
        let path = segments::path(folder, number);
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        let metadata = file.metadata()?;
        let bytes = metadata.len();
        if bytes > 0 && !fs::read(&path)?.ends_with(b"\n") {
            file.write_all(b"\n")?;
        }
        // Not every file system knows when a file was made; it is then as old as its last line.
        let begun = metadata.created().or_else(|_| metadata.modified())?;
        Ok(Self { number, file, bytes, begun })
    }
}
