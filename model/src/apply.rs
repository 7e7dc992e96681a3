//! Applies committed entries: a dispatch table, and what holds for every command.
//!
//! A command that a client had proposed passes its author first ([`auth`]): he may be nobody any more. A command with a natural key goes straight to its handler. Any other passes its session and, when its caller sent one, its
//! idempotency key, and its reply is remembered in both. The handler decides, `State::evolve` applies what it decided.
//!
//! **Panics are contained per command.** Otherwise one bad entry would stop every replica, for ever. An entry runs
//! on State in place, with a clone from before it kept aside: in place, a map node is copied once per entry and not
//! once per command. If a command panics, the clone takes the place of the half-changed State and the entry runs
//! again, now with a clone before each command; what panics there is answered [`Rejection::Bug`] and has changed nothing.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{
    archive,
    auth::{self, Author},
    cluster,
    command::{Command, Entry, Opened, Sealed, Settled},
    event::Event,
    history,
    ids::CommandId,
    lrp, nodes,
    rejection::Rejection,
    reply::{Answer, Reply},
    rows::{RowChange, RowSink},
    settings, spec_store,
    state::State,
    task,
    time::Timestamp,
    variables, workflow,
};

/// What an entry did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Applied {
    /// The reply of each command, in the entry's order.
    pub replies: Vec<(CommandId, Reply)>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Which rows changed, in order; a row may change more than once.
    pub rows: Vec<RowChange>,
}

/// Applies the entry at `index`. An entry at or below [`State::index`] was applied before and does nothing.
pub fn apply(state: &mut State, index: u64, entry: &Entry) -> Applied {
    apply_with(state, index, entry, decide)
}

/// Moves the index past an entry without commands (blank, membership), appended by the leader of `term`.
pub fn apply_blank(state: &mut State, index: u64, term: u64) -> Vec<RowChange> {
    if index <= state.index {
        return vec![];
    }
    let tick = state.tick();
    (state.index, state.term) = (index, term);
    let mut sink = RowSink::new(index);
    tick.replace_with(&state.tick(), &mut sink);
    let (rows, checksum) = sink.finish();
    state.checksum = state.checksum.wrapping_add(checksum);
    rows
}

/// What a handler decided.
type Decision = Result<(Answer, Vec<Event>), Rejection>;

/// The dispatch table: reads State, decides, changes nothing. `at` is now, in log time.
fn decide(state: &State, at: Timestamp, command: &Command) -> Decision {
    match command {
        Command::FoundCluster { cluster } => cluster::found(state, at, *cluster),
        Command::NodeJoined(joined) => done(nodes::join(state, joined)),
        Command::PutVariable { name, value, condition } => variables::put(state, name, value, *condition),
        Command::DeleteVariable { name, condition } => variables::delete(state, name, *condition),
        Command::SetSetting(setting) => settings::set(&state.settings, *setting),
        Command::CreateRequest(create) => {
            workflow::handle::create_request(state, at, create).map(of_workflow)
        }
        Command::FinishTry(finish) => workflow::handle::finish_try(state, at, finish).map(of_workflow),
        Command::StartRetry(start) => workflow::handle::start_retry(state, at, start).map(of_workflow),
        Command::StopRequest(stop) => workflow::handle::stop_request(state, at, stop).map(of_workflow),
        Command::NodeLost { incarnation, term } => done(nodes::lose(state, *incarnation, *term)),
        Command::TakeOver => Ok(of_workflow((Answer::Done, workflow::handle::take_over(state, at)))),
        Command::DrainNode { node } => done(nodes::drain(state, *node, true)),
        Command::UndrainNode { node } => done(nodes::drain(state, *node, false)),
        Command::NodeLeaving { incarnation } => done(nodes::leave(state, *incarnation)),
        Command::EndSuspended { request } => {
            workflow::handle::end_suspended(state, at, *request).map(of_workflow)
        }
        Command::CreateWithTerms(create) => {
            workflow::handle::create_with_terms(state, at, create).map(of_workflow)
        }
        Command::Expire(expire) => workflow::expiry::expire(state, at, expire).map(of_workflow),
        Command::DecideApproval(decide) => workflow::approval::decide(state, at, decide).map(of_workflow),
        Command::PauseRequest(pause) => workflow::pause::pause(state, at, pause).map(of_workflow),
        Command::ResumeRequest(resume) => workflow::pause::resume(state, at, resume).map(of_workflow),
        Command::TrimEvents { below } => done(history::trim(state, *below)),
        Command::TrimRequests(trim) => done(archive::trim(state, trim)),
        Command::PushSpecs(push) => spec_store::push(state, at, push),
        Command::RevertSpecs(revert) => spec_store::revert(state, at, revert),
        Command::Task(command) => task::handle(state, at, command)
            .map(|events| (Answer::Done, events.into_iter().map(Event::Task).collect())),
        Command::Lrp(command) => {
            lrp::handle(state, at, command).map(|events| (Answer::Done, of_lrps(events)))
        }
        Command::Auth(command) => auth::handle(&state.auth, at, command)
            .map(|(answer, events)| (answer, events.into_iter().map(Event::Auth).collect())),
    }
}

