//! `GET /api/v1/requests`: live and finished requests, newest first.

use capstan_client::spin_cycle::{RequestFilter, UtcTime};
use capstan_model::{
    archive::{self as model, Filter, Page},
    time::Timestamp,
    workflow::request::RequestState,
};

use super::{archive, filters, requests, shapes};
use crate::{answer::Answer, call::Head, error::ApiError, read, service::Inner};

pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let wanted = filters::read(head.query)?;
    let view = read::view(&api.parts.cluster, head).await?;
    let found = match filter(&wanted) {
        Some(filter) => {
            let page = page(&wanted);
            archive::read(view.clone(), move |view| model::requests(view.state(), view, &filter, page))
                .await?
        }
        None => Vec::new(),
    };
    let nodes = &view.state().nodes;
    let body: Vec<_> = found.iter().map(|summary| shapes::summary(summary, nodes)).collect();
    Ok(requests::answer(head, &view, &body))
}

/// The filter as the archive knows it; `None` when only states were asked for that no request is ever in.
fn filter(wanted: &RequestFilter) -> Option<Filter> {
    let states: Vec<_> =
        wanted.states.iter().filter_map(|state| RequestState::from_name(state.name())).collect();
    if states.is_empty() && !wanted.states.is_empty() {
        return None;
    }
    Some(Filter {
        request_type: wanted.kind.clone(),
        user: wanted.user.clone(),
        states,
        args: wanted.args.clone(),
        since: wanted.since.map(timestamp),
        until: wanted.until.map(timestamp),
    })
}

fn page(wanted: &RequestFilter) -> Page {
    let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    match wanted.limit {
        0 => Page::default(),
        limit => Page { offset: count(wanted.offset), limit: Some(count(limit)) },
    }
}

/// The nearest moment a stamp can name.
fn timestamp(time: UtcTime) -> Timestamp {
    Timestamp(u64::try_from(time.unix_nanos().max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use capstan_client::spin_cycle::State;

    use super::*;

    #[test]
    fn states_no_request_is_in_match_nothing() {
        let of =
            |states: &[State]| filter(&RequestFilter { states: states.to_vec(), ..RequestFilter::default() });
        assert!(of(&[State::Reserved, State::Unknown]).is_none());
        assert_eq!(of(&[State::Reserved, State::Fail]).unwrap().states, [RequestState::Failed]);
        assert!(of(&[]).unwrap().states.is_empty());
    }

    #[test]
    fn times_out_of_range_become_the_nearest() {
        let cases = [
            ("1969-12-31T23:59:59Z", 0),
            ("1970-01-01T00:00:01Z", 1_000_000_000),
            ("2600-01-01T00:00:00Z", u64::MAX),
        ];
        for (text, nanos) in cases {
            assert_eq!(timestamp(UtcTime::parse(text).unwrap()), Timestamp(nanos), "{text}");
        }
    }

    #[test]
    fn an_offset_needs_a_limit() {
        let of = |limit, offset| page(&RequestFilter { limit, offset, ..RequestFilter::default() });
        assert_eq!((of(0, 5).offset, of(0, 5).limit), (0, None));
        assert_eq!((of(2, 5).offset, of(2, 5).limit), (5, Some(2)));
    }
}
