//! Reads an output, also while it is written.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom},
    path::Path,
};

use capstan_model::time::Timestamp;

use super::{record::Record, segments};
use crate::instance::driver::Stream;

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Query {
    /// Written then or later.
    pub since: Option<Timestamp>,
    /// To this stream.
    pub stream: Option<Stream>,
    /// Of those the last so many.
    pub tail: Option<u64>,
}

/// A place between two lines of an output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The number of the file.
    pub segment: u64,
    /// In bytes, from its beginning.
    pub offset: u64,
}

/// Some lines of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The lines, the oldest first.
    pub records: Vec<Record>,
    /// Where the next one will be.
    pub next: Cursor,
    /// Whether these were all that there were.
    pub is_last: bool,
}

/// Whether there are files, if without a line.
///
/// # Errors
/// The folder cannot be read.
pub fn exists(folder: &Path) -> io::Result<bool> {
    Ok(!segments::list(folder)?.is_empty())
}

/// Finds the first line that is wanted, or the end. Newest files are read first, and no more than needed.
///
/// # Errors
/// The files cannot be read. A folder that is missing holds no lines.
pub fn find(folder: &Path, query: &Query) -> io::Result<Cursor> {
    let numbers = segments::list(folder)?;
    if let (Some(first), None, None) = (numbers.first(), query.since, query.tail) {
        return Ok(Cursor { segment: *first, offset: 0 });
    }
    let mut left = query.tail.unwrap_or(u64::MAX);
    let mut found = None;
    for number in numbers.iter().rev() {
        let Some(lines) = Lines::open(folder, Cursor { segment: *number, offset: 0 })? else { continue };
        let lines: Vec<Line> = lines.collect::<io::Result<_>>()?;
        let end = lines.last().map_or(0, |line| line.end);
        found.get_or_insert(Cursor { segment: *number, offset: end });
        for (at, line) in lines.iter().enumerate().rev() {
            let start = at.checked_sub(1).map_or(0, |before| lines[before].end);
            let Some(record) = &line.record else { continue };
            if left == 0 || query.since.is_some_and(|since| record.at < since) {
                return Ok(found.unwrap_or_default());
            }
            if query.stream.is_none_or(|stream| stream == record.stream) {
                left -= 1;
                found = Some(Cursor { segment: *number, offset: start });
            }
        }
    }
    Ok(found.unwrap_or_default())
}

/// Reads what was written behind `from`, about `bytes_max` of it at most but at least a line; nothing when there is nothing new.
/// Lines in files that were removed meanwhile are passed over.
///
/// # Errors
/// The files cannot be read.
pub fn read_from(folder: &Path, from: Cursor, bytes_max: u64) -> io::Result<Page> {
    let mut page = Page { records: Vec::new(), next: from, is_last: true };
    let mut bytes = 0;
    for number in segments::list(folder)?.into_iter().filter(|number| *number >= from.segment) {
        let start = if number == from.segment { from } else { Cursor { segment: number, offset: 0 } };
        let Some(lines) = Lines::open(folder, start)? else { continue };
        page.next = start;
        for line in lines {
            if bytes >= bytes_max {
                return Ok(Page { is_last: false, ..page });
            }
            let Line { record, end } = line?;
            bytes += end - page.next.offset;
            page.next.offset = end;
            page.records.extend(record);
        }
    }
    Ok(page)
}

/// The complete lines of one file, one after the other.
struct Lines {
    file: BufReader<File>,
    at: u64,
}

struct Line {
    /// `None` of a damaged one.
    record: Option<Record>,
    /// Where the next line begins.
    end: u64,
}

impl Lines {
    /// The lines behind a place, `None` when the file is gone.
    fn open(folder: &Path, from: Cursor) -> io::Result<Option<Self>> {
        let mut file = match File::open(segments::path(folder, from.segment)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(from.offset))?;
        Ok(Some(Self { file: BufReader::new(file), at: from.offset }))
    }
}

impl Iterator for Lines {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<io::Result<Line>> {
        let mut bytes = Vec::new();
        if let Err(error) = self.file.read_until(b'\n', &mut bytes) {
            return Some(Err(error));
        }
        // What follows the last line end is a line half written.
        let complete = bytes.strip_suffix(b"\n")?;
        self.at += bytes.len() as u64;
        Some(Ok(Line { record: Record::decode(&String::from_utf8_lossy(complete)), end: self.at }))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, time::Duration};

    use super::*;
    use crate::instance::{
        driver::Stream,
        output::{Bounds, Writer},
    };

    fn record(number: u64) -> Record {
        Record {
            at: Timestamp(number),
            stream: Stream::Stdout,
            source: "APP".into(),
            text: format!("line {number}"),
        }
    }

    fn numbers(records: &[Record]) -> Vec<u64> {
        records.iter().map(|record| record.at.0).collect()
    }

    fn all(folder: &Path) -> Page {
        read_from(folder, Cursor::default(), u64::MAX).unwrap()
    }

