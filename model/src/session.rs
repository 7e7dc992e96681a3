//! Once only: what a node's live incarnation has proposed, and what it was answered.
//!
//! A session holds the lowest unsettled number and the replies above it. A command whose reply is there gets it
//! again and changes nothing; one below the window, or of an ended session, may have been executed and forgotten,
//! so it is refused and never executed.

use std::ops::Range;

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
/// every replica remember.
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
    /// By number, none below `lowest`.
    replies: OrdMap<u64, Reply>,
}

/// A session's row; its replies have rows of their own.
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

    /// The remembered replies by number.
    pub fn replies(&self) -> &OrdMap<u64, Reply> {
        &self.replies
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
            Some(session) if id.seq >= session.lowest => session
                .replies
                .get(&id.seq)
                .map_or(SessionReply::Open, |reply| SessionReply::Reply(reply.clone())),
            _ => SessionReply::Over,
        }
    }

    /// Lets a command in that was not executed before, or gives the reply it gets instead.
    pub(crate) fn admit(&self, id: &CommandId) -> Result<(), Reply> {
        match self.reply(id) {
            SessionReply::Over => Err(Err(Rejection::SessionOver { incarnation: id.incarnation })),
            SessionReply::Reply(reply) => Err(reply),
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

    /// Remembers the reply of an admitted command.
    pub(crate) fn remember(&mut self, id: &CommandId, reply: &Reply, sink: &mut RowSink) {
        let session = self.by_node.get_mut(&id.incarnation.node).expect("an admitted command has a session");
        sink.replace(&reply_key(id.incarnation.node, id.seq), None, Some(reply));
        let before = session.replies.insert(id.seq, reply.clone());
        assert!(before.is_none(), "an admitted command has no reply yet");
    }

    /// Forgets the replies nobody waits for. An unknown incarnation is ignored: its session has ended, or has not begun.
    pub(crate) fn settle(&mut self, settled: Settled, sink: &mut RowSink) {
        let node = settled.incarnation.node;
        if self.of(settled.incarnation).is_none_or(|session| session.lowest >= settled.below) {
            return;
        }
        let session = self.by_node.get_mut(&node).expect("the session was found above");
        let before = session.row();
        session.lowest = settled.below;
        sink.replace(&session_key(node), Some(&before), Some(&session.row()));
        while let Some(seq) =
            session.replies.get_min().map(|(seq, _)| *seq).filter(|seq| *seq < settled.below)
        {
            let reply = session.replies.remove(&seq).expect("the smallest reply exists");
            sink.replace(&reply_key(node, seq), Some(&reply), None);
        }
    }

    pub(crate) fn evolve_opened(&mut self, incarnation: Incarnation, sink: &mut RowSink) {
        let session = Session { incarnation, lowest: 1, replies: OrdMap::new() };
        sink.replace(&session_key(incarnation.node), None, Some(&session.row()));
        let before = self.by_node.insert(incarnation.node, session);
        assert!(before.is_none(), "the session before has ended");
    }

    pub(crate) fn evolve_ended(&mut self, incarnation: Incarnation, sink: &mut RowSink) {
        let node = incarnation.node;
        let session = self.by_node.remove(&node).expect("only a live session ends");
        sink.replace(&session_key(node), Some(&session.row()), None);
        for (seq, reply) in &session.replies {
            sink.replace(&reply_key(node, *seq), Some(reply), None);
        }
    }

    pub(crate) fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let mut parts = KeyReader::new(key);
        let node = NodeId(parts.u64()?);
        parts.end()?;
        let SessionRow { incarnation, lowest } = rows::decode(key, value)?;
        self.by_node.insert(node, Session { incarnation, lowest, replies: OrdMap::new() });
        Ok(())
    }

    pub(crate) fn load_reply_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let mut parts = KeyReader::new(key);
        let (node, seq) = (NodeId(parts.u64()?), parts.u64()?);
        parts.end()?;
        let session = self.by_node.get_mut(&node).ok_or_else(|| LoadError::Contradiction {
            reason: format!("a reply to command {seq} of node {node}, which has no session"),
        })?;
        session.replies.insert(seq, rows::decode(key, value)?);
        Ok(())
    }

    /// Writes every row of the sessions as if it were new.
    pub(crate) fn dump(&self, sink: &mut RowSink) {
        for (node, session) in &self.by_node {
            sink.replace(&session_key(*node), None, Some(&session.row()));
            for (seq, reply) in &session.replies {
                sink.replace(&reply_key(*node, *seq), None, Some(reply));
            }
        }
    }
}

fn session_key(node: NodeId) -> Key {
    Key::new(Table::Session).u64(node.0)
}

fn reply_key(node: NodeId, seq: u64) -> Key {
    Key::new(Table::SessionReply).u64(node.0).u64(seq)
}
