//! What an owner of LRPs was told is what happened: what was done was done once, and what was refused was not done at all.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{
    command::Command,
    event::Event,
    lrp::{command::LrpCommand, event::LrpEvent},
    task::{TaskEvent, command::TaskCommand},
};

use super::Invariant;
use crate::{
    ledger::Committed,
    lrps::{Asked, Called, Outcome},
    oracle::Observation,
};

/// Wishes with a mark are found in the log by it, others at the index that was answered.
#[derive(Default)]
pub(crate) struct WishesAreDoneOnce {
    /// At which index a mark came to be.
    done: BTreeMap<String, u64>,
    /// Marks that must never come to be.
    undone: BTreeSet<String>,
    /// What owners asked for and was granted, by index.
    granted: BTreeMap<u64, Vec<Command>>,
}

impl Invariant for WishesAreDoneOnce {
    fn name(&self) -> &'static str {
        "what owners of LRPs were told is what happened, once"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Committed(committed) => self.heed(committed),
            Observation::LrpCalled(called) => self.judge(called),
            _ => Ok(()),
        }
    }
}

impl WishesAreDoneOnce {
    fn heed(&mut self, committed: &Committed) -> Result<(), String> {
        for event in &committed.events {
            let mark = match event {
                Event::Lrp(LrpEvent::DesiredCreated(desired)) => &desired.changeable.annotation,
                Event::Lrp(LrpEvent::DesiredChanged { after, .. }) => &after.changeable.annotation,
                Event::Task(TaskEvent::Created(task)) => &task.definition.annotation,
                _ => continue,
            };
            if self.undone.contains(&**mark) {
                return Err(format!(
                    "at {} {mark} is done, and its client was told that it is not",
                    committed.index
                ));
            }
            if let Some(before) = self.done.insert(mark.to_string(), committed.index) {
                return Err(format!("at {} {mark} is done, and was at {before}", committed.index));
            }
        }
        let granted =
            committed.commands.iter().filter(|(_, reply)| reply.is_ok()).map(|(command, _)| command);
        let of_owners = granted.filter(|command| is_owners(command)).cloned().collect::<Vec<_>>();
        for command in &of_owners {
            keeps_condition(committed, command)?;
        }
        if !of_owners.is_empty() {
            self.granted.insert(committed.index, of_owners);
        }
        Ok(())
    }

    fn judge(&mut self, called: &Called) -> Result<(), String> {
        match &called.asked {
            Asked::Desire(mark) | Asked::Update(mark) | Asked::Task(mark) => self.judge_marked(mark, called),
            _ => match called.outcome {
                // A call that is made again may show another index.
                Outcome::Done(index) if called.is_sent_once => {
                    let granted = self.granted.get(&index).into_iter().flatten();
                    if granted.into_iter().any(|command| is_asked(command, &called.asked)) {
                        return Ok(());
                    }
                    Err(format!("{called:?}, and nothing of it is in the log there"))
                }
                _ => Ok(()),
            },
        }
    }

    fn judge_marked(&mut self, mark: &str, called: &Called) -> Result<(), String> {
        let done = self.done.get(mark);
        let is_true = match called.outcome {
            Outcome::Done(index) => done.is_some_and(|done| *done <= index),
            Outcome::Refused | Outcome::NotDone => {
                self.undone.insert(mark.to_owned());
                done.is_none()
            }
            Outcome::Unknown => true,
        };
        if is_true { Ok(()) } else { Err(format!("{called:?}, and it was done at {done:?}")) }
    }
}

fn is_owners(command: &Command) -> bool {
    match command {
        Command::Lrp(
            LrpCommand::Update(_)
            | LrpCommand::Remove { .. }
            | LrpCommand::Kill { .. }
            | LrpCommand::UpsertDomain { .. },
        ) => true,
        Command::Task(command) => !command.has_natural_key(),
        _ => false,
    }
}

fn is_asked(command: &Command, asked: &Asked) -> bool {
    match (command, asked) {
        (Command::Lrp(LrpCommand::Remove { guid, .. }), Asked::Remove(of)) => guid.as_str() == of,
        (Command::Lrp(LrpCommand::Kill { key, .. }), Asked::Kill(of, index)) => {
            (key.guid.as_str(), key.index) == (of, *index)
        }
        (Command::Lrp(LrpCommand::UpsertDomain { domain, ttl_secs }), Asked::Domain(of, ttl)) => {
            (&**domain, ttl_secs) == (of, ttl)
        }
        (Command::Task(TaskCommand::Cancel { guid }), Asked::Cancel(of))
        | (Command::Task(TaskCommand::Delete { guid }), Asked::Delete(of)) => guid.as_str() == of,
        _ => false,
    }
}

/// A change or a removal under a condition happens only to what has the tag.
fn keeps_condition(committed: &Committed, command: &Command) -> Result<(), String> {
    let (guid, tag) = match command {
        Command::Lrp(LrpCommand::Update(update)) => (&update.guid, update.if_tag),
        Command::Lrp(LrpCommand::Remove { guid, if_tag }) => (guid, *if_tag),
        _ => return Ok(()),
    };
    let Some(tag) = tag else { return Ok(()) };
    let had_it = committed.events.iter().any(|event| match event {
        Event::Lrp(LrpEvent::DesiredChanged { before, .. } | LrpEvent::DesiredRemoved(before)) => {
            (&before.guid, before.tag) == (guid, tag)
        }
        _ => false,
    });
    // A call that is made again is granted as it was the first time, and changes nothing.
    let changes_it = committed.events.iter().any(|event| match event {
        Event::Lrp(LrpEvent::DesiredChanged { before, .. } | LrpEvent::DesiredRemoved(before)) => {
            before.guid == *guid
        }
        _ => false,
    });
    if had_it || !changes_it {
        Ok(())
    } else {
        Err(format!("at {}: {command:?} had another tag", committed.index))
    }
}