fn done(events: Result<Vec<Event>, Rejection>) -> Decision {
    events.map(|events| (Answer::Done, events))
}

fn of_workflow((answer, events): (Answer, Vec<workflow::event::WorkflowEvent>)) -> (Answer, Vec<Event>) {
    (answer, events.into_iter().map(Event::Workflow).collect())
}

fn of_lrps(events: Vec<lrp::event::LrpEvent>) -> Vec<Event> {
    events.into_iter().map(Event::Lrp).collect()
}

/// What an event has as its consequence elsewhere; `state` is as the event left it.
fn consequences(state: &State, at: Timestamp, event: &Event) -> Vec<Event> {
    let mut events = for_requests(state, at, event);
    events.extend(of_lrps(lrp::follow(state, event)));
    events
}

fn for_requests(state: &State, at: Timestamp, event: &Event) -> Vec<Event> {
    match event {
        Event::NodeJoined(_)
        | Event::NodeLost { .. }
        | Event::NodeLeaving { .. }
        | Event::NodeDrained { draining: true, .. } => {
            workflow::handle::take_over(state, at).into_iter().map(Event::Workflow).collect()
        }
        Event::NodeDrained { node, draining: false } => {
            workflow::handle::go_on(state, at, *node).into_iter().map(Event::Workflow).collect()
        }
        Event::ClusterFounded(_)
        | Event::SessionEnded { .. }
        | Event::VariablePut { .. }
        | Event::VariableDeleted { .. }
        | Event::SettingChanged(_)
        | Event::Workflow(_)
        | Event::Lrp(_)
        | Event::Task(_)
        | Event::HistoryTrimmed { .. }
        | Event::RequestsTrimmed(_)
        | Event::Auth(_)
        | Event::SpecsPushed { .. }
        | Event::SpecsDropped { .. } => vec![],
    }
}

fn apply_with<D>(state: &mut State, index: u64, entry: &Entry, decide: D) -> Applied
where
    D: Fn(&State, Timestamp, &Command) -> Decision,
{
    if index <= state.index {
        return Applied::default();
    }
    let before = state.clone();
    let in_place = AssertUnwindSafe(|| Run::new(state, index, &decide).entry(entry, Containment::Entry));
    catch_unwind(in_place).unwrap_or_else(|_| {
        *state = before;
        Run::new(state, index, &decide).entry(entry, Containment::Command)
    })
}

/// How much a panic undoes.
#[derive(Debug, Clone, Copy)]
enum Containment {
    /// All of the entry: the caller starts over.
    Entry,
    /// The command that panicked.
    Command,
}

/// One pass over one entry.
struct Run<'a, D> {
    state: &'a mut State,
    index: u64,
    decide: &'a D,
    events: Vec<Event>,
    sink: RowSink,
}