    /// Files of five lines each.
    fn bounds(segments_max: usize) -> Bounds {
        let mut line = Vec::new();
        record(10).encode(&mut line);
        Bounds { segment_bytes: 5 * line.len() as u64, segments_max, ..Bounds::default() }
    }

    #[test]
    fn what_was_written_is_read_back_by_time_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder.path(), bounds(100)).unwrap();
        (10..40).for_each(|number| writer.append(&record(number)).unwrap());
        let read = |since: Option<u64>, tail| {
            let query = Query { since: since.map(Timestamp), tail, stream: None };
            let from = find(folder.path(), &query).unwrap();
            numbers(&read_from(folder.path(), from, u64::MAX).unwrap().records)
        };
        assert_eq!(read(None, None), (10..40).collect::<Vec<_>>());
        assert_eq!(read(Some(27), None), (27..40).collect::<Vec<_>>());
        assert_eq!(read(None, Some(7)), (33..40).collect::<Vec<_>>());
        assert_eq!(read(Some(38), Some(7)), [38, 39]);
        assert_eq!(read(Some(40), None), Vec::<u64>::new());
        assert_eq!(read(None, Some(0)), Vec::<u64>::new());
        assert_eq!(read(Some(41), Some(3)), Vec::<u64>::new());
        assert_eq!(read(Some(1), Some(100)), (10..40).collect::<Vec<_>>());
    }

    #[test]
    fn the_last_lines_of_a_stream_are_counted_without_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder.path(), bounds(100)).unwrap();
        for number in 10..40 {
            let stream = if number % 10 == 0 { Stream::Stderr } else { Stream::Stdout };
            writer.append(&Record { stream, ..record(number) }).unwrap();
        }
        let first = |tail| {
            let query = Query { since: None, stream: Some(Stream::Stderr), tail: Some(tail) };
            let from = find(folder.path(), &query).unwrap();
            read_from(folder.path(), from, u64::MAX).unwrap().records.first().map(|record| record.at.0)
        };
        assert_eq!([0, 1, 2, 3, 4].map(first), [None, Some(30), Some(20), Some(10), Some(10)]);
    }

    #[test]
    fn pages_are_bounded_and_meet() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder.path(), bounds(100)).unwrap();
        (10..40).for_each(|number| writer.append(&record(number)).unwrap());
        let (mut seen, mut next, mut pages) = (Vec::new(), Cursor::default(), 0);
        loop {
            let page = read_from(folder.path(), next, 40).unwrap();
            assert!((1..=3).contains(&page.records.len()), "{page:?}");
            seen.extend(numbers(&page.records));
            (next, pages) = (page.next, pages + 1);
            if page.is_last {
                break;
            }
        }
        assert_eq!(seen, (10..40).collect::<Vec<_>>());
        assert!(pages >= 10, "{pages}");
        let nothing = read_from(folder.path(), next, 40).unwrap();
        assert_eq!(nothing, Page { records: vec![], next, is_last: true });
    }

    #[test]
    fn the_oldest_files_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder.path(), bounds(3)).unwrap();
        (10..40).for_each(|number| writer.append(&record(number)).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        assert_eq!(numbers(&all(folder.path()).records), (25..40).collect::<Vec<_>>());
    }

    #[test]
    fn old_files_go_when_a_new_one_is_begun() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer =
            Writer::open(folder.path(), Bounds { age_max: Duration::ZERO, ..bounds(100) }).unwrap();
        (10..40).for_each(|number| writer.append(&record(number)).unwrap());
        let left = numbers(&all(folder.path()).records);
        assert_eq!(left.last(), Some(&39));
        assert!(left.len() < 30, "{left:?}");
    }

    #[test]
    fn a_reader_follows_across_files() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let mut cursor = find(&missing, &Query { tail: Some(5), ..Query::default() }).unwrap();
        assert_eq!(all(&missing).records, []);
        assert!(!exists(&missing).unwrap());
        let mut writer = Writer::open(folder.path(), bounds(100)).unwrap();
        let mut seen = Vec::new();
        for number in 10..40 {
            writer.append(&record(number)).unwrap();
            if number % 7 == 0 {
                let page = read_from(folder.path(), cursor, u64::MAX).unwrap();
                seen.extend(numbers(&page.records));
                cursor = page.next;
            }
        }
        seen.extend(numbers(&read_from(folder.path(), cursor, u64::MAX).unwrap().records));
        assert_eq!(seen, (10..40).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_cut_short_by_a_crash_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        Writer::open(folder.path(), bounds(100)).unwrap().append(&record(10)).unwrap();
        let path = segments::path(folder.path(), 1);
        fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"11 out AP").unwrap();
        let page = all(folder.path());
        assert_eq!(numbers(&page.records), [10]);
        Writer::open(folder.path(), bounds(100)).unwrap().append(&record(12)).unwrap();
        assert_eq!(numbers(&read_from(folder.path(), page.next, u64::MAX).unwrap().records), [12]);
    }
}
