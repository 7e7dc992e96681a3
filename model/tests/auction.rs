//! What holds of every auction, and a few whose plan is known.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use capstan_model::{
    auction::{Auction, Bidder, Item, Outcome, Reason, Standing, Work, explain, plan},
    ids::{Incarnation, NodeId},
    lrp::{
        actual::{ActualKey, Needs},
        cell::{Capacity, RootfsProviders, Used},
        guid::Guid,
        tag::ModificationTag,
    },
    time::Timestamp,
};
use proptest::prelude::*;

fn life(node: u64) -> Incarnation {
    Incarnation { node: NodeId(node), boot: 1, nonce: 0 }
}

fn cell(node: u64, zone: &str, memory_mb: u32) -> Bidder {
    Bidder {
        life: life(node),
        zone: zone.into(),
        capacity: Capacity { memory_mb, disk_mb: 10_000, containers: 250 },
        used: Used::default(),
        rootfs: RootfsProviders { preloaded: vec!["host".into()], schemes: vec![] },
        tasks: 0,
        standing: Standing::Open,
    }
}

fn index(guid: &str, index: u32, memory_mb: u32) -> Work {
    let key = ActualKey { guid: guid.parse().unwrap(), index };
    let tag = ModificationTag { epoch: 1, index: 0 };
    Work {
        item: Item::Instance { key, tag },
        needs: Needs { memory_mb, disk_mb: 0 },
        rootfs: "preloaded:host".into(),
    }
}

fn task(guid: &str, memory_mb: u32) -> Work {
    let item = Item::Task { guid: guid.parse().unwrap(), updated_at: Timestamp(1) };
    Work { item, ..index("unused", 0, memory_mb) }
}

fn name(item: &Item) -> String {
    match item {
        Item::Instance { key, .. } => key.to_string(),
        Item::Task { guid, .. } => guid.to_string(),
    }
}

/// `a/0 on 1`, or `a/0: why not`.
fn describe(outcomes: &[Outcome]) -> Vec<String> {
    let line = |outcome: &Outcome| match &outcome.result {
        Ok(cell) => format!("{} on {}", name(&outcome.item), cell.node),
        Err(error) => format!("{}: {error}", name(&outcome.item)),
    };
    outcomes.iter().map(line).collect()
}

fn planned(cells: Vec<Bidder>, work: Vec<Work>) -> Vec<String> {
    describe(&plan(&mut Auction::new(cells), work))
}

#[test]
fn work_is_taken_in_order_of_index_then_memory_and_tasks_after_the_first_index() {
    let work = vec![
        index("a", 1, 10),
        task("t", 10),
        index("a", 0, 10),
        index("b", 1, 20),
        task("u", 20),
        index("b", 0, 20),
        index("b", 2, 20),
    ];
    let order: Vec<String> = plan(&mut Auction::new(vec![cell(1, "z", 1_000)]), work)
        .iter()
        .map(|outcome| name(&outcome.item))
        .collect();
    assert_eq!(order, ["b/0", "a/0", "u", "t", "b/1", "a/1", "b/2"]);
}

#[test]
fn tasks_come_after_the_first_index_even_without_any_other() {
    let found = planned(vec![cell(1, "z", 100)], vec![task("t", 100), index("a", 0, 100)]);
    assert_eq!(found, ["a/0 on 1", "t: insufficient resources: memory"]);
}

/// Case 47.
#[test]
fn work_that_comes_twice_is_placed_once() {
    let found = planned(vec![cell(1, "z", 1_000)], vec![index("a", 0, 1), index("a", 0, 1), task("a", 1)]);
    assert_eq!(found, ["a/0 on 1", "a on 1"], "a task is no LRP of the same name");
}

/// Cases 44 and 45, with more of them.
#[test]
fn zones_come_before_cells_and_cells_before_use() {
    let zones = || vec![cell(1, "a", 1_000), cell(2, "a", 1_000), cell(3, "b", 1_000)];
    let four = || (0..4).map(|i| index("x", i, 10)).collect::<Vec<_>>();
    assert_eq!(planned(zones(), four()), ["x/0 on 1", "x/1 on 3", "x/2 on 2", "x/3 on 3"]);

    let mut full = zones();
    full[2].used.memory_mb = 1_000;
    assert_eq!(planned(full, four()), ["x/0 on 1", "x/1 on 2", "x/2 on 1", "x/3 on 2"]);

    // An instance that is there already counts, however empty its cell is.
    let mut auction = Auction::new(zones());
    auction.count_one(&"x".parse::<Guid>().unwrap(), life(1));
    assert_eq!(describe(&plan(&mut auction, vec![index("x", 1, 10)])), ["x/1 on 3"]);

    // Without any, the emptiest cell wins; a task goes where fewest are.
    let mut used = zones();
    (used[0].used.memory_mb, used[2].used.memory_mb) = (500, 400);
    (used[1].tasks, used[2].tasks) = (1, 2);
    assert_eq!(planned(used, vec![index("x", 0, 10), task("t", 10)]), ["x/0 on 2", "t on 1"]);
}