impl<'a, D> Run<'a, D>
where
    D: Fn(&State, Timestamp, &Command) -> Decision,
{
    fn new(state: &'a mut State, index: u64, decide: &'a D) -> Self {
        Self { state, index, decide, events: vec![], sink: RowSink::new(index) }
    }

    fn entry(mut self, entry: &Entry, containment: Containment) -> Applied {
        let Entry::V1 { time, settled, commands } = entry;
        let (tick, history, archive) = (self.state.tick(), self.state.history, self.state.archive);
        self.state.index = self.index;
        // Leaders' clocks differ; time stands still until the new one's has caught up.
        self.state.log_time = self.state.log_time.max(*time);
        self.housekeep(settled);
        let replies = commands.iter().map(|sealed| (sealed.id, self.sealed(sealed, containment))).collect();
        self.state.sessions.close_entry(self.index, &mut self.sink);
        history.replace_with(&self.state.history, &mut self.sink);
        archive.replace_with(&self.state.archive, &mut self.sink);
        tick.replace_with(&self.state.tick(), &mut self.sink);
        let (rows, checksum) = self.sink.finish();
        self.state.checksum = self.state.checksum.wrapping_add(checksum);
        Applied { replies, events: self.events, rows }
    }

    /// Forgets what nobody can ask for any more.
    fn housekeep(&mut self, settled: &[Settled]) {
        for settled in settled {
            self.state.sessions.settle(*settled, &mut self.sink);
        }
        let window = self.state.settings.idempotency_window();
        self.state.idempotency.expire(self.state.log_time, window, &mut self.sink);
        for event in of_lrps(lrp::expire_domains(self.state, self.state.log_time)) {
            self.happen(event);
        }
    }

    fn sealed(&mut self, sealed: &Sealed, containment: Containment) -> Reply {
        match sealed.open() {
            Ok(opened) if opened.command.has_natural_key() => self.admitted(&opened, containment),
            opened => {
                if let Err(reply) = self.state.sessions.admit(&sealed.id) {
                    return reply;
                }
                let reply = match opened {
                    Ok(opened) => self.call(&opened, containment),
                    Err(e) => Err(Rejection::Undecodable { message: e.to_string() }),
                };
                self.state.sessions.remember(&sealed.id, &reply);
                reply
            }
        }
    }

    /// Executes a command unless its client made the call before.
    fn call(&mut self, opened: &Opened, containment: Containment) -> Reply {
        let Some(call) = &opened.idempotency else { return self.admitted(opened, containment) };
        let before = self.state.idempotency.admit(call);
        // What was answered before is told only to those who might ask for it still.
        if before.is_ok() || !mutant!("answered-before-denied") {
            self.admit(opened)?;
        }
        if let Err(reply) = before {
            return reply;
        }
        let reply = self.contain(opened, containment);
        self.state.idempotency.remember(call.clone(), self.state.log_time, &reply, &mut self.sink);
        reply
    }

    fn admitted(&mut self, opened: &Opened, containment: Containment) -> Reply {
        self.admit(opened)?;
        self.contain(opened, containment)
    }

    /// Lets a command pass if its author may have it done still; the cluster itself always may.
    fn admit(&self, opened: &Opened) -> Result<(), Rejection> {
        match &opened.author {
            Some(_) if mutant!("author-not-asked-in-apply") => Ok(()),
            Some(author) => auth::admit(&self.state.auth, self.state.log_time, author, &opened.command),
            None => Ok(()),
        }
    }

    fn contain(&mut self, opened: &Opened, containment: Containment) -> Reply {
        let Opened { author, command, .. } = opened;
        match containment {
            Containment::Entry => self.execute(author.as_ref(), command),
            Containment::Command => {
                let (state, events, rows) = (self.state.clone(), self.events.len(), self.sink.mark());
                let executed = AssertUnwindSafe(|| self.execute(author.as_ref(), command));
                catch_unwind(executed).unwrap_or_else(|panic| {
                    *self.state = state;
                    self.events.truncate(events);
                    self.sink.rewind(rows);
                    Err(Rejection::Bug { message: message_of(&*panic) })
                })
            }
        }
    }

    fn execute(&mut self, author: Option<&Author>, command: &Command) -> Reply {
        let at = self.state.log_time;
        let (answer, events) = (self.decide)(self.state, at, command)?;
        for event in events {
            self.state.evolve(&event, &mut self.sink);
            let consequences = consequences(self.state, at, &event);
            self.tell(event);
            for event in consequences {
                self.happen(event);
            }
        }
        if let Some(author) = author {
            self.state.auth.record(at, author, command, &mut self.sink);
        }
        Ok(answer)
    }

    fn happen(&mut self, event: Event) {
        self.state.evolve(&event, &mut self.sink);
        self.tell(event);
    }

    /// Records an event that has changed State.
    fn tell(&mut self, event: Event) {
        history::record(self.state, &event, &mut self.sink);
        self.events.push(event);
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let message =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    message.unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{Condition, NodeJoined},
        ids::{DiskId, Incarnation, NodeId, VariableName},
        invariant,
    };

    const LIFE: Incarnation = Incarnation { node: NodeId(1), boot: 1, nonce: 0 };

    fn put(seq: u64, name: &str) -> Sealed {
        let name = name.parse().unwrap();
        let put = Command::PutVariable { name, value: "x".into(), condition: Condition::Any };
        Sealed::new(CommandId { incarnation: LIFE, seq }, None, put).unwrap()
    }

    fn entry(commands: Vec<Sealed>) -> Entry {
        Entry::V1 { time: Timestamp(1), settled: vec![], commands }
    }

    #[test]
    fn a_blank_entry_moves_index_and_term_and_its_rows_load_to_the_same() {
        let mut state = with_session();
        let mut rows = std::collections::BTreeMap::new();
        for (index, term) in [(2, 3), (3, 3), (4, 9)] {
            for change in apply_blank(&mut state, index, term) {
                let RowChange::Put { key, value } = change else { panic!("{change:?}") };
                rows.insert(key, value);
            }
            assert_eq!((state.index(), state.term()), (index, term));
        }
        assert_eq!(apply_blank(&mut state, 4, 10), [], "once only");
        assert_eq!(state.term(), 9);
        let mut expected = RowSink::new(4);
        state.dump(&mut expected);
        assert_eq!(expected.finish().1, state.checksum(), "the sum follows the rows");
        let loaded = State::load(rows).unwrap();
        assert_eq!((loaded.index(), loaded.term(), loaded.log_time()), (4, 9, state.log_time()));
    }

    fn with_session() -> State {
        let joined = NodeJoined {
            incarnation: LIFE,
            disk: DiskId(1),
            peer_address: "".into(),
            http_address: "".into(),
            slots: 0,
            job_types: vec![],
        };
        let id = CommandId { incarnation: LIFE, seq: 0 };
        let mut state = State::default();
        apply(&mut state, 1, &entry(vec![Sealed::new(id, None, Command::NodeJoined(joined)).unwrap()]));
        state
    }

    /// Decides as ever, but has a bug for variables whose name says where it bites.
    fn buggy(state: &State, at: Timestamp, command: &Command) -> Decision {
        let Command::PutVariable { name, .. } = command else { return decide(state, at, command) };
        let (answer, mut events) = decide(state, at, command)?;
        match name.as_str() {
            "bug.deciding" => panic!("the handler broke on {name}"),
            // Evolve breaks when half of the command's changes are made.
            "bug.evolving" => events.push(Event::VariableDeleted { name: "missing".parse().unwrap() }),
            _ => {}
        }
        Ok((answer, events))
    }

    #[test]
    fn a_panic_is_contained_to_its_command() {
        for (name, message) in [
            ("bug.deciding", "the handler broke on bug.deciding"),
            ("bug.evolving", "only a variable that exists is deleted"),
        ] {
            let poisoned = entry(vec![put(1, "a"), put(2, name), put(3, "b"), put(4, name), put(5, "c")]);
            let mut state = with_session();
            let applied = apply_with(&mut state, 2, &poisoned, buggy);

            let bug = Err(Rejection::Bug { message: message.to_owned() });
            let replies: Vec<_> = applied.replies.into_iter().map(|(_, reply)| reply).collect();
            let put = |revision| Ok(Answer::VariablePut { revision, created: true });
            assert_eq!(replies, [put(1), bug.clone(), put(2), bug, put(3)], "{name}");
            let names: Vec<_> = state.variables.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["a", "b", "c"]);
            assert_eq!(applied.events.len(), 3);
            assert_eq!(invariant::check(&state), Ok(()));
        }
    }

    #[test]
    fn a_bug_changes_what_a_refusal_would_change() {
        let commands = || vec![put(1, "a"), put(2, "bug.evolving"), put(3, "b")];
        let mut poisoned = with_session();
        let contained = apply_with(&mut poisoned, 2, &entry(commands()), buggy);
        let refusing = |state: &State, at: Timestamp, command: &Command| match command {
            Command::PutVariable { name, .. } if *name == "bug.evolving".parse::<VariableName>().unwrap() => {
                Err(Rejection::Bug { message: "only a variable that exists is deleted".to_owned() })
            }
            _ => decide(state, at, command),
        };
        let mut refused = with_session();
        assert_eq!(apply_with(&mut refused, 2, &entry(commands()), refusing), contained);
        assert_eq!(refused, poisoned);
    }

    #[test]
    fn the_reply_of_a_contained_command_is_remembered() {
        let mut state = with_session();
        let first = apply_with(&mut state, 2, &entry(vec![put(1, "bug.deciding")]), buggy);
        // The bug is fixed, and the command arrives again: its sender was told that nothing happened.
        let second = apply(&mut state, 3, &entry(vec![put(1, "bug.deciding")]));
        assert_eq!(first.replies, second.replies);
        assert!(state.variables.is_empty());
    }
}
