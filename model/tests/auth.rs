//! Who may have what done, as apply sees it: the last place where it is checked, and the same on every node.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{ops::Range, sync::Arc};

use capstan_model::{
    apply::apply,
    auth::{
        Acl, AclEntry, AuthCommand, Author, CreateToken, Credential, DeniedBecause, NotAuthenticated,
        Operation, PolicyChange,
        audit::{self, Wanted},
        token::{SecretHash, TokenId},
    },
    command::{Command, Condition, Entry, Idempotency, IdempotencyScope, Opened, Sealed, Settled, Stored},
    ids::{NodeId, RequestId},
    rejection::Rejection,
    reply::{Answer, Reply},
    workflow::command::StopRequest,
};
use common::{Replica, command_id, entry, incarnation, joined, memory_rows::MemoryRows, sealed};

/// A cluster with one node, whose commands come a second apart.
struct World {
    replica: Replica,
    index: u64,
    secs: u64,
    /// The number of the last command of the node's session.
    seq: u64,
}

const DAY: u64 = 24 * 3_600;

impl World {
    fn new() -> Self {
        let mut replica = Replica::default();
        let join = sealed(command_id(1, 1, 99), None, Command::NodeJoined(joined(1, 1)));
        replica.apply(1, &entry(1_000, vec![], vec![join]));
        Self { replica, index: 1, secs: 1_000, seq: 0 }
    }

    /// With an administrator, `root`, whose token is the one numbered 1, and auth required.
    fn guarded() -> Self {
        let mut world = Self::new();
        world.make_token(1, "root", &["admin"], None).unwrap();
        world.change(&root(), PolicyChange { required: Some(true), ..PolicyChange::default() }).unwrap();
        world
    }

    /// Has the cluster itself make a token.
    fn make_token(&mut self, id: u8, caller: &str, roles: &[&str], lifetime_secs: Option<u64>) -> Reply {
        self.apply(None, None, Command::Auth(create(id, caller, roles, lifetime_secs)))
    }

    fn change(&mut self, author: &Author, change: PolicyChange) -> Reply {
        self.apply(Some(author), None, Command::Auth(AuthCommand::ChangePolicy(change)))
    }

    fn revoke(&mut self, author: &Author, id: u8) -> Reply {
        self.apply(Some(author), None, Command::Auth(AuthCommand::RevokeToken { id: token(id) }))
    }

    fn put(&mut self, author: &Author) -> Reply {
        self.apply(Some(author), None, put())
    }

    fn apply(
        &mut self,
        author: Option<&Author>,
        idempotency: Option<Idempotency>,
        command: Command,
    ) -> Reply {
        let opened = Opened { author: author.cloned(), idempotency, command };
        self.apply_batch(vec![opened]).remove(0)
    }

    /// All in one entry.
    fn apply_batch(&mut self, batch: Vec<Opened>) -> Vec<Reply> {
        let entry = self.next_entry(batch);
        let applied = self.replica.apply(self.index, &entry);
        applied.replies.into_iter().map(|(_, reply)| reply).collect()
    }

    /// The next entry, at `self.index`; all that came before it is settled.
    fn next_entry(&mut self, batch: Vec<Opened>) -> Entry {
        self.index += 1;
        self.secs += 1;
        let settled = vec![Settled { incarnation: incarnation(1, 1), below: self.seq + 1 }];
        let seal = |opened| {
            self.seq += 1;
            Sealed::seal(command_id(1, 1, self.seq), opened).unwrap()
        };
        let commands = batch.into_iter().map(seal).collect();
        entry(self.secs, settled, commands)
    }

    fn records(&self, wanted: &Wanted) -> Vec<String> {
        let page = audit::page(&MemoryRows(&self.replica.rows), wanted, 100).unwrap();
        page.records
            .iter()
            .map(|r| format!("{} {} {}: {}", r.number, r.caller, r.operation, r.what))
            .collect()
    }
}

fn token(id: u8) -> TokenId {
    TokenId([0, 0, 0, 0, 0, 0, 0, id])
}

fn of_token(id: u8) -> Author {
    // A name that an author brings counts for nothing beside a token; here all have one that is a lie.
    Author { name: "liar".into(), credential: Credential::Token(token(id)), acl: None }
}

fn root() -> Author {
    Author { name: "root".into(), ..of_token(1) }
}

