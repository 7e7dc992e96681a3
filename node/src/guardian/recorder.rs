//! Writes the output of instances to files, on a thread of its own: the guardian itself never waits for a disk.
//!
//! Between the two is a queue that is bounded in bytes. When a disk is too slow for what is written, what does not fit is
//! dropped, and a line says how much: neither the guardian nor an instance waits for it.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    clock, complain,
    instance_spec::{Destination, Said},
    stream::Sink,
};
use crate::instance::{
    driver::Stream,
    output::{self, Bounds, Record, Writer},
};

/// The most bytes that wait to be written.
const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long the rest may take to be written when the guardian ends.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// The guardian's end of the queue. The thread ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Recorder {
    queue: Arc<Queue>,
    streams: u64,
    thread: Option<JoinHandle<()>>,
}

/// A stream of one process, on its way to the files of an output.
#[derive(Debug)]
pub(crate) struct Feed {
    stream: u64,
    lost: u64,
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
    closed: bool,
    finished: bool,
}

#[derive(Debug)]
enum Item {
    Open { stream: u64, to: Destination, kind: Stream },
    Bytes { stream: u64, lost_before: u64, bytes: Vec<u8> },
    End { stream: u64, lost_before: u64 },
    Say(Said),
    Close(PathBuf),
}

impl Recorder {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system refuses one.
    pub(crate) fn start() -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let mut desk = Desk::default();
        let theirs = Arc::clone(&queue);
        let thread = thread::Builder::new().name("recorder".to_owned()).spawn(move || desk.work(&theirs))?;
        Ok(Self { queue, streams: 0, thread: Some(thread) })
    }

    /// A stream whose lines go to an output.
    pub(crate) fn feed(&mut self, to: Destination, kind: Stream) -> Feed {
        self.streams += 1;
        let stream = self.streams;
        self.queue.push(Item::Open { stream, to, kind });
        Feed { stream, lost: 0, queue: Arc::clone(&self.queue) }
    }

    /// Adds lines to an output, unless too much waits already.
    pub(crate) fn say(&self, said: Said) {
        self.queue.try_push(said.text.len(), Item::Say(said));
    }

    /// Closes the files of an output until something is added to it again.
    pub(crate) fn close(&self, folder: PathBuf) {
        self.queue.push(Item::Close(folder));
    }
}

/// Waits until everything is written, for [`LAST_WAIT`] at most.
impl Drop for Recorder {
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting();
        waiting.closed = true;
        self.queue.changed.notify_all();
        let unfinished = |waiting: &mut Waiting| !waiting.finished;
        let waited = self.queue.changed.wait_timeout_while(waiting, LAST_WAIT, unfinished);
        let (waiting, _) = waited.expect("no holder panics");
        if waiting.finished
            && let Some(thread) = self.thread.take()
        {
            drop(waiting);
            thread.join().expect("the recorder does not panic");
        }
    }
}

impl Sink for Feed {
    fn push(&mut self, read: &[u8]) {
        let item = Item::Bytes { stream: self.stream, lost_before: self.lost, bytes: read.to_vec() };
        if self.queue.try_push(read.len(), item) {
            self.lost = 0;
        } else {
            self.lost += read.len() as u64;
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.queue.push(Item::End { stream: self.stream, lost_before: self.lost });
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no holder panics")
    }

    /// Adds what is small and must not be lost.
    fn push(&self, item: Item) {
        self.waiting().items.push_back(item);
        self.changed.notify_all();
    }

    /// Adds what may be lost; whether it was added.
    fn try_push(&self, bytes: usize, item: Item) -> bool {
        let mut waiting = self.waiting();
        if waiting.bytes + bytes > QUEUE_BYTES_MAX {
            return false;
        }
        waiting.bytes += bytes;
        waiting.items.push_back(item);
        self.changed.notify_all();
        true
    }

    /// Waits for the next item; `None` when there will be none.
    fn take(&self) -> Option<Item> {
        let empty = |waiting: &mut Waiting| waiting.items.is_empty() && !waiting.closed;
        let mut waiting = self.changed.wait_while(self.waiting(), empty).expect("no holder panics");
        let item = waiting.items.pop_front();
        waiting.bytes -= match &item {
            Some(Item::Bytes { bytes, .. }) => bytes.len(),
            Some(Item::Say(said)) => said.text.len(),
            _ => 0,
        };
        if item.is_none() {
            waiting.finished = true;
            self.changed.notify_all();
        }
        item
    }
}

/// The thread's own: what is half written.
#[derive(Debug, Default)]
struct Desk {
    streams: BTreeMap<u64, Open>,
    writers: BTreeMap<PathBuf, Writer>,
    /// Outputs that cannot be written, so that it is said once.
    failing: BTreeMap<PathBuf, String>,
}

#[derive(Debug)]
struct Open {
    to: Destination,
    kind: Stream,
    cut: output::Lines,
}

impl Desk {
    fn work(&mut self, queue: &Queue) {
        while let Some(item) = queue.take() {
            match item {
                Item::Open { stream, to, kind } => {
                    self.streams.insert(stream, Open { to, kind, cut: output::Lines::default() });
                }
                Item::Bytes { stream, lost_before, bytes } => {
                    self.note_loss(stream, lost_before);
                    self.take_lines(stream, |cut, take| cut.push(&bytes, take));
                }
                Item::End { stream, lost_before } => {
                    self.note_loss(stream, lost_before);
                    self.take_lines(stream, |cut, take| cut.finish(take));
                    self.streams.remove(&stream);
                }
                Item::Say(Said { to, stream, text }) => {
                    let mut cut = output::Lines::default();
                    let mut records = Vec::new();
                    cut.push(text.as_bytes(), |line| records.push(record(&to, stream, line)));
                    cut.finish(|line| records.push(record(&to, stream, line)));
                    self.write(&to.folder, &records);
                }
                Item::Close(folder) => {
                    self.writers.remove(&folder);
                }
            }
        }
    }

