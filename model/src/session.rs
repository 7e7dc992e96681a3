//! Once only: what a node's live incarnation has proposed, and what it was answered.
//!
//! A session holds the lowest unsettled number and the replies above it. A command whose reply is there gets it
//! again and changes nothing; one below the window, or of an ended session, may have been executed and forgotten,
//! so it is refused and never executed.
//!
//! The replies of one entry are kept together, in State and as one row: they come together, and are settled at about the same
//! time.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::{
    command::Settled,
    ids::{CommandId, Incarnation, NodeId},
    rejection::Rejection,
    reply::Reply,
    rows::{self, Key, KeyReader, LoadError, RowSink, Table},
};

/// How many numbers the window of a session spans, counted from the lowest unsettled one. It bounds the replies a node can make
/// every replica remember: twice as many, since a group of replies is kept until all of it is settled, and those after it with it.
pub const UNSETTLED_MAX: u64 = 4_096;

/// What a session says of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionReply {
    /// The session has ended or never was, or the command is settled: whether it was executed is not known any more.
    Over,
    /// It was executed, and this was its reply.
    Reply(Reply),
    /// It has not been executed.
    Open,
}

/// The window of one live incarnation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    incarnation: Incarnation,
    /// Every number below is settled.
    lowest: u64,
    /// No command with a higher number was executed.
    newest: u64,
    /// By log index: what the entry's commands were answered, with their numbers. Some of these may be settled.
    replies: OrdMap<u64, Arc<[Numbered]>>,
    /// The replies of the entry that is being applied; empty between entries.
    open: Vec<Numbered>,
}

/// A reply and the number of its command.
type Numbered = (u64, Reply);

/// A session's row; its replies have rows of their own, one for each entry.
#[derive(Serialize, Deserialize)]
struct SessionRow {
    incarnation: Incarnation,
    lowest: u64,
}

/// All live sessions by node: a node has one life at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sessions {
    by_node: OrdMap<NodeId, Session>,
}

impl Session {
    /// The life it belongs to.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The lowest unsettled number.
    pub fn lowest(&self) -> u64 {
        self.lowest
    }

    /// The numbers a command may have.
    pub fn window(&self) -> Range<u64> {
        self.lowest..self.lowest.saturating_add(UNSETTLED_MAX)
    }

    /// The unsettled replies by number.
    pub fn replies(&self) -> BTreeMap<u64, &Reply> {
        let unsettled = self.remembered().filter(|(seq, _)| *seq >= self.lowest);
        unsettled.map(|(seq, reply)| (*seq, reply)).collect()
    }

    fn new(incarnation: Incarnation, lowest: u64) -> Self {
        let newest = lowest.saturating_sub(1);
        Self { incarnation, lowest, newest, replies: OrdMap::new(), open: vec![] }
    }

    fn remembered(&self) -> impl Iterator<Item = &Numbered> {
        self.replies.values().flat_map(|replies| replies.iter()).chain(&self.open)
    }

    /// The reply to an executed command that is not settled. Nearly every command is newer than all before it, so the search is for
    /// repeats and for what was overtaken on the way.
    fn find(&self, seq: u64) -> Option<&Reply> {
        if seq > self.newest || mutant!("session-repeats-executed") {
            return None;
        }
        self.remembered().find(|(of, _)| *of == seq).map(|(_, reply)| reply)
    }

    fn row(&self) -> SessionRow {
        SessionRow { incarnation: self.incarnation, lowest: self.lowest }
    }
}

impl Sessions {
    /// The session of this very life, if it is live.
    pub fn of(&self, incarnation: Incarnation) -> Option<&Session> {
        self.by_node.get(&incarnation.node).filter(|session| session.incarnation == incarnation)
    }

