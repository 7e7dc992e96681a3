//! Versions of request specs: pushed, reverted to, kept while they are needed, and what may be made from them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{collections::BTreeMap, sync::Arc};

use capstan_model::{
    apply::{self, Applied},
    command::Command,
    event::Event,
    ids::{JobId, RequestId},
    rejection::Rejection,
    reply::{Answer, Reply},
    rows::Table,
    spec::Specs,
    spec_store::{
        FILE_BYTES_MAX, FILES_MAX, PushSpecs, RevertSpecs, SpecFile, SpecsId, TEXT_BYTES_KEPT,
        VERSION_BYTES_MAX, VERSIONS_KEPT, VERSIONS_MAX, VersionNumber,
    },
    state::State,
    workflow::{
        command::{CreateRequest, StopRequest},
        graph::{Builder, CreateOutput, Created, Step},
        json::JsonMap,
    },
};
use common::{Replica, command_id, entry, joined, sealed};
use proptest::prelude::*;

/// A cluster of one node that can run nothing, so that requests wait until they are stopped.
struct World {
    replica: Replica,
    commands: u64,
    requests: u8,
}

impl World {
    fn new() -> Self {
        let mut world = Self { replica: Replica::default(), commands: 0, requests: 0 };
        world.apply(Command::NodeJoined(joined(1, 1))).unwrap();
        world
    }

    fn apply(&mut self, command: Command) -> Reply {
        self.entry(command).replies.remove(0).1
    }

    fn entry(&mut self, command: Command) -> Applied {
        self.commands += 1;
        let sealed = sealed(command_id(1, 1, self.commands), None, command);
        self.replica.apply(self.commands, &entry(self.commands, vec![], vec![sealed]))
    }

    fn state(&self) -> &State {
        &self.replica.state
    }

    fn current(&self) -> Option<SpecsId> {
        self.state().specs.current_id()
    }

    /// Pushes over what is current.
    fn push(&mut self, files: &[(&str, &str)]) -> Reply {
        let expected = self.current();
        self.apply(push(files, expected))
    }

    /// Pushes, and says which content that is.
    fn pushed(&mut self, files: &[(&str, &str)]) -> SpecsId {
        let Ok(Answer::SpecsPushed { version, .. }) = self.push(files) else { panic!("it was refused") };
        version
    }

    fn create(&mut self, specs: Option<SpecsId>) -> (RequestId, Reply) {
        self.requests += 1;
        let id = RequestId([self.requests; 12]);
        (id, self.apply(Command::CreateRequest(Arc::new(request(id, specs)))))
    }

    fn stop(&mut self, request: RequestId) -> Reply {
        self.apply(Command::StopRequest(StopRequest { request }))
    }

    /// How many texts have a row.
    fn texts(&self) -> usize {
        self.replica.rows.keys().filter(|key| Table::of(key) == Some(Table::SpecText)).count()
    }
}

fn push(files: &[(&str, &str)], expected: Option<SpecsId>) -> Command {
    let file = |(path, text): &(&str, &str)| SpecFile { path: (*path).into(), text: (*text).into() };
    Command::PushSpecs(Arc::new(PushSpecs {
        files: files.iter().map(file).collect(),
        expected,
        by: "ann".into(),
    }))
}

fn revert(to: SpecsId, expected: Option<SpecsId>) -> Command {
    Command::RevertSpecs(RevertSpecs { to, expected, by: "bob".into() })
}

/// A request that no node can run.
fn request(id: RequestId, specs: Option<SpecsId>) -> CreateRequest {
    let spec = "sequences: {R: {request: true, nodes: {a: {category: job, type: nowhere}}}}";
    let loaded = Arc::new(Specs::load([("a.yaml", spec)]).unwrap());
    let mut ids = 0..;
    let draw = move || format!("{:04}", ids.next().unwrap()).parse::<JobId>().unwrap();
    let mut builder = Builder::new(loaded, "R", &JsonMap::new(), draw);
    let mut created = Vec::new();
    loop {
        match builder.step(std::mem::take(&mut created)) {
            Step::Done(built) => return CreateRequest { specs, ..built.into_request(id, "".into()) },
            Step::Refused(refusal) => panic!("{refusal}"),
            Step::Need(calls) => {
                let made = |job| Created { job, result: Ok(CreateOutput::default()) };
                created.extend(calls.into_iter().map(|call| made(call.job)));
            }
        }
    }
}

#[test]
fn a_push_is_refused_when_another_came_first() {
    let mut world = World::new();
    let first = world.pushed(&[("a.yaml", "1")]);
    assert_eq!(first, SpecsId::of([("a.yaml", "1")]));
    let refused = Err(Rejection::OtherSpecs { current: Some(first) });
    assert_eq!(world.apply(push(&[("a.yaml", "2")], None)), refused);
    assert_eq!(world.apply(push(&[("a.yaml", "2")], Some(SpecsId::of([])))), refused);
    assert_eq!(world.current(), Some(first));

    let second = world.pushed(&[("a.yaml", "2"), ("b.yaml", "1")]);
    let version = world.state().specs.current().unwrap();
    assert_eq!((version.number, version.id, version.parent), (VersionNumber(2), second, Some(first)));
    assert_eq!((&*version.pushed_by, version.pushed_at), ("ann", world.state().log_time()));
    let files: Vec<_> = world.state().specs.files(version).map(|(path, text)| (&**path, &**text)).collect();
    assert_eq!(files, [("a.yaml", "2"), ("b.yaml", "1")]);
}