#[test]
fn a_failure_says_what_all_cells_lack() {
    let mut cells = vec![cell(1, "a", 100), cell(2, "b", 1_000)];
    cells[1].used.containers = 250;
    let needs = |memory_mb, disk_mb| Work { needs: Needs { memory_mb, disk_mb }, ..index("a", 0, 0) };
    let cases = [
        (needs(50, 0), "a/0 on 1"),
        (needs(200, 0), "a/0: insufficient resources"),
        (needs(2_000, 0), "a/0: insufficient resources: memory"),
        (needs(2_000, 20_000), "a/0: insufficient resources: disk, memory"),
        (needs(0, 20_000), "a/0: insufficient resources: disk"),
    ];
    for (work, expected) in cases {
        assert_eq!(planned(cells.clone(), vec![work.clone()]), [expected], "{:?}", work.needs);
    }
    cells[0].used.containers = 250;
    assert_eq!(planned(cells.clone(), vec![needs(0, 0)]), ["a/0: insufficient resources: containers"]);

    let elsewhere = Work { rootfs: "preloaded:fruitfs".into(), ..needs(0, 0) };
    let unknown = "a/0: found no compatible cell for required rootfs";
    assert_eq!(planned(cells.clone(), vec![elsewhere.clone()]), [unknown]);
    cells.iter_mut().for_each(|cell| cell.standing = Standing::Silent);
    assert_eq!(planned(cells, vec![elsewhere]), ["a/0: found no compatible cell"]);
    assert_eq!(planned(vec![], vec![needs(0, 0)]), ["a/0: found no compatible cell"]);
}

/// Small cells, few zones and guids, so that they meet and fill.
fn any_cells() -> impl Strategy<Value = Vec<Bidder>> {
    let any_cell = (0..3_u8, 0..60_u32, 0..60_u32, 0..5_u32, 0..30_u32, 0..8_u8);
    prop::collection::vec(any_cell, 0..8).prop_map(|cells| {
        let cells = (1..).zip(cells);
        let cells = cells.map(|(node, (zone, memory_mb, disk_mb, containers, used_mb, kind))| Bidder {
            zone: Arc::from(format!("z{zone}")),
            capacity: Capacity { memory_mb, disk_mb, containers },
            used: Used { memory_mb: u64::from(used_mb.min(memory_mb)), disk_mb: 0, containers: 0 },
            standing: match kind {
                0 => Standing::Silent,
                1 => Standing::Evacuating,
                _ => Standing::Open,
            },
            rootfs: RootfsProviders {
                preloaded: if kind == 2 { vec![] } else { vec!["host".into()] },
                schemes: vec!["docker".into()],
            },
            ..cell(node, "", 0)
        });
        cells.collect()
    })
}

fn any_work() -> impl Strategy<Value = Vec<Work>> {
    let any = ("[ab]", 0..4_u32, 0..30_u32, 0..30_u32, any::<bool>(), 0..4_u8).prop_map(
        |(guid, number, memory_mb, disk_mb, docker, kind)| {
            let work = if kind == 0 { task(&format!("{guid}{number}"), 0) } else { index(&guid, number, 0) };
            let rootfs = if docker { "docker:///x" } else { "preloaded:host" };
            Work { needs: Needs { memory_mb, disk_mb }, rootfs: rootfs.into(), ..work }
        },
    );
    // What comes twice is the same.
    prop::collection::vec(any, 0..30).prop_map(|work| {
        let by_name: BTreeMap<String, Work> = work.into_iter().map(|work| (name(&work.item), work)).collect();
        by_name.into_values().collect()
    })
}