    /// Every live session, by node.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.by_node.values()
    }

    /// What is known of a command.
    pub fn reply(&self, id: &CommandId) -> SessionReply {
        match self.of(id.incarnation) {
            Some(session) if id.seq >= session.lowest => {
                session.find(id.seq).map_or(SessionReply::Open, |reply| SessionReply::Reply(reply.clone()))
            }
            _ => SessionReply::Over,
        }
    }

    /// Lets a command in that was not executed before, or gives the reply it gets instead.
    pub(crate) fn admit(&self, id: &CommandId) -> Result<(), Reply> {
        match self.reply(id) {
            SessionReply::Over => {
                sometimes!("a command comes after its session ended or has settled it");
                Err(Err(Rejection::SessionOver { incarnation: id.incarnation }))
            }
            SessionReply::Reply(reply) => {
                sometimes!("a command comes twice and has its first reply");
                Err(reply)
            }
            SessionReply::Open => {
                let session = self.of(id.incarnation).expect("an open command has a session");
                if session.window().contains(&id.seq) {
                    return Ok(());
                }
                let incarnation = id.incarnation;
                Err(Err(Rejection::SessionFull { incarnation, unsettled_max: UNSETTLED_MAX }))
            }
        }
    }

    /// Remembers the reply of an admitted command; its row is written with those of the entry's others.
    pub(crate) fn remember(&mut self, id: &CommandId, reply: &Reply) {
        let session = self.by_node.get_mut(&id.incarnation.node).expect("an admitted command has a session");
        session.newest = session.newest.max(id.seq);
        session.open.push((id.seq, reply.clone()));
    }

    /// Writes what the commands of the entry at `index` were answered.
    pub(crate) fn close_entry(&mut self, index: u64, sink: &mut RowSink) {
        let answered = self.by_node.iter().filter(|(_, session)| !session.open.is_empty());
        let answered: Vec<NodeId> = answered.map(|(node, _)| *node).collect();
        for node in answered {
            let session = self.by_node.get_mut(&node).expect("the session was found above");
            let replies = Arc::from(std::mem::take(&mut session.open));
            if !mutant!("session-replies-not-stored") {
                sink.replace(&replies_key(node, index), None, Some(&replies));
            }
            session.replies.insert(index, replies);
        }
    }

    /// Forgets the replies nobody waits for. An unknown incarnation is ignored: its session has ended, or has not begun.
    pub(crate) fn settle(&mut self, settled: Settled, sink: &mut RowSink) {
        let node = settled.incarnation.node;
        let is_known = |session: &Session| session.lowest >= settled.below && !mutant!("settled-taken-back");
        if self.of(settled.incarnation).is_none_or(is_known) {
            return;
        }
        let session = self.by_node.get_mut(&node).expect("the session was found above");
        let before = session.row();
        session.lowest = settled.below;
        session.newest = session.newest.max(settled.below - 1);
        sink.replace(&session_key(node), Some(&before), Some(&session.row()));
        while let Some((index, replies)) = session.replies.get_min()
            && replies.iter().all(|(seq, _)| *seq < settled.below)
        {
            let index = *index;
            let replies = session.replies.remove(&index).expect("the oldest replies are there");
            sink.replace(&replies_key(node, index), Some(&replies), None);
        }
    }

    pub(crate) fn evolve_opened(&mut self, incarnation: Incarnation, sink: &mut RowSink) {
        let session = Session::new(incarnation, 1);
        sink.replace(&session_key(incarnation.node), None, Some(&session.row()));
        let before = self.by_node.insert(incarnation.node, session);
        assert!(before.is_none(), "the session before has ended");
    }

    pub(crate) fn evolve_ended(&mut self, incarnation: Incarnation, sink: &mut RowSink) {
        let node = incarnation.node;
        let session = self.by_node.remove(&node).expect("only a live session ends");
        sink.replace(&session_key(node), Some(&session.row()), None);
        for (index, replies) in &session.replies {
            sink.replace(&replies_key(node, *index), Some(replies), None);
        }
    }

    pub(crate) fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let mut parts = KeyReader::new(key);
        let node = NodeId(parts.u64()?);
        parts.end()?;
        let SessionRow { incarnation, lowest } = rows::decode(key, value)?;
        self.by_node.insert(node, Session::new(incarnation, lowest));
        Ok(())
    }

    pub(crate) fn load_replies_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let mut parts = KeyReader::new(key);
        let (node, index) = (NodeId(parts.u64()?), parts.u64()?);
        parts.end()?;
        let session = self.by_node.get_mut(&node).ok_or_else(|| LoadError::Contradiction {
            reason: format!("replies to commands of node {node}, which has no session, in entry {index}"),
        })?;
        let replies: Arc<[Numbered]> = rows::decode(key, value)?;
        let newest = replies.iter().map(|(seq, _)| *seq).max();
        if !mutant!("session-newest-not-loaded") {
            session.newest = session.newest.max(newest.unwrap_or(0));
        }
        session.replies.insert(index, replies);
        Ok(())
    }

    /// Writes every row of the sessions as if it were new.
    pub(crate) fn dump(&self, sink: &mut RowSink) {
        for (node, session) in &self.by_node {
            sink.replace(&session_key(*node), None, Some(&session.row()));
            for (index, replies) in &session.replies {
                sink.replace(&replies_key(*node, *index), None, Some(replies));
            }
        }
    }
}

fn session_key(node: NodeId) -> Key {
    Key::new(Table::Session).u64(node.0)
}

fn replies_key(node: NodeId, index: u64) -> Key {
    Key::new(Table::SessionReplies).u64(node.0).u64(index)
}
