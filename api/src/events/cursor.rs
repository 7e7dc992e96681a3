//! Reads on over the rows of public events, as fast as what it reads is taken.

use bytes::Bytes;
use capstan_model::{
    buggify,
    history::{Recorded, events_from},
    mutant, sometimes,
};
use capstan_raft_store::handle::View;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::frame::{Frame, HEARTBEAT};
use crate::{
    answer::{BrokenOff, Pieces},
    archive,
    streams::Open,
};

/// The most rows read at once.
const ROWS_MAX: usize = 32;
/// So it is where few are, in simulations.
const FEW_ROWS: usize = 2;
/// A piece ends with the event that makes it this long.
const PIECE_BYTES: usize = 64 * 1024;

/// One reader of events.
pub(super) struct Cursor<S> {
    open: Open,
    applied: watch::Receiver<u64>,
    show: S,
    /// The number of the next event.
    next: u64,
    /// When a heartbeat is due.
    beat_at: Instant,
}

impl<S> Cursor<S>
where
    S: Fn(&Recorded) -> Option<Frame> + Send + Sync + Clone + 'static,
{
    /// A reader of the events from this number on, of which it shows what `show` makes of them.
    pub(super) fn new(open: Open, next: u64, show: S) -> Self {
        let applied = open.cluster().watch();
        let beat_at = open.next_heartbeat();
        Self { open, applied, show, next, beat_at }
    }

    /// The body of its answer, which has no end but is broken off.
    pub(super) fn pieces(self) -> Pieces {
        Pieces::unfold(self, Self::piece)
    }

    async fn piece(mut self) -> Result<Option<(Bytes, Self)>, BrokenOff> {
        let mut looks = !mutant!("event-wakeup-lost");
        loop {
            // First, so that what is applied from here on wakes this reader.
            self.applied.borrow_and_update();
            let piece = match self.news()? {
                Some(view) if looks => self.read(view).await?,
                _ => {
                    tokio::select! {
                        () = self.open.told_to_end() => return Err(BrokenOff::NodeEnds),
                        changed = self.applied.changed() => changed.map_err(|_| BrokenOff::NodeEnds)?,
                        () = sleep_until(self.beat_at) => {}
                    }
                    Vec::new()
                }
            };
            looks = true;
            let is_due = self.beat_at <= Instant::now();
            let piece = if piece.is_empty() && is_due { HEARTBEAT.to_vec() } else { piece };
            if !piece.is_empty() {
                self.beat_at = self.open.next_heartbeat();
                return Ok(Some((piece.into(), self)));
            }
        }
    }

    /// A view with events to read. Without any, none is held: it would keep an old state in memory.
    fn news(&self) -> Result<Option<View>, BrokenOff> {
        let view = self.open.cluster().view();
        let goes_on = self.open.goes_on(&view);
        sometimes!(
            "a stream is broken off because its node is drained or leaves",
            matches!(goes_on, Err(BrokenOff::NodeEnds))
        );
        sometimes!(
            "a stream is broken off because its node is out of touch",
            matches!(goes_on, Err(BrokenOff::OutOfTouch))
        );
        goes_on?;
        Ok((self.next < view.state().history.next()).then_some(view))
    }

    /// Reads some of the next events, of which there is one; none of them may be to be shown.
    async fn read(&mut self, view: View) -> Result<Vec<u8>, BrokenOff> {
        let (from, show) = (self.next, self.show.clone());
        let limit = if buggify!("buggify: few events are read at a time") { FEW_ROWS } else { ROWS_MAX };
        let (piece, next) = archive::read(view, move |view| {
            let (mut piece, mut next) = (Vec::new(), from);
            let rows = events_from(view, from, limit)?;
            let is_full = rows.len() == limit;
            for recorded in rows {
                if recorded.number != next || piece.len() >= PIECE_BYTES {
                    break;
                }
                if let Some(frame) = show(&recorded) {
                    frame.write(recorded.id, &mut piece);
                }
                next += 1;
            }
            if piece.is_empty() && mutant!("event-filter-skips-to-end") {
                next = view.state().history.next();
            }
            if is_full && mutant!("event-page-skips-one") {
                next += 1;
            }
            Ok((piece, next))
        })
        .await?;
        if next == from {
            // It was recorded, so it was removed.
            sometimes!("a reader is so late that its next events are gone");
            return Err(BrokenOff::EventsGone);
        }
        sometimes!("nothing that was read is to be shown", piece.is_empty());
        self.next = next;
        Ok(piece)
    }
}