proptest! {
    #[test]
    fn an_auction_never_overfills_a_cell_and_places_whatever_fits(cells in any_cells(), work in any_work()) {
        let mut auction = Auction::new(cells.clone());
        let outcomes = plan(&mut auction, work.clone());
        let planned: BTreeSet<String> = outcomes.iter().map(|outcome| name(&outcome.item)).collect();
        prop_assert_eq!(planned.len(), outcomes.len(), "each has one outcome");
        prop_assert_eq!(&planned, &work.iter().map(|work| name(&work.item)).collect());

        let by_name: BTreeMap<String, &Work> = work.iter().map(|work| (name(&work.item), work)).collect();
        let mut used: BTreeMap<Incarnation, Used> = cells.iter().map(|cell| (cell.life, cell.used)).collect();
        for outcome in &outcomes {
            let work = by_name[&name(&outcome.item)];
            if let Ok(life) = outcome.result {
                let cell = cells.iter().find(|cell| cell.life == life).unwrap();
                prop_assert_eq!(cell.standing, Standing::Open);
                prop_assert!(cell.rootfs.provide(&work.rootfs));
                used.get_mut(&life).unwrap().take(work.needs);
            } else {
                // Nothing is given back in an auction, so that what fits at its end fitted before.
                let fits = explain(&auction, work).into_iter().find(|v| matches!(v.reason, Reason::Fits { .. }));
                prop_assert_eq!(fits, None, "{} was refused", name(&outcome.item));
            }
        }
        for cell in auction.cells() {
            prop_assert_eq!(cell.used, used[&cell.life]);
            prop_assert!(cell.used.is_within(cell.capacity), "{:?}", cell);
        }
    }

    #[test]
    fn a_plan_follows_from_cells_and_work_whatever_their_order(
        (cells, cells_in_order, work, work_in_order) in (any_cells(), any_work()).prop_flat_map(|(cells, work)| {
            (Just(cells.clone()).prop_shuffle(), Just(cells), Just(work.clone()).prop_shuffle(), Just(work))
        }),
    ) {
        prop_assert_eq!(planned(cells, work), planned(cells_in_order, work_in_order));
    }

    /// Zones that all have room have as many instances of an LRP as each other, but for one.
    #[test]
    fn instances_are_spread_evenly_over_zones(
        zones in prop::collection::vec(0..4_u8, 1..12),
        instances in 0..40_u32,
    ) {
        let numbered = (1..).zip(&zones);
        let cells: Vec<Bidder> =
            numbered.map(|(node, zone)| cell(node, &format!("z{zone}"), 1_000_000)).collect();
        let mut auction = Auction::new(cells.clone());
        let work = (0..instances).map(|i| index("x", i, 1)).collect();
        let mut by_zone: BTreeMap<Arc<str>, u32> = cells.iter().map(|cell| (cell.zone.clone(), 0)).collect();
        let mut by_cell: BTreeMap<Incarnation, u32> = cells.iter().map(|cell| (cell.life, 0)).collect();
        for outcome in plan(&mut auction, work) {
            let life = outcome.result.unwrap();
            let cell = cells.iter().find(|cell| cell.life == life).unwrap();
            *by_zone.get_mut(&cell.zone).unwrap() += 1;
            *by_cell.get_mut(&life).unwrap() += 1;
        }
        let spread = |counts: Vec<u32>| counts.iter().max().unwrap() - counts.iter().min().unwrap();
        prop_assert!(spread(by_zone.values().copied().collect()) <= 1, "{:?}", by_zone);
        for zone in by_zone.keys() {
            let in_zone = cells.iter().filter(|cell| cell.zone == *zone).map(|cell| by_cell[&cell.life]);
            prop_assert!(spread(in_zone.collect()) <= 1, "{:?}", by_cell);
        }
    }
}

/// A large one, as a cluster of Diego's size has it after a zone was lost: 1,000 cells, 1,000 indices at once.
#[test]
fn a_thousand_cells_share_a_thousand_indices_evenly() {
    let cells: Vec<Bidder> = (1..=1_000).map(|node| cell(node, &format!("z{}", node % 3), 32_000)).collect();
    let work: Vec<Work> = (0..1_000).map(|i| index(&format!("app{i}"), 0, 100 + i % 7)).collect();
    let outcomes = plan(&mut Auction::new(cells), work);
    let winners: BTreeSet<_> = outcomes.iter().map(|outcome| outcome.result.clone().unwrap()).collect();
    assert_eq!(winners.len(), 1_000, "each cell gets one");
}