    fn take_lines(&mut self, stream: u64, cut: impl FnOnce(&mut output::Lines, &mut dyn FnMut(&str))) {
        let Some(open) = self.streams.get_mut(&stream) else { return };
        let mut records = Vec::new();
        let (to, kind) = (&open.to, open.kind);
        cut(&mut open.cut, &mut |line| records.push(record(to, kind, line)));
        let folder = to.folder.clone();
        self.write(&folder, &records);
    }

    fn note_loss(&mut self, stream: u64, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.take_lines(stream, |cut, take| {
            cut.finish(&mut *take);
            take(&format!("[{bytes} bytes of output are missing: the disk of the cell was too slow]"));
        });
    }

    fn write(&mut self, folder: &Path, records: &[Record]) {
        for record in records {
            match self.try_write(folder, record) {
                Ok(()) => {
                    self.failing.remove(folder);
                }
                Err(error) => {
                    // It is opened anew for the next line.
                    self.writers.remove(folder);
                    let error = error.to_string();
                    if self.failing.get(folder) != Some(&error) {
                        complain(format_args!("output to {} is lost: {error}", folder.display()));
                        self.failing.insert(folder.to_owned(), error);
                    }
                }
            }
        }
    }

    fn try_write(&mut self, folder: &Path, record: &Record) -> io::Result<()> {
        if !self.writers.contains_key(folder) {
            self.writers.insert(folder.to_owned(), Writer::open(folder, Bounds::default())?);
        }
        self.writers.get_mut(folder).expect("it was just put there").append(record)
    }
}

fn record(to: &Destination, stream: Stream, text: &str) -> Record {
    Record { at: clock::wall(), stream, source: to.source.clone(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::output::{Cursor, read_from};

    fn to(folder: &Path) -> Destination {
        Destination { folder: folder.to_owned(), source: "APP".into() }
    }

    fn texts(folder: &Path) -> Vec<String> {
        let page = read_from(folder, Cursor::default(), u64::MAX).unwrap();
        page.records.into_iter().map(|record| record.text).collect()
    }

    #[test]
    fn everything_is_written_before_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("app/0");
        let mut recorder = Recorder::start().unwrap();
        recorder.say(Said { to: to(&output), stream: Stream::Stdout, text: "begins\n".into() });
        let mut feed = recorder.feed(to(&output), Stream::Stderr);
        feed.push(b"one\ntw");
        recorder.close(output.clone());
        feed.push(b"o\nend");
        drop(feed);
        drop(recorder);
        assert_eq!(texts(&output), ["begins", "one", "two", "end"]);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = Recorder { queue: Arc::default(), streams: 0, thread: None };
        let mut feed = recorder.feed(to(folder.path()), Stream::Stdout);
        feed.push(&vec![b'\n'; QUEUE_BYTES_MAX - 10]);
        feed.push(b"before\n");
        feed.push(b"does not fit\n");
        feed.push(b"nor this\n");
        drop(feed);
        recorder.queue.waiting().closed = true;
        Desk::default().work(&recorder.queue);
        let missing = "[22 bytes of output are missing: the disk of the cell was too slow]";
        assert_eq!(texts(folder.path()), ["before", missing]);
    }
}
