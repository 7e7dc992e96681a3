//! What instances wrote, as the node would read it: two lines at a time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use capstan_api::ports::{InstanceOutput, OutputError};
use capstan_model::{ids::NodeId, lrp::actual::ActualKey, time::Timestamp};
use capstan_raft_store::peer::{OutputFrom, OutputLine, OutputPage, OutputPlace, OutputStream, ReadOutput};
use futures::future::{self, BoxFuture};

/// The lines of each instance on each node.
type Written = BTreeMap<(u64, ActualKey), Vec<OutputLine>>;

/// The output on all nodes. Nobody answers for node 3.
#[derive(Clone, Default)]
pub(crate) struct TestOutput(Arc<Mutex<Written>>);

impl TestOutput {
    /// Adds a line; its time counts the lines there are.
    pub(crate) fn write(&self, node: u64, key: ActualKey, stream: OutputStream, text: &str) {
        let mut all = self.0.lock().unwrap();
        let lines = all.entry((node, key)).or_default();
        let at = Timestamp(1_000_000_000 * (lines.len() as u64 + 1));
        lines.push(OutputLine { at, stream, source: "APP".to_owned(), text: text.to_owned() });
    }

    fn page(&self, node: NodeId, asked: &ReadOutput) -> Result<OutputPage, OutputError> {
        if node == NodeId(3) {
            return Err(OutputError::Unreachable { node, reason: "it is down".to_owned() });
        }
        let all = self.0.lock().unwrap();
        let lines = all.get(&(node.0, asked.key.clone()));
        let is_wanted = |line: &&OutputLine| asked.stream.is_none_or(|stream| stream == line.stream);
        let wanted: Vec<_> = lines.into_iter().flatten().filter(is_wanted).cloned().collect();
        let from = match asked.from {
            OutputFrom::Place(place) => place.offset as usize,
            OutputFrom::Lines { since, tail } => {
                let young = wanted.iter().position(|line| Some(line.at) >= since).unwrap_or(wanted.len());
                let last = tail.map_or(0, |tail| wanted.len().saturating_sub(tail as usize));
                young.max(last)
            }
        };
        let end = wanted.len().min(from + 2);
        let next = OutputPlace { file: 1, offset: end as u64 };
        let is_last = end == wanted.len();
        Ok(OutputPage { lines: wanted[from..end].to_vec(), next, is_last, is_known: lines.is_some() })
    }
}

impl InstanceOutput for TestOutput {
    fn read(&self, node: NodeId, asked: ReadOutput) -> BoxFuture<'static, Result<OutputPage, OutputError>> {
        Box::pin(future::ready(self.page(node, &asked)))
    }
}