#[test]
fn the_same_content_again_is_no_version() {
    let mut world = World::new();
    let id = world.pushed(&[("a.yaml", "1")]);
    let applied = world.entry(push(&[("a.yaml", "1")], Some(id)));
    assert_eq!(applied.replies[0].1, Ok(Answer::SpecsPushed { version: id, changed: false }));
    assert_eq!((applied.events.len(), world.state().specs.versions().count()), (0, 1));
}

#[test]
fn a_revert_makes_old_content_a_new_version() {
    let mut world = World::new();
    let first = world.pushed(&[("a.yaml", "1"), ("b.yaml", "x")]);
    let second = world.pushed(&[("a.yaml", "2"), ("b.yaml", "x")]);
    assert_eq!(world.apply(revert(first, Some(first))), Err(Rejection::OtherSpecs { current: Some(second) }));
    let nothing = SpecsId::of([]);
    assert_eq!(world.apply(revert(nothing, Some(second))), Err(Rejection::NoSuchSpecs { version: nothing }));

    let applied = world.entry(revert(first, Some(second)));
    assert_eq!(applied.replies[0].1, Ok(Answer::SpecsPushed { version: first, changed: true }));
    assert!(matches!(&applied.events[..], [Event::SpecsPushed { texts, .. }] if texts.is_empty()));
    let version = world.state().specs.current().unwrap();
    assert_eq!(
        (version.number, version.parent, &*version.pushed_by),
        (VersionNumber(3), Some(second), "bob")
    );
    assert_eq!((world.current(), world.texts()), (Some(first), 3), "texts are kept once");
}

#[test]
fn the_oldest_versions_go_and_their_texts_with_them() {
    let mut world = World::new();
    for number in 1..=VERSIONS_KEPT + 7 {
        world.pushed(&[("a.yaml", &format!("{number}")), ("b.yaml", "of all")]);
    }
    let store = &world.state().specs;
    assert_eq!(store.versions().count(), VERSIONS_KEPT);
    assert_eq!(store.versions().next().unwrap().number, VersionNumber(8));
    assert_eq!(world.texts(), VERSIONS_KEPT + 1);
    assert!(store.version(SpecsId::of([("a.yaml", "7"), ("b.yaml", "of all")])).is_none());
}

#[test]
fn what_a_live_request_was_built_from_stays() {
    let mut world = World::new();
    let first = world.pushed(&[("a.yaml", "0")]);
    let (request, created) = world.create(Some(first));
    assert!(created.is_ok(), "{created:?}");
    for number in 1..=VERSIONS_KEPT + 3 {
        world.pushed(&[("a.yaml", &format!("{number}"))]);
    }
    let store = &world.state().specs;
    assert_eq!(
        (store.version(first).unwrap().number, store.versions().count()),
        (VersionNumber(1), VERSIONS_KEPT)
    );
    world.stop(request).unwrap();
    world.pushed(&[("a.yaml", "last")]);
    assert_eq!(world.state().specs.version(first), None);
}

#[test]
fn a_request_is_stored_only_from_the_current_specs() {
    let mut world = World::new();
    let nothing = SpecsId::of([]);
    assert_eq!(world.create(Some(nothing)).1, Err(Rejection::BuiltFromOtherSpecs { current: None }));
    assert!(world.create(None).1.is_ok(), "it is not from the cluster's specs");
    let first = world.pushed(&[("a.yaml", "1")]);
    let second = world.pushed(&[("a.yaml", "2")]);
    let refused = Err(Rejection::BuiltFromOtherSpecs { current: Some(second) });
    assert_eq!(world.create(Some(first)).1, refused);
    let (request, created) = world.create(Some(second));
    assert!(created.is_ok(), "{created:?}");
    assert_eq!(world.state().requests.get(&request).unwrap().created.specs, Some(second));
}

#[test]
fn a_push_is_refused_when_too_much_is_needed() {
    let mut world = World::new();
    let mut reply = Ok(Answer::Done);
    let mut pushes = 0;
    while reply.is_ok() {
        assert!(pushes <= VERSIONS_MAX, "no bound");
        pushes += 1;
        reply = world.push(&[("a.yaml", &format!("{pushes}"))]);
        let current = world.current();
        world.create(current).1.unwrap();
    }
    let count_max = VERSIONS_MAX as u64;
    let what = "versions of specs that live requests were built from".to_owned();
    assert_eq!((reply, pushes), (Err(Rejection::TooMany { what, count_max }), VERSIONS_MAX + 1));
}

