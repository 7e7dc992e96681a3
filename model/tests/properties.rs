//! What holds whatever is in the log. `Replica::apply` adds, after every entry: the rows load to the same State, the checksum is
//! that of the rows, log time is monotone, and every invariant holds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{collections::BTreeMap, sync::Arc};

use capstan_model::{
    apply::apply,
    auth::{
        AuthCommand, Author, CreateToken, Credential, PolicyChange,
        token::{SecretHash, TokenId},
    },
    command::{Command, Condition, Entry, Idempotency, IdempotencyScope, Opened, Sealed, Settled},
    ids::{ClusterId, Incarnation},
    rejection::Rejection,
    reply::Reply,
    rows::{RowChange, Table},
    settings::{ReadConsistency, Setting},
    state::State,
};
use common::{Replica, command_id, entry, incarnation, joined, sealed};
use proptest::prelude::*;

/// Few nodes, lives, numbers, names and keys, so that they meet.
fn any_command() -> impl Strategy<Value = Sealed> {
    let id = (1..=2_u64, 1..=2_u64, 1..=12_u64).prop_map(|(node, boot, seq)| command_id(node, boot, seq));
    (id, any_author(), any_call(), any_body()).prop_map(|(id, author, idempotency, command)| {
        Sealed::seal(id, Opened { author, idempotency, command }).unwrap()
    })
}

/// Mostly the cluster itself; else somebody with one of few tokens, or nobody in particular.
fn any_author() -> impl Strategy<Value = Option<Author>> {
    let of_token = any_token()
        .prop_map(|id| Some(Author { name: "ann".into(), credential: Credential::Token(id), acl: None }));
    prop_oneof![4 => Just(None), 1 => Just(Some(Author::anonymous())), 3 => of_token]
}

fn any_token() -> impl Strategy<Value = TokenId> {
    (1..=3_u8).prop_map(|id| TokenId([id; 8]))
}

fn any_auth() -> impl Strategy<Value = AuthCommand> {
    let role = prop_oneof![Just("admin"), Just("operator"), Just("reader")];
    let create = (any_token(), role, prop::option::of(1..9_u64)).prop_map(|(id, role, hours)| {
        AuthCommand::CreateToken(Box::new(CreateToken {
            id,
            caller: "ann".into(),
            roles: vec![role.into()],
            hash: SecretHash([7; 32]),
            created_by: "".into(),
            lifetime_secs: hours.map(|hours| hours * 3_600),
        }))
    });
    let change = prop::option::of(any::<bool>())
        .prop_map(|required| AuthCommand::ChangePolicy(PolicyChange { required, ..PolicyChange::default() }));
    prop_oneof![
        3 => create,
        1 => any_token().prop_map(|id| AuthCommand::RevokeToken { id }),
        1 => change,
        1 => Just(AuthCommand::DropExpired),
    ]
}

fn any_body() -> impl Strategy<Value = Command> {
    let name = || "[ab]{1,2}".prop_map(|name| name.parse().unwrap());
    let condition = || {
        prop_oneof![
            3 => Just(Condition::Any),
            1 => Just(Condition::Absent),
            2 => (1..9_u64).prop_map(Condition::Revision),
        ]
    };
    prop_oneof![
        8 => (name(), "[a-z]{0,9}", condition()).prop_map(|(name, value, condition)| {
            Command::PutVariable { name, value: value.into(), condition }
        }),
        3 => (name(), condition()).prop_map(|(name, condition)| Command::DeleteVariable { name, condition }),
        2 => (1..=2_u64, 1..=3_u64).prop_map(|(node, boot)| Command::NodeJoined(joined(node, boot))),
        3 => any_auth().prop_map(Command::Auth),
        1 => prop_oneof![Just(7), Just(8)].prop_map(|id| Command::FoundCluster { cluster: ClusterId(id) }),
        1 => prop_oneof![
            (1..3_u64).prop_map(Setting::VariablesMax),
            (0..3_u32).prop_map(Setting::IdempotencyHours),
            Just(Setting::ReadConsistency(ReadConsistency::Stale)),
        ].prop_map(Command::SetSetting),
    ]
}

fn any_call() -> impl Strategy<Value = Option<Idempotency>> {
    let call = (0..3_u8, 0..2_u128).prop_map(|(key, body_hash)| {
        let [caller, method, path] = ["", "PUT", "/cluster/v1/variables/a"].map(Arc::from);
        Idempotency {
            scope: IdempotencyScope { caller, method, path, key: key.to_string().into() },
            body_hash,
        }
    });
    prop_oneof![3 => Just(None), 1 => call.prop_map(Some)]
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let settled = (1..=2_u64, 1..=2_u64, 0..9_u64)
        .prop_map(|(node, boot, below)| Settled { incarnation: incarnation(node, boot), below });
    let commands = prop::collection::vec(any_command(), 0..8);
    // Hours apart, so that idempotency keys expire, and not in order.
    (0..40_u64, prop::collection::vec(settled, 0..2), commands)
        .prop_map(|(hours, settled, commands)| entry(hours * 3_600, settled, commands))
}

/// Entries after both nodes have joined.
fn any_log() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec(any_entry(), 1..12).prop_map(|mut log| {
        let join = |node| sealed(command_id(node, 1, 99), None, Command::NodeJoined(joined(node, 1)));
        log.insert(0, entry(0, vec![], vec![join(1), join(2)]));
        log
    })
}

fn indexed(log: &[Entry]) -> impl Iterator<Item = (u64, &Entry)> {
    (1..).zip(log)
}