fn create(id: u8, caller: &str, roles: &[&str], lifetime_secs: Option<u64>) -> AuthCommand {
    AuthCommand::CreateToken(Box::new(CreateToken {
        id: token(id),
        caller: caller.into(),
        roles: roles.iter().map(|role| Arc::from(*role)).collect(),
        hash: SecretHash([id; 32]),
        created_by: "root".into(),
        lifetime_secs,
    }))
}

fn put() -> Command {
    Command::PutVariable { name: "a".parse().unwrap(), value: "x".into(), condition: Condition::Any }
}

/// Why a command was refused, if it was refused for who had it proposed.
fn because(reply: &Reply) -> Option<DeniedBecause> {
    match reply {
        Err(Rejection::Denied(denied)) => Some(denied.because),
        _ => None,
    }
}

#[test]
fn without_auth_nobody_is_asked() {
    let mut world = World::new();
    assert!(world.put(&Author::anonymous()).is_ok());
    assert!(world.records(&Wanted::default()).is_empty(), "there is nobody to tell of");
}

#[test]
fn a_revoked_token_counts_for_nothing_from_its_entry_on() {
    let mut world = World::guarded();
    world.make_token(2, "ann", &["operator"], None).unwrap();
    assert!(world.put(&of_token(2)).is_ok());
    let by = |author: Author, command| Opened { author: Some(author), idempotency: None, command };
    let revoke = Command::Auth(AuthCommand::RevokeToken { id: token(2) });
    let replies = world.apply_batch(vec![by(of_token(2), put()), by(root(), revoke), by(of_token(2), put())]);
    assert!(replies[0].is_ok() && replies[1].is_ok(), "{replies:?}");
    assert_eq!(replies[2], Err(NotAuthenticated::NoSuchToken.into()), "in the same entry");
    let revision = world.replica.state.variables.revision();
    assert_eq!(revision, 2, "what is refused has changed nothing");
}

#[test]
fn a_token_expires_by_log_time() {
    let mut world = World::guarded();
    world.make_token(2, "ann", &["variables:write"], Some(10)).unwrap();
    let made_at = world.secs;
    world.secs = made_at + 8;
    assert!(world.put(&of_token(2)).is_ok(), "a second before its end");
    let expired = world.put(&of_token(2));
    assert!(
        matches!(&expired, Err(Rejection::NotAuthenticated(NotAuthenticated::Expired { name, .. })) if &**name == "ann"),
        "{expired:?}"
    );
    // A leader whose clock is behind does not bring it back: log time stands still.
    world.secs = made_at;
    assert!(world.put(&of_token(2)).is_err());
}

#[test]
fn what_a_call_may_do_is_asked_again_of_its_token() {
    let mut world = World::guarded();
    world.make_token(2, "ann", &["reader"], None).unwrap();
    assert_eq!(
        because(&world.put(&of_token(2))),
        Some(DeniedBecause::NoRole(Operation::WriteVariables)),
        "whatever the author says his name is"
    );
    assert_eq!(world.put(&Author::anonymous()), Err(NotAuthenticated::Nothing.into()));
    let receptor = Author { name: "diego".into(), credential: Credential::Receptor, acl: None };
    assert_eq!(because(&world.put(&receptor)), Some(DeniedBecause::NoRole(Operation::WriteVariables)));
    let drain = Command::DrainNode { node: NodeId(1) };
    assert!(because(&world.apply(Some(&of_token(2)), None, drain)).is_some());
}

#[test]
fn what_only_the_cluster_does_no_client_does() {
    let mut world = World::guarded();
    let internal = [
        Command::TakeOver,
        Command::TrimEvents { below: 1 },
        Command::NodeJoined(joined(2, 1)),
        Command::Auth(AuthCommand::DropExpired),
    ];
    for command in internal {
        let reply = world.apply(Some(&root()), None, command);
        assert_eq!(because(&reply), Some(DeniedBecause::Internal));
    }
    assert!(world.replica.state.nodes.get(&NodeId(2)).is_none());
}

#[test]
fn an_acl_travels_with_the_command_and_is_asked_again() {
    let mut world = World::guarded();
    world.make_token(2, "ann", &["deploy"], None).unwrap();
    let stop = || Command::StopRequest(StopRequest { request: RequestId([7; 12]) });
    let acl = |stop| {
        let entry = AclEntry { role: "deploy".into(), admin: false, start: true, stop };
        Some(Acl(vec![entry]))
    };
    let mut asked = |acl| world.apply(Some(&Author { acl, ..of_token(2) }), None, stop());
    assert_eq!(because(&asked(acl(false))), Some(DeniedBecause::NotGranted));
    assert_eq!(because(&asked(None)), Some(DeniedBecause::NoSpec));
    let granted = asked(acl(true));
    assert!(matches!(granted, Err(Rejection::NotLive { .. })), "he may, and there is none: {granted:?}");
}

