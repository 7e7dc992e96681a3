//! Lists of requests, and how finished ones leave: held against a list that is kept beside them, on random requests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod archive_world;
mod common;
mod workflow_common;

use std::{cell::Cell, collections::BTreeSet};

use archive_world::{HOUR, Made, World, any_made, id};
use bytes::Bytes;
use capstan_model::{
    archive::{self, Filter, Page, Place, TRIMMED_ROWS_MAX, TrimRequests},
    command::Command,
    event::Event,
    rejection::Rejection,
    rows::{RowReader, Table},
    time::Timestamp,
    workflow::{ARG_TEXT_BYTES_MAX, request::RequestState},
};
use common::memory_rows::MemoryRows;
use proptest::{collection::vec, option, prelude::*, sample::select};

/// A filter whose every part matches some of what [`any_made`] makes, and some parts nothing.
fn any_filter() -> impl Strategy<Value = Filter> {
    let args = (select(vec!["host", "n", "long", "a33", "no"]), 0..3_u8).prop_map(|(name, pick)| {
        let value = match name {
            "long" => archive_world::long(pick),
            "a33" => "33".to_owned(),
            _ => pick.to_string(),
        };
        (name.to_owned(), value)
    });
    let hours = || option::weighted(0.3, (0..60_u64).prop_map(|hours| Timestamp(hours * HOUR)));
    (
        option::weighted(0.3, select(vec!["k0", "k1", "k2", "k"])),
        option::weighted(0.3, select(vec!["", "ANN", "bob", "eve"])),
        vec(select(RequestState::ALL.to_vec()), 0..4),
        vec(args, 0..3),
        hours(),
        hours(),
    )
        .prop_map(|(kind, user, states, args, since, until)| Filter {
            request_type: kind.map(str::to_owned),
            user: user.map(str::to_owned),
            states,
            args,
            since,
            until,
        })
}

fn any_page() -> impl Strategy<Value = Page> {
    let after =
        (0..60_u64, 0..40_u8).prop_map(|(hours, number)| Place::of(Timestamp(hours * HOUR), id(number)));
    (option::weighted(0.3, after), 0..4_usize, option::of(0..8_usize))
        .prop_map(|(after, offset, limit)| Page { after, offset, limit })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A list has what its filter says, in its order, whichever indexes it is made of, also when some have left, and in whichever steps it is read.
    #[test]
    fn a_list_is_what_a_plain_list_would_be(
        made in vec(any_made(), 0..40),
        asked in vec((any_filter(), any_page()), 1..12),
        trimmed_at in option::of(0..100_u64),
        rows_max in select(vec![1, 100, 1_000]),
    ) {
        let mut world = World::of(&made);
        if let Some(hours) = trimmed_at {
            world.keep_for_a_day(hours);
        }
        for (filter, page) in asked {
            let expected = world.plainly_listed(&filter, page);
            prop_assert_eq!(&world.listed(&filter, page), &expected, "{:?} {:?}", filter, page);
            let in_steps = world.listed_in_steps(&filter, page, rows_max);
            prop_assert_eq!(in_steps, expected, "{:?} {:?}, {} rows a step", filter, page, rows_max);
        }
    }

    /// Pages put together have each request that is there all the time once, and in order, whatever ends or leaves between them.
    #[test]
    fn a_cursor_keeps_its_place(
        made in vec(any_made(), 1..40),
        filter in any_filter(),
        limit in 1..5_usize,
        leaves_from in 24..60_u64,
    ) {
        let mut world = World::of(&made);
        // What ends between pages changes its state.
        let filter = Filter { states: vec![], ..filter };
        let at_first = world.listed(&filter, Page::default());
        let (mut seen, mut after) = (Vec::new(), None);
        for hours in leaves_from.. {
            let page = world.summaries(&filter, Page { after, offset: 0, limit: Some(limit) });
            let Some(last) = page.last() else { break };
            after = Some(last.place());
            seen.extend(page.iter().map(|found| found.id));
            world.keep_for_a_day(hours);
            world.end_one();
        }
        let at_last: BTreeSet<_> = world.listed(&filter, Page::default()).into_iter().collect();
        prop_assert!(seen.iter().is_sorted_by_key(|id| at_first.iter().position(|first| first == id)), "{:?}", seen);
        prop_assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
        let stayed: Vec<_> = at_first.iter().filter(|id| at_last.contains(id)).collect();
        prop_assert_eq!(seen.iter().filter(|id| at_last.contains(id)).collect::<Vec<_>>(), stayed);
    }

    /// What has been kept for long enough leaves, oldest first, with all its rows; nothing else does, and State counts what stays.
    #[test]
    fn what_is_old_leaves_and_nothing_else(made in vec(any_made(), 0..40), hours in 0..100_u64) {
        let mut world = World::of(&made);
        let before = world.listed(&Filter::default(), Page::default());
        world.keep_for_a_day(hours);
        let kept: BTreeSet<_> = world.plainly_kept(hours).collect();
        let after = world.listed(&Filter::default(), Page::default());
        let expected: Vec<_> = before.into_iter().filter(|id| kept.contains(id)).collect();
        prop_assert_eq!(&after, &expected);
        let live = world.replica.state.requests.len();
        prop_assert_eq!(world.replica.state.archive.count(), (after.len() - live) as u64);
        let with_rows = world.archived_ids();
        prop_assert!(with_rows.iter().all(|id| kept.contains(id)), "{:?} {:?}", with_rows, kept);
    }
}