#[test]
fn files_are_bounded_and_named_within_their_directory() {
    let mut world = World::new();
    let long = "x".repeat(FILE_BYTES_MAX);
    let many: Vec<String> = (0..=FILES_MAX).map(|number| format!("{number:05}.yaml")).collect();
    let many: Vec<_> = many.iter().map(|path| (path.as_str(), "")).collect();
    let of_all = [("a", &*long), ("b", &long), ("c", &long), ("d", &long)];
    assert!(FILE_BYTES_MAX * of_all.len() + 1 > VERSION_BYTES_MAX);
    let too_long = format!("{long}x");
    let cases: [(&[(&str, &str)], &str); 11] = [
        (&many, "there may be at most 1000 spec files"),
        (&of_all, "the version has"),
        (&[("a", &too_long)], "spec file a has 1048577 bytes"),
        (&[("a", ""), ("a", "")], "it is there twice"),
        (&[("b", ""), ("a", "")], "not in the order"),
        (&[("../a", "")], "none of them . or .."),
        (&[("/a", "")], "names with / between"),
        (&[("", "")], "names with / between"),
        (&[("a//b", "")], "names with / between"),
        (&[("a\n+++ b", "")], "it has a control character"),
        (&[("a\0", "")], "it has a control character"),
    ];
    for (files, said) in cases {
        let refused = world.push(files).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
    assert_eq!(world.current(), None);
}

#[test]
fn texts_are_bounded_together() {
    // Without a look at all of it after each entry, which takes long.
    let mut state = State::default();
    let mut seq = 0;
    let mut run = |state: &mut State, command| {
        seq += 1;
        let command = sealed(command_id(1, 1, seq), None, command);
        apply::apply(state, seq, &entry(seq, vec![], vec![command])).replies.remove(0).1.unwrap()
    };
    run(&mut state, Command::NodeJoined(joined(1, 1)));
    let text = "x".repeat(FILE_BYTES_MAX - 8);
    for number in 0..20 {
        let texts: Vec<String> = (0..3).map(|file| format!("{number:03}{file}{text}")).collect();
        let files: Vec<_> = ["a", "b", "c"].into_iter().zip(texts.iter().map(String::as_str)).collect();
        let expected = state.specs.current_id();
        run(&mut state, push(&files, expected));
        assert!(state.specs.text_bytes() <= TEXT_BYTES_KEPT);
    }
    assert!(state.specs.text_bytes() > TEXT_BYTES_KEPT / 2);
}

#[derive(Debug, Clone)]
enum Deed {
    Push { files: BTreeMap<u8, u8>, stale: bool },
    Revert(prop::sample::Index),
    Create { stale: bool },
    Stop(prop::sample::Index),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (prop::collection::btree_map(0..4_u8, 0..5_u8, 0..4), prop::bool::weighted(0.1))
            .prop_map(|(files, stale)| Deed::Push { files, stale }),
        1 => any::<prop::sample::Index>().prop_map(Deed::Revert),
        1 => prop::bool::weighted(0.2).prop_map(|stale| Deed::Create { stale }),
        1 => any::<prop::sample::Index>().prop_map(Deed::Stop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The replica checks after each entry that texts, uses, rows and requests agree.
    #[test]
    fn texts_and_versions_agree_whatever_happens(deeds in prop::collection::vec(deed(), 1..90)) {
        let mut world = World::new();
        let mut live = Vec::new();
        let mut shadow: Vec<(SpecsId, Vec<(String, String)>)> = Vec::new();
        for deed in deeds {
            let current = world.current();
            let stale = SpecsId::of([("stale", "")]);
            match deed {
                Deed::Push { files, stale: is_stale } => {
                    let files: Vec<_> = files.iter().map(|(path, text)| (format!("{path}"), format!("{text}"))).collect();
                    let borrowed: Vec<_> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
                    let reply = world.apply(push(&borrowed, if is_stale { Some(stale) } else { current }));
                    prop_assert_eq!(reply.is_ok(), !is_stale);
                    if let Ok(Answer::SpecsPushed { version, .. }) = reply {
                        shadow.push((version, files));
                    }
                }
                Deed::Revert(to) if !shadow.is_empty() => {
                    let (to, files) = to.get(&shadow).clone();
                    if world.apply(revert(to, current)).is_ok() {
                        shadow.push((to, files));
                    }
                }
                Deed::Create { stale: is_stale } => {
                    let specs = if is_stale { Some(stale) } else { current };
                    let (request, reply) = world.create(specs);
                    prop_assert_eq!(reply.is_ok(), !is_stale);
                    if reply.is_ok() {
                        live.push(request);
                    }
                }
                Deed::Stop(which) if !live.is_empty() => {
                    let request = live.remove(which.index(live.len()));
                    world.stop(request).unwrap();
                }
                Deed::Revert(_) | Deed::Stop(_) => {}
            }
            prop_assert_eq!(world.current(), shadow.last().map(|(id, _)| *id));
            if let Some((_, expected)) = shadow.last() {
                let store = &world.state().specs;
                let files = store.files(store.current().unwrap());
                let files: Vec<_> = files.map(|(path, text)| (path.to_string(), text.to_string())).collect();
                prop_assert_eq!(&files, expected);
            }
        }
    }
}
