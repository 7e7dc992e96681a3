//! The lists a node is expanded over.

use std::sync::Arc;

use super::EachError;
use crate::{
    spec::Rename,
    workflow::json::{JsonMap, JsonText},
};

/// What a node is expanded over: lists of one length, gone through in step.
pub(super) struct Elements {
    /// By the name under which an expansion gets its element.
    lists: Vec<(Arc<str>, Vec<JsonText>)>,
    len: usize,
}

impl Elements {
    /// Reads the lists of a node's `each`; `arg` finds the value of an arg of the sequence. Without `each` there is one
    /// expansion, which gets nothing.
    pub(super) fn read<E: From<EachError>>(
        each: &[Rename],
        mut arg: impl FnMut(&Arc<str>) -> Result<JsonText, E>,
    ) -> Result<Self, E> {
        let mut lists: Vec<(Arc<str>, Vec<JsonText>)> = Vec::with_capacity(each.len());
        for Rename { from, to } in each {
            let list =
                arg(from)?.elements().map_err(|kind| EachError::NotAList { arg: from.clone(), kind })?;
            if lists.first().is_some_and(|(_, first)| first.len() != list.len()) {
                return Err(EachError::Lengths.into());
            }
            lists.push((to.clone(), list));
        }
        let len = lists.first().map_or(1, |(_, list)| list.len());
        Ok(Self { lists, len })
    }

    /// How many expansions there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The args of one expansion: those of the node, and its elements.
    pub(super) fn args(&self, expansion: usize, of_node: &JsonMap) -> JsonMap {
        let elements = self.lists.iter().map(|(name, list)| (name.clone(), list[expansion].clone()));
        of_node.iter().map(|(name, value)| (name.clone(), value.clone())).chain(elements).collect()
    }
}