#[test]
fn auth_is_required_only_with_an_administrator() {
    let mut world = World::new();
    let require = || PolicyChange { required: Some(true), ..PolicyChange::default() };
    let nobody = Author::anonymous();
    assert_eq!(world.change(&nobody, require()), Err(Rejection::NoAdminLeft));
    world.make_token(2, "ann", &["operator"], None).unwrap();
    assert_eq!(world.change(&nobody, require()), Err(Rejection::NoAdminLeft), "it has no admin role");
    world.make_token(3, "bob", &["admin"], Some(5)).unwrap();
    assert_eq!(world.change(&nobody, require()), Err(Rejection::NoAdminLeft), "it will expire");
    // A role becomes an admin role in the same change.
    let ops = PolicyChange { admin_roles: Some(vec!["operator".into()]), ..require() };
    assert_eq!(world.change(&nobody, ops), Ok(Answer::Done));
    assert!(world.put(&nobody).is_err() && world.put(&of_token(2)).is_ok());
}

#[test]
fn the_last_administrator_stays_as_long_as_auth_is_required() {
    let mut world = World::guarded();
    assert_eq!(world.revoke(&root(), 1), Err(Rejection::NoAdminLeft));
    let none = PolicyChange { admin_roles: Some(vec!["nobody".into()]), ..PolicyChange::default() };
    assert_eq!(world.change(&root(), none), Err(Rejection::NoAdminLeft));
    world.make_token(3, "bob", &["admin"], Some(DAY)).unwrap();
    assert_eq!(world.revoke(&of_token(3), 1), Err(Rejection::NoAdminLeft), "only for a day");
    world.make_token(2, "ann", &["admin"], None).unwrap();
    assert_eq!(world.revoke(&of_token(3), 1), Ok(Answer::Done));
    let open = PolicyChange { required: Some(false), ..PolicyChange::default() };
    assert_eq!(world.change(&of_token(2), open), Ok(Answer::Done));
    assert_eq!(world.revoke(&Author::anonymous(), 2), Ok(Answer::Done));
    assert_eq!(world.replica.state.auth.tokens_len(), 1);
}

#[test]
fn no_administrator_takes_the_cluster_out_of_his_own_hands() {
    let mut world = World::guarded();
    world.make_token(2, "ann", &["reader"], None).unwrap();
    let roles = |roles: &[&str]| PolicyChange {
        admin_roles: Some(roles.iter().map(|role| Arc::from(*role)).collect()),
        ..PolicyChange::default()
    };
    // Somebody would be left, but who?
    assert_eq!(world.change(&root(), roles(&["reader"])), Err(Rejection::LocksOut));
    assert!(world.put(&root()).is_ok() && world.put(&of_token(2)).is_err());
    assert_eq!(world.change(&root(), roles(&["admin", "ops"])), Ok(Answer::Done));
    world.make_token(3, "bob", &["ops"], None).unwrap();
    assert_eq!(world.change(&of_token(3), roles(&["ops"])), Ok(Answer::Done), "who has it may");
    // Where nobody is asked, there is no door to be locked.
    let open = PolicyChange { required: Some(false), ..PolicyChange::default() };
    assert_eq!(world.change(&of_token(3), open), Ok(Answer::Done));
    assert_eq!(world.change(&of_token(3), roles(&["admin"])), Ok(Answer::Done));
    let require = PolicyChange { required: Some(true), ..roles(&["ops"]) };
    assert_eq!(world.change(&root(), require), Err(Rejection::LocksOut));
}

#[test]
fn of_two_administrators_who_revoke_each_other_one_stays() {
    let mut world = World::guarded();
    world.make_token(2, "ann", &["admin"], None).unwrap();
    let revoke = |author, id| Opened {
        author: Some(author),
        idempotency: None,
        command: Command::Auth(AuthCommand::RevokeToken { id: token(id) }),
    };
    let replies = world.apply_batch(vec![revoke(root(), 2), revoke(of_token(2), 1)]);
    assert_eq!(replies, [Ok(Answer::Done), Err(NotAuthenticated::NoSuchToken.into())]);
    assert_eq!(world.replica.state.auth.tokens().map(|token| &*token.caller).collect::<Vec<_>>(), ["root"]);
    // And who change different things do not undo each other's.
    world.make_token(3, "bob", &["admin"], None).unwrap();
    let roles = Some(vec!["root".into(), "admin".into()]);
    world.change(&root(), PolicyChange { admin_roles: roles, ..PolicyChange::default() }).unwrap();
    world.change(&of_token(3), PolicyChange { strict: Some(true), ..PolicyChange::default() }).unwrap();
    let policy = world.replica.state.auth.policy();
    assert_eq!((policy.strict, policy.admin_roles.len(), policy.required), (true, 2, true));
}

