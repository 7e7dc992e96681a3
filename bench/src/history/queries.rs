//! What is asked for: each filter, several together, and what is hardest.

use std::ops::RangeInclusive;

use capstan_client::spin_cycle::UtcTime;
use capstan_model::{archive::Place, ids::RequestId, time::Timestamp};

use super::shelf::{Shelf, mixed};

/// A list to ask for.
pub(super) struct Query {
    pub(super) name: &'static str,
    /// How many requests it finds, so that it is seen to be what it says.
    pub(super) finds: RangeInclusive<usize>,
    /// Whether so much has to be read that it is asked for less often.
    pub(super) is_slow: bool,
    /// The call, with other values in each round.
    pub(super) path: fn(&Shelf, u32) -> String,
}

/// As many as spinc asks for.
const LIMIT: usize = 10;

const fn query(name: &'static str, path: fn(&Shelf, u32) -> String) -> Query {
    Query { name, finds: LIMIT..=LIMIT, is_slow: false, path }
}

const fn few(name: &'static str, finds: RangeInclusive<usize>, path: fn(&Shelf, u32) -> String) -> Query {
    Query { name, finds, is_slow: false, path }
}

const fn slow(name: &'static str, finds: RangeInclusive<usize>, path: fn(&Shelf, u32) -> String) -> Query {
    Query { name, finds, is_slow: true, path }
}

/// All of them, in the order of the report.
pub(super) const QUERIES: &[Query] = &[
    query("newest", |_, _| list("")),
    query("state", |_, round| list(["state=FAIL", "state=STOPPED"][round as usize % 2])),
    few("type", 1..=LIMIT, |shelf, round| list(&format!("type={}", Shelf::kind(any(shelf, round))))),
    few("user", 1..=LIMIT, |shelf, round| list(&format!("user=USER-{}", any(shelf, round) % 200))),
    query("arg, 50 have it", |shelf, round| list(&format!("arg=host={}", shelf.host(any(shelf, round))))),
    few("arg, one has it", 1..=1, |shelf, round| list(&format!("arg=ticket=T-{}", any(shelf, round)))),
    few("arg, none has it", 0..=0, |_, round| list(&format!("arg=ticket=none-{round}"))),
    query("until", |shelf, round| list(&until(shelf, round))),
    query("since", |shelf, round| list(&since_last(shelf, 100 + u64::from(round)))),
    query("since and until", |shelf, round| list(&window(shelf, round))),
    query("type and state", |_, round| list(&format!("type=kind-{}&state=FAIL", 1 + round % 2))),
    few("type, state and user", 0..=LIMIT, |shelf, round| {
        list(&format!(
            "type={}&state=FAIL&user={}",
            Shelf::kind(any(shelf, round)),
            Shelf::user(any(shelf, round))
        ))
    }),
    few("user, since and until", 0..=LIMIT, |shelf, round| {
        list(&format!("user={}&{}", Shelf::user(any(shelf, round)), window(shelf, round)))
    }),
    few("arg and state", 0..=LIMIT, |shelf, round| {
        list(&format!("arg=host={}&state=FAIL", shelf.host(any(shelf, round))))
    }),
    few("two args and type", 0..=LIMIT, |shelf, round| {
        let number = any(shelf, round);
        list(&format!("arg=host={}&arg=side=left&type={}", shelf.host(number), Shelf::kind(number)))
    }),
    few("a rare user, since", 0..=1, |shelf, round| {
        list(&format!("user=seldom&{}", since_last(shelf, 100 + u64::from(round))))
    }),
    few("a rare user and a state", 0..=LIMIT, |_, _| list("user=seldom&state=COMPLETE")),
    query("a page behind a cursor", |shelf, round| {
        let place = Place::of(shelf.at(any(shelf, round).max(1_000)), RequestId([0; 12]));
        list(&format!("after={place}"))
    }),
    few("a cursor, type and state", 0..=LIMIT, |shelf, round| {
        let place = Place::of(shelf.at(any(shelf, round)), RequestId([0; 12]));
        list(&format!("after={place}&type=kind-1&state=FAIL"))
    }),
    slow("offset of nine tenths", LIMIT..=LIMIT, |shelf, _| {
        format!("/api/v1/requests?limit={LIMIT}&offset={}", shelf.count() / 10 * 9)
    }),
    // What is of the first type is on the left: two lists that are as long as can be, alternate, and never meet.
    slow("two halves that never meet", 0..=0, |_, _| list("type=kind-0&arg=side=right")),
];

fn list(filters: &str) -> String {
    format!("/api/v1/requests?limit={LIMIT}&{filters}")
}

/// A number of a request, another one in each round.
fn any(shelf: &Shelf, round: u32) -> u64 {
    mixed(u64::from(round) + 1) % shelf.count()
}

fn time(at: Timestamp) -> String {
    UtcTime::from_unix_nanos(at.0).to_string()
}

fn until(shelf: &Shelf, round: u32) -> String {
    format!("until={}", time(shelf.at(any(shelf, round).max(1_000))))
}

/// What ended when the last few did.
fn since_last(shelf: &Shelf, count: u64) -> String {
    format!("since={}", time(shelf.at(shelf.count() - count)))
}

/// What was under way between two moments.
fn window(shelf: &Shelf, round: u32) -> String {
    let from = any(shelf, round).min(shelf.count() - 1_000);
    format!("since={}&until={}", time(shelf.at(from)), time(shelf.at(from + 500)))
}
