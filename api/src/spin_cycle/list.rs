//! `GET /api/v1/requests`: live and finished requests, newest first.
//!
//! A page that is as long as it may be says in a header where the next begins. A list without a limit, or with a larger one than a page
//! should have, is sent piece by piece, so that a million requests are never in memory at once; all pieces show the same view.

use bytes::Bytes;
use capstan_model::{
    archive::{self as model, Filter, Page, Place},
    workflow::view::RequestSummary,
};
use capstan_raft_store::handle::View;
use futures::FutureExt;
use http::HeaderValue;

use super::{archive, filters, json::Layout, requests, shapes};
use crate::{
    answer::{self, Answer, BrokenOff, Pieces},
    call::Head,
    error::{ApiError, ArchiveError},
    headers, read,
    service::Inner,
    streams::Open,
};

/// How many requests a piece has.
const PIECE_REQUESTS: usize = 1_000;

pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let filters::Wanted { filter, page } = filters::read(head.query)?;
    let view = read::view(&api.parts.cluster, head).await?;
    let Some(filter) = filter else { return Ok(whole(head, &view, &[])) };
    let limit = page.limit.map_or(PIECE_REQUESTS, |limit| limit.min(PIECE_REQUESTS));
    let found = find(&view, &filter, Page { limit: Some(limit), ..page }).await?;
    let Some(last) = found.last().filter(|_| found.len() == limit) else {
        return Ok(whole(head, &view, &found));
    };
    if page.limit == Some(limit) {
        let next = shown(last.place());
        let mut answer = whole(head, &view, &found);
        answer.headers_mut().insert(headers::NEXT, next);
        return Ok(answer);
    }
    let open = api.streams.open(&api.parts.cluster, &api.parts.health, head)?;
    let left = page.limit.map(|limit| limit - found.len());
    Ok(Reader { open, view, filter, layout: Layout::of(head), left }.answer(found))
}

/// All of a page, in steps: when nobody waits for it any more, it ends with the step that goes on.
async fn find(view: &View, filter: &Filter, page: Page) -> Result<Vec<RequestSummary>, ArchiveError> {
    let (mut requests, mut rest) = (Vec::new(), Some(page));
    while let Some(page) = rest {
        let filter = filter.clone();
        let find = move |view: &View| model::find(view.state(), view, &filter, page, model::FIND_ROWS_MAX);
        let found = archive::read(view.clone(), find).await?;
        requests.extend(found.requests);
        rest = found.rest;
    }
    Ok(requests)
}

fn whole(head: &Head<'_>, view: &View, found: &[RequestSummary]) -> Answer {
    let nodes = &view.state().nodes;
    let body: Vec<_> = found.iter().map(|summary| shapes::summary(summary, nodes)).collect();
    requests::answer(head, view, &body)
}

fn shown(place: Place) -> HeaderValue {
    HeaderValue::try_from(place.to_string()).expect("a place is shown in digits, letters and a hyphen")
}

/// Reads piece after piece.
struct Reader {
    open: Open,
    view: View,
    filter: Filter,
    layout: Layout,
    /// How many may follow what is read already; `None` is all.
    left: Option<usize>,
}

/// What is to be sent next.
enum Next {
    First(Vec<RequestSummary>),
    Behind(Place),
    Nothing,
}

impl Reader {
    fn answer(self, first: Vec<RequestSummary>) -> Answer {
        let index = HeaderValue::from(self.view.index());
        let state = (self, Next::First(first));
        let pieces = Pieces::unfold(state, |(reader, next)| reader.piece(next).boxed());
        let mut answer = answer::in_pieces(answer::JSON, pieces);
        answer.headers_mut().insert(headers::INDEX, index);
        answer
    }

    async fn piece(mut self, next: Next) -> Result<Option<(Bytes, (Self, Next))>, BrokenOff> {
        let (begin, between, end) = self.layout.of_lists();
        let (found, before) = match next {
            Next::Nothing => return Ok(None),
            Next::First(found) => (found, begin),
            Next::Behind(place) => (self.read_behind(place).await?, between),
        };
        let mut piece = Vec::new();
        if !found.is_empty() {
            piece.extend_from_slice(before.as_bytes());
            let nodes = &self.view.state().nodes;
            let shown: Vec<_> = found.iter().map(|summary| shapes::summary(summary, nodes)).collect();
            piece.extend(self.layout.encode_elements(&shown));
        }
        let next = match found.last() {
            Some(last) if found.len() == PIECE_REQUESTS && self.left != Some(0) => Next::Behind(last.place()),
            _ => {
                piece.extend_from_slice(end.as_bytes());
                Next::Nothing
            }
        };
        Ok(Some((piece.into(), (self, next))))
    }

    async fn read_behind(&mut self, place: Place) -> Result<Vec<RequestSummary>, BrokenOff> {
        self.open.is_not_over()?;
        let limit = self.left.map_or(PIECE_REQUESTS, |left| left.min(PIECE_REQUESTS));
        let page = Page { after: Some(place), offset: 0, limit: Some(limit) };
        let found = find(&self.view, &self.filter, page).await?;
        self.left = self.left.map(|left| left - found.len());
        Ok(found)
    }
}