#[test]
fn a_remembered_answer_is_not_told_to_somebody_who_was_revoked() {
    let mut world = World::guarded();
    world.make_token(2, "ann", &["operator"], None).unwrap();
    let [caller, method, path, key] = ["ann", "PUT", "/cluster/v1/variables/a", "k"].map(Arc::from);
    let call = Idempotency { scope: IdempotencyScope { caller, method, path, key }, body_hash: 1 };
    let first = world.apply(Some(&of_token(2)), Some(call.clone()), put());
    assert!(first.is_ok());
    assert_eq!(world.apply(Some(&of_token(2)), Some(call.clone()), put()), first);
    world.revoke(&root(), 2).unwrap();
    let again = world.apply(Some(&of_token(2)), Some(call), put());
    assert_eq!(again, Err(NotAuthenticated::NoSuchToken.into()));
}

#[test]
fn what_is_no_token_is_refused_and_stores_nothing() {
    let mut world = World::new();
    world.make_token(1, "ann", &["admin"], None).unwrap();
    let long = "x".repeat(101);
    let many: Vec<String> = (0..33).map(|n| format!("role-{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let cases: [(u8, &str, &[&str], Option<u64>); 10] = [
        (1, "ann", &["admin"], None),
        (2, "", &["admin"], None),
        (2, " ann", &["admin"], None),
        (2, "a\nb", &["admin"], None),
        (2, &long, &["admin"], None),
        (2, "ann", &[], None),
        (2, "ann", &[&long], None),
        (2, "ann", &many, None),
        (2, "ann", &["admin"], Some(0)),
        (2, "ann", &["admin"], Some(3_651 * DAY)),
    ];
    for (id, caller, roles, life) in cases {
        let reply = world.make_token(id, caller, roles, life);
        assert!(reply.is_err(), "{caller:?} {roles:?} {life:?}");
    }
    assert_eq!(world.replica.state.auth.tokens_len(), 1);
    world.make_token(2, "ann", &["b", "a", "b"], Some(3_650 * DAY)).unwrap();
    let made = world.replica.state.auth.token(token(2)).unwrap();
    assert_eq!(made.roles.iter().map(|role| &**role).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn tokens_whose_time_is_over_make_room() {
    let mut world = World::new();
    let batch = |numbers: Range<u32>, life| {
        let make = |n: u32| {
            let AuthCommand::CreateToken(mut token) = create(0, "ann", &["reader"], life) else {
                unreachable!("made as one")
            };
            token.id.0[..4].copy_from_slice(&n.to_be_bytes());
            Opened {
                author: None,
                idempotency: None,
                command: Command::Auth(AuthCommand::CreateToken(token)),
            }
        };
        numbers.map(make).collect::<Vec<_>>()
    };
    for from in (0..10_000).step_by(1_000) {
        let life = (from < 1_000).then_some(3_600);
        assert!(world.apply_batch(batch(from..from + 1_000, life)).iter().all(Result::is_ok));
    }
    let full = Err(Rejection::TooMany { what: "tokens".to_owned(), count_max: 10_000 });
    assert_eq!(world.apply_batch(batch(10_000..10_001, None)), [full]);
    let drop = || Command::Auth(AuthCommand::DropExpired);
    assert_eq!(world.apply(None, None, drop()), Ok(Answer::Done));
    assert_eq!(world.replica.state.auth.tokens_len(), 10_000, "not before their time");
    world.secs += 3_600;
    for left in [9_744, 9_488, 9_232, 9_000, 9_000] {
        assert_eq!(world.apply(None, None, drop()), Ok(Answer::Done));
        assert_eq!(world.replica.state.auth.tokens_len(), left);
    }
    assert_eq!(world.replica.state.auth.next_end(), None);
    assert!(world.apply_batch(batch(10_000..10_001, None)).iter().all(Result::is_ok));
}

#[test]
fn what_was_done_is_recorded_with_who_did_it() {
    let mut world = World::guarded();
    world.make_token(2, "ann", &["operator"], None).unwrap();
    let ann = Author { name: "ann".into(), ..of_token(2) };
    world.put(&ann).unwrap();
    let missing = Command::DeleteVariable { name: "b".parse().unwrap(), condition: Condition::Any };
    assert!(world.apply(Some(&ann), None, missing).is_err());
    world.apply(Some(&ann), None, Command::DrainNode { node: NodeId(1) }).unwrap();
    world.apply(Some(&root()), None, Command::Auth(create(3, "bob", &["dba"], None))).unwrap();
    let all = [
        "3 root auth:admin: made token 0000000000000003 for bob with dba",
        "2 ann cluster:write: drained node 1",
        "1 ann variables:write: set variable a",
        "0 root auth:admin: set auth required to true",
    ];
    assert_eq!(world.records(&Wanted::default()), all, "the newest first, and what was refused not at all");
    let of = |caller: Option<&str>, operation, after| Wanted {
        caller: caller.map(str::to_owned),
        operation,
        after,
    };
    assert_eq!(world.records(&of(Some("ann"), None, None)), all[1..3]);
    assert_eq!(world.records(&of(None, Some(Operation::Administer), None)), [all[0], all[3]]);
    assert_eq!(world.records(&of(None, None, Some(2))), all[2..]);
    let page = audit::page(&MemoryRows(&world.replica.rows), &Wanted::default(), 1).unwrap();
    assert_eq!((page.next, page.records[0].index), (Some(3), world.index));
    assert_eq!(page.records[0].token, Some(token(1)));
}

#[test]
fn the_oldest_records_give_way() {
    let mut world = World::guarded();
    let kept = audit::RECORDS_MAX;
    // Checking every invariant after every entry would take hours.
    while world.replica.state.auth.trail().next() < kept + 500 {
        let by_root = |_| Opened { author: Some(root()), idempotency: None, command: put() };
        let entry = world.next_entry((0..1_000).map(by_root).collect());
        let applied = apply(&mut world.replica.state, world.index, &entry);
        world.replica.write(&applied.rows);
    }
    world.replica.check();
    let trail = world.replica.state.auth.trail();
    assert_eq!(trail.next() - trail.first(), kept);
    let rows = MemoryRows(&world.replica.rows);
    // What is looked for is further back than one page looks.
    let mut wanted = Wanted { caller: Some("nobody".to_owned()), ..Wanted::default() };
    let mut pages = 0;
    loop {
        let page = audit::page(&rows, &wanted, 100).unwrap();
        assert!(page.records.is_empty());
        pages += 1;
        wanted.after = page.next;
        if page.next.is_none() {
            break;
        }
    }
    assert_eq!(pages, 11);
}

/// The bytes of what is stored or sent, held against `golden/auth.txt`; `CAPSTAN_GOLDEN=1` writes the file anew.
#[test]
fn stored_bytes_of_auth_are_as_shipped() {
    let change = |required, strict, admin_roles| PolicyChange { required, strict, admin_roles };
    let acl = Acl(vec![AclEntry { role: "dba".into(), admin: false, start: true, stop: false }]);
    let sent = [
        (Author::anonymous(), put()),
        (Author { acl: Some(acl), ..of_token(2) }, put()),
        (Author { name: "diego".into(), credential: Credential::Receptor, acl: None }, put()),
        (root(), Command::Auth(create(2, "ann", &["dba", "reader"], Some(300)))),
        (root(), Command::Auth(AuthCommand::RevokeToken { id: token(2) })),
        (
            root(),
            Command::Auth(AuthCommand::ChangePolicy(change(Some(true), None, Some(vec!["root".into()])))),
        ),
        (root(), Command::Auth(AuthCommand::DropExpired)),
    ];
    let mut lines = vec![];
    for (author, command) in sent {
        let stored = Stored::V2 { author, idempotency: None, command };
        let bytes = postcard::to_stdvec(&stored).unwrap();
        assert_eq!(postcard::from_bytes::<Stored>(&bytes).as_ref(), Ok(&stored));
        lines.push(format!("command {stored:?} = {}", hex(&bytes)));
    }
    let mut world = World::guarded();
    world.make_token(2, "ann", &["dba"], Some(300)).unwrap();
    world.put(&root()).unwrap();
    let is_ours = |table: u8| (0x30..0x40).contains(&table) || table == 0xa8;
    for (key, value) in world.replica.rows.iter().filter(|(key, _)| is_ours(key[0])) {
        lines.push(format!("row {} = {}", hex(key), hex(value)));
    }
    let found = lines.join("\n") + "\n";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/auth.txt");
    if std::env::var_os("CAPSTAN_GOLDEN").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(&path).unwrap(), "stored bytes have changed");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