/// Rows, and how many of them were read.
struct Counted<'a>(MemoryRows<'a>, Cell<usize>);

impl Counted<'_> {
    fn count(&self, rows: usize) {
        self.1.set(self.1.get() + rows);
    }
}

impl RowReader for Counted<'_> {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.count(1);
        self.0.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        let rows = self.0.scan(from, to, limit);
        self.count(rows.len());
        rows
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        let rows = self.0.scan_back(from, to, limit);
        self.count(rows.len());
        rows
    }
}

/// Requests `0..count` of which every second is of one type and has failed, one in a hundred is Ann's, and none is what `nobody` has.
fn shelf(count: u8) -> World {
    let made = (0..count).map(|number| Made {
        created: number.into(),
        kind: number % 2,
        user: u8::from(number % 100 == 7),
        args: vec![("host".into(), format!("\"{}\"", number % 5))],
        end: Some(([RequestState::Complete, RequestState::Failed][usize::from(number % 2)], 0)),
    });
    World::of(&made.collect::<Vec<_>>())
}

#[test]
fn the_rarest_filter_leads_and_a_row_of_it_says_what_the_other_indexes_would() {
    let world = shelf(250);
    let read = |filter: Filter, page: Page, rows_max: usize| {
        let rows = Counted(world.rows(), Cell::new(0));
        let found = archive::find(&world.replica.state, &rows, &filter, page, rows_max).unwrap();
        (found, rows.1.get())
    };
    let all = Filter::default();
    let rare = Filter {
        request_type: Some("k1".into()),
        user: Some("ann".into()),
        states: vec![RequestState::Failed],
        ..all.clone()
    };
    let (found, rows) = read(rare, Page::default(), usize::MAX);
    assert_eq!(found.requests.len(), 3);
    // Sixteen rows are read where a list is leapt into.
    assert!(rows <= 16 * (2 + 2 * 3), "{rows} rows: each of the three is looked for in two other indexes");

    let never = Filter {
        request_type: Some("k0".into()),
        args: vec![("host".into(), "1".into())],
        states: vec![RequestState::Failed],
        ..all.clone()
    };
    let (found, rows) = read(never, Page::default(), usize::MAX);
    assert_eq!(found.requests.len(), 0);
    assert!(rows < 150, "{rows} rows: those of the rarest of three, and few of the others");

    let far = Page { offset: usize::MAX, limit: Some(1), after: None };
    let (found, rows) = read(all, far, 100);
    assert!(found.requests.is_empty() && rows < 100, "{rows} rows");
    assert!(found.rest.is_some_and(|rest| rest.after.is_some() && rest.offset > usize::MAX - 250));
}

#[test]
fn index_rows_from_before_there_were_hints_are_read() {
    let mut world = shelf(20);
    for (key, row) in &mut world.replica.rows {
        let table = Table::of(key);
        let old = [Table::ByCreation, Table::ByType, Table::ByUser, Table::ByState];
        if table.is_some_and(|table| old.contains(&table)) {
            row.truncate(row.len() - 4);
        }
    }
    let page = Page::default();
    let filters = [
        Filter::default(),
        Filter { request_type: Some("k1".into()), states: vec![RequestState::Failed], ..Filter::default() },
        Filter { user: Some("ANN".into()), request_type: Some("k1".into()), ..Filter::default() },
    ];
    for (filter, count) in filters.iter().zip([20, 10, 1]) {
        assert_eq!(world.listed(filter, page), world.plainly_listed(filter, page));
        assert_eq!(world.listed(filter, page).len(), count);
    }
}

/// One that ends at once; the rest is as it comes.
fn made() -> Made {
    Made { created: 1, kind: 0, user: 0, args: vec![], end: Some((RequestState::Complete, 0)) }
}