proptest! {
    #[test]
    fn a_snapshot_and_the_tail_give_what_the_log_gives(log in any_log(), cut in 0..12_usize) {
        let mut whole = Replica::default();
        let mut restored = Replica::default();
        for (index, entry) in indexed(&log) {
            let applied = whole.apply(index, entry);
            if index as usize > cut.min(log.len() - 1) {
                prop_assert_eq!(&restored.apply(index, entry), &applied);
            } else {
                restored.state = State::load(whole.rows.clone()).unwrap();
                restored.rows = whole.rows.clone();
            }
        }
        prop_assert_eq!(restored.state, whole.state);
        prop_assert_eq!(restored.rows, whole.rows);
    }

    #[test]
    fn a_repeated_command_changes_nothing(log in any_log()) {
        let mut replica = Replica::default();
        let mut index = 0;
        for entry in &log {
            index += 1;
            let applied = replica.apply(index, entry);
            // Refused for want of a session: it can run when its node has joined, which proposes nothing before.
            let Entry::V1 { time, commands, .. } = entry;
            let known = |reply: &_| !matches!(reply, Err(Rejection::SessionOver { .. }));
            let repeated: Vec<_> =
                commands.iter().zip(&applied.replies).filter(|(_, (_, reply))| known(reply)).collect();
            let commands = repeated.iter().map(|(sealed, _)| (*sealed).clone()).collect();

            let before = replica.state.clone();
            index += 1;
            let again = replica.apply(index, &Entry::V1 { time: *time, settled: vec![], commands });
            prop_assert!(again.events.is_empty(), "{:?}", again.events);
            for ((_, reply), (sealed, first)) in again.replies.iter().zip(&repeated) {
                let over = Rejection::SessionOver { incarnation: sealed.id.incarnation };
                let natural = matches!(sealed.open(), Ok(opened) if natural(&opened));
                prop_assert!(natural || *reply == first.1 || *reply == Err(over), "{reply:?}, first {first:?}");
            }
            // A shorter window, set by this entry, lets idempotency keys expire at the next.
            let untouched = again.rows.iter().filter(|change| !is_housekeeping(change));
            prop_assert_eq!(untouched.collect::<Vec<_>>(), Vec::<&RowChange>::new());
            prop_assert_eq!(&replica.state.variables, &before.variables);
            prop_assert_eq!(&replica.state.sessions, &before.sessions);
        }
    }

    #[test]
    fn one_entry_or_many_make_no_difference(log in any_log()) {
        let (mut batched, mut single) = (Replica::default(), Replica::default());
        let mut index = 0;
        for (batch_index, mut entry) in (1..).zip(log) {
            // Keys expire between entries, so what changes their window shows there.
            let Entry::V1 { commands, .. } = &mut entry;
            commands.retain(|sealed| !changes_idempotency_window(sealed));
            let replies = batched.apply(batch_index, &entry).replies;
            let Entry::V1 { time, settled, commands } = &entry;
            let mut one_by_one = vec![];
            for (place, sealed) in commands.iter().enumerate() {
                index += 1;
                let settled = if place == 0 { settled.clone() } else { vec![] };
                let alone = Entry::V1 { time: *time, settled, commands: vec![sealed.clone()] };
                one_by_one.extend(single.apply(index, &alone).replies);
            }
            if commands.is_empty() {
                index += 1;
                single.apply(index, &entry);
            }
            prop_assert_eq!(&one_by_one, &replies);
        }
        prop_assert_eq!(&batched.state.variables, &single.state.variables);
        prop_assert_eq!(remembered(&batched.state), remembered(&single.state));
        prop_assert_eq!(&batched.state.nodes, &single.state.nodes);
        prop_assert_eq!(&batched.state.auth, &single.state.auth);
    }

    #[test]
    fn applying_twice_is_applying_once(log in any_log()) {
        let mut replica = Replica::default();
        for (index, entry) in indexed(&log) {
            replica.apply(index, entry);
            let mut again = replica.state.clone();
            for (earlier, entry) in indexed(&log[..index as usize]) {
                prop_assert!(apply(&mut again, earlier, entry).rows.is_empty());
            }
            prop_assert_eq!(&again, &replica.state);
        }
    }

    #[test]
    fn an_entry_decodes_to_what_was_encoded(entry in any_entry()) {
        let bytes = postcard::to_stdvec(&entry).unwrap();
        prop_assert_eq!(&postcard::from_bytes::<Entry>(&bytes).unwrap(), &entry);
        let Entry::V1 { commands, .. } = entry;
        for sealed in commands {
            let bytes = Sealed::seal(sealed.id, sealed.open().unwrap()).unwrap().bytes;
            prop_assert_eq!(bytes, sealed.bytes);
        }
    }
}

/// What every live session remembers; which replies share a row is left out.
fn remembered(state: &State) -> Vec<(Incarnation, u64, BTreeMap<u64, &Reply>)> {
    state
        .sessions
        .iter()
        .map(|session| (session.incarnation(), session.lowest(), session.replies()))
        .collect()
}

fn is_housekeeping(change: &RowChange) -> bool {
    match change {
        RowChange::Put { key, .. } => Table::of(key) == Some(Table::Tick),
        RowChange::Delete { key } => Table::of(key) == Some(Table::Idempotency),
    }
}

fn changes_idempotency_window(sealed: &Sealed) -> bool {
    matches!(sealed.open().unwrap().command, Command::SetSetting(Setting::IdempotencyHours(_)))
}

fn natural(opened: &Opened) -> bool {
    opened.command.has_natural_key()
}
