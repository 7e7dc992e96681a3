//! Reads an output, also while it is written.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use capstan_model::time::Timestamp;

use super::{record::Record, segments};

/// The most bytes read at once; whoever wants more asks again from where the first answer ended.
const READ_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Query {
    /// Written then or later.
    pub since: Option<Timestamp>,
    /// Of those the last so many.
    pub tail: Option<usize>,
}

/// A place between two lines of an output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    segment: u64,
    offset: u64,
}

/// Reads the lines there are, and where the next one will be. Newest files are read first, and no more than needed.
///
/// # Errors
/// The files cannot be read. A folder that is missing holds no lines.
pub fn read(folder: &Path, query: &Query) -> io::Result<(Vec<Record>, Cursor)> {
    let numbers = segments::list(folder)?;
    let mut end = Cursor::default();
    let mut newest_first: Vec<Vec<Record>> = Vec::new();
    let mut found = 0;
    for number in numbers.iter().rev() {
        let start = Cursor { segment: *number, offset: 0 };
        let Some((records, behind)) = read_segment(folder, start, u64::MAX)? else { continue };
        if newest_first.is_empty() {
            end = behind;
        }
        let is_wanted = |record: &Record| query.since.is_none_or(|since| record.at >= since);
        let reaches_back = records.first().is_some_and(|first| !is_wanted(first));
        let records: Vec<Record> = records.into_iter().filter(is_wanted).collect();
        found += records.len();
        newest_first.push(records);
        if reaches_back || query.tail.is_some_and(|tail| found >= tail) {
            break;
        }
    }
    let mut records: Vec<Record> = newest_first.into_iter().rev().flatten().collect();
    let excess = records.len().saturating_sub(query.tail.unwrap_or(usize::MAX));
    records.drain(..excess);
    Ok((records, end))
}

/// Reads what was written behind `cursor`, and where it ends; nothing when there is nothing new. Lines in files that
/// were removed meanwhile are passed over.
///
/// # Errors
/// The files cannot be read.
pub fn read_from(folder: &Path, cursor: Cursor) -> io::Result<(Vec<Record>, Cursor)> {
    let mut records = Vec::new();
    let mut end = cursor;
    let mut read = 0;
    for number in segments::list(folder)?.into_iter().filter(|number| *number >= cursor.segment) {
        let start = if number == cursor.segment { cursor } else { Cursor { segment: number, offset: 0 } };
        let Some((found, behind)) = read_segment(folder, start, READ_BYTES_MAX - read)? else { continue };
        records.extend(found);
        read += behind.offset - start.offset;
        end = behind;
        if read >= READ_BYTES_MAX / 2 {
            break;
        }
    }
    Ok((records, end))
}

/// The complete lines of one file behind a place, `None` when the file is gone.
fn read_segment(folder: &Path, start: Cursor, bytes_max: u64) -> io::Result<Option<(Vec<Record>, Cursor)>> {
    let mut file = match File::open(segments::path(folder, start.segment)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(start.offset))?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    // What follows the last line end is a line half written.
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    bytes.truncate(complete);
    let text = String::from_utf8_lossy(&bytes);
    let records = text.lines().filter_map(Record::decode).collect();
    Ok(Some((records, Cursor { offset: start.offset + complete as u64, ..start })))
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
            let query = Query { since: since.map(Timestamp), tail };
            numbers(&read(folder.path(), &query).unwrap().0)
        };
        assert_eq!(read(None, None), (10..40).collect::<Vec<_>>());
        assert_eq!(read(Some(27), None), (27..40).collect::<Vec<_>>());
        assert_eq!(read(None, Some(7)), (33..40).collect::<Vec<_>>());
        assert_eq!(read(Some(38), Some(7)), [38, 39]);
        assert_eq!(read(Some(40), None), Vec::<u64>::new());
        assert_eq!(read(None, Some(0)), Vec::<u64>::new());
    }

    #[test]
    fn the_oldest_files_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder.path(), bounds(3)).unwrap();
        (10..40).for_each(|number| writer.append(&record(number)).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        assert_eq!(numbers(&read(folder.path(), &Query::default()).unwrap().0), (25..40).collect::<Vec<_>>());
    }

    #[test]
    fn old_files_go_when_a_new_one_is_begun() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer =
            Writer::open(folder.path(), Bounds { age_max: Duration::ZERO, ..bounds(100) }).unwrap();
        (10..40).for_each(|number| writer.append(&record(number)).unwrap());
        let left = numbers(&read(folder.path(), &Query::default()).unwrap().0);
        assert_eq!(left.last(), Some(&39));
        assert!(left.len() < 30, "{left:?}");
    }

    #[test]
    fn a_reader_follows_across_files() {
        let folder = tempfile::tempdir().unwrap();
        let (none, mut cursor) = read(&folder.path().join("missing"), &Query::default()).unwrap();
        assert_eq!(none, []);
        let mut writer = Writer::open(folder.path(), bounds(100)).unwrap();
        let mut seen = Vec::new();
        for number in 10..40 {
            writer.append(&record(number)).unwrap();
            if number % 7 == 0 {
                let (records, behind) = read_from(folder.path(), cursor).unwrap();
                seen.extend(numbers(&records));
                cursor = behind;
            }
        }
        seen.extend(numbers(&read_from(folder.path(), cursor).unwrap().0));
        assert_eq!(seen, (10..40).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_cut_short_by_a_crash_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        Writer::open(folder.path(), bounds(100)).unwrap().append(&record(10)).unwrap();
        let path = segments::path(folder.path(), 1);
        fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"11 out AP").unwrap();
        let (records, cursor) = read(folder.path(), &Query::default()).unwrap();
        assert_eq!(numbers(&records), [10]);
        Writer::open(folder.path(), bounds(100)).unwrap().append(&record(12)).unwrap();
        assert_eq!(numbers(&read_from(folder.path(), cursor).unwrap().0), [12]);
    }
}