#[test]
fn too_many_leave_before_they_are_old() {
    let mut world = World::of(&[]);
    world.allow(1_000);
    for number in 0..1_010 {
        world.run_noop(number);
    }
    assert_eq!(world.replica.state.archive.count(), 1_010);
    let trim = world.next_trim(1).unwrap();
    let left: Vec<u32> = trim.whole.iter().map(|whole| World::number(whole.indexed.id)).collect();
    assert_eq!(left, (0..10).collect::<Vec<_>>());
    world.apply(Command::TrimRequests(Box::new(trim))).0.unwrap();
    assert_eq!((world.replica.state.archive.first(), world.replica.state.archive.count()), (10, 1_000));
    assert_eq!(world.next_trim(1), None);
}

#[test]
fn a_request_with_many_logs_leaves_in_several_commands() {
    let mut world = World::of(&[made()]);
    world.run_noops(7, 1_990);
    let logs = archive::job_logs(&world.rows(), id(7)).unwrap().len();
    assert!(logs > 2 * TRIMMED_ROWS_MAX, "{logs}");
    let mut trims = Vec::new();
    while let Some(trim) = world.next_trim(1_000) {
        let rows = world.replica.rows.len();
        world.apply(Command::TrimRequests(Box::new(trim.clone()))).0.unwrap();
        assert!(rows - world.replica.rows.len() <= TRIMMED_ROWS_MAX);
        let is_listed = archive::finished_request(&world.rows(), id(7)).unwrap().is_some();
        assert_eq!(is_listed, trim.part.is_some(), "it goes last, with what is left of its logs");
        trims.push(trim);
    }
    assert_eq!(trims.len(), 3);
    assert_eq!(trims[0].whole.len(), 1, "the small one before it leaves at once");
    assert_eq!(world.archived_ids(), BTreeSet::new());
    assert_eq!(world.replica.state.archive.count(), 0);

    // Each of them comes again, from a leader that was late.
    for trim in trims {
        let (reply, applied) = world.apply(Command::TrimRequests(Box::new(trim)));
        assert!(reply.is_ok());
        assert_eq!(applied.events, []);
    }
}

#[test]
fn what_a_request_has_beyond_spin_cycle_leaves_with_it() {
    let beyond = [Table::FinishedTerms, Table::FinishedData, Table::Decision, Table::ByRetryOf];
    let mut world = World::of(&[made()]);
    world.reject(7, 0);
    world.reject(8, 7);
    let rows_of = |world: &World, table: Table| {
        world.replica.rows.keys().filter(|key| Table::of(key) == Some(table)).count()
    };
    for table in beyond {
        assert_eq!(rows_of(&world, table), 2, "{table:?}");
    }
    while let Some(trim) = world.next_trim(1_000) {
        world.apply(Command::TrimRequests(Box::new(trim))).0.unwrap();
    }
    assert_eq!(world.archived_ids(), BTreeSet::new());
    for table in beyond {
        assert_eq!(rows_of(&world, table), 0, "{table:?}");
    }
}

#[test]
fn a_trim_of_what_may_not_leave_is_refused() {
    let live = Made { end: None, ..made() };
    let mut world = World::of(&[made(), live]);
    let trim = world.next_trim(1_000).unwrap();
    assert_eq!(trim.whole.len(), 1);
    let refused = |world: &mut World, trim: TrimRequests| {
        let (reply, applied) = world.apply(Command::TrimRequests(Box::new(trim)));
        assert_eq!(applied.events, [], "{reply:?}");
        reply.unwrap_err()
    };
    let mut of_live = trim.clone();
    of_live.whole[0].indexed.id = id(1);
    assert_eq!(refused(&mut world, of_live), Rejection::StillLive { request: id(1) });
    let mut too_many = trim.clone();
    too_many.whole.push(trim.whole[0].clone());
    assert!(matches!(refused(&mut world, too_many), Rejection::TooMany { count_max: 1, .. }));
    let mut too_large = trim.clone();
    too_large.whole[0].logs = vec![trim.whole[0].logs[0]; TRIMMED_ROWS_MAX];
    assert!(matches!(refused(&mut world, too_large), Rejection::TooMany { .. }));
    let (reply, applied) = world.apply(Command::TrimRequests(Box::new(trim.clone())));
    assert!(reply.is_ok());
    assert_eq!(applied.events, [Event::RequestsTrimmed(Box::new(trim))]);
}

#[test]
fn an_index_row_is_of_bounded_length_and_there_are_not_many() {
    let mut many = made();
    many.args = (0..60).map(|number| (format!("a{number}"), format!("\"{number}\""))).collect();
    many.args[3].1 = format!("\"{}\"", "x".repeat(10_000));
    let world = World::of(&[many]);
    let of_args: Vec<_> =
        world.replica.rows.iter().filter(|(key, _)| Table::of(key) == Some(Table::ByArg)).collect();
    assert_eq!(of_args.len(), 33, "32, and one for the rest");
    for (key, row) in of_args {
        assert!(key.len() <= ARG_TEXT_BYTES_MAX + 30 && row.len() < 8, "{key:?} {row:?}");
    }
}
