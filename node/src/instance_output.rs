//! What instances wrote: read from this node's files, and asked of the node that has them.

use std::{io, path::Path, sync::Arc, time::Duration};

use capstan_api::ports::{InstanceOutput, OutputError};
use capstan_model::ids::NodeId;
use capstan_raft_store::peer::{
    Channel, OutputFrom, OutputLine, OutputPage, OutputPlace, OutputStream, PeerReply, PeerRequest,
    ReadOutput, Transport,
};
use futures::future::{BoxFuture, FutureExt};
use tokio::task::spawn_blocking;

use crate::instance::{
    driver::Stream,
    host::Folders,
    output::{self, Cursor, Query, Record},
};

/// How long another node is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// About how much of an output is read at once, in bytes: it shares a connection with commands on their way to the leader.
const PAGE_BYTES: u64 = 128 * 1024;

/// Knows the output on this node, and asks the others for theirs.
#[derive(Clone)]
pub struct Outputs {
    /// Where the cell of this node keeps output.
    pub folders: Folders,
    /// This node.
    pub me: NodeId,
    /// The way to the other nodes.
    pub transport: Arc<dyn Transport>,
}

impl Outputs {
    /// Reads from this node's files, whoever asks.
    pub fn of_this_node(&self, asked: ReadOutput) -> BoxFuture<'static, Result<OutputPage, String>> {
        let folder = self.folders.output_of(asked.key.guid.as_str(), asked.key.index);
        async move {
            let read = spawn_blocking(move || read(&folder, &asked)).await.map_err(io::Error::other);
            read.flatten().map_err(|error| error.to_string())
        }
        .boxed()
    }
}

impl InstanceOutput for Outputs {
    fn read(&self, node: NodeId, asked: ReadOutput) -> BoxFuture<'static, Result<OutputPage, OutputError>> {
        let unreadable = move |reason| OutputError::Unreadable { node, reason };
        if node == self.me {
            return self.of_this_node(asked).map(move |read| read.map_err(unreadable)).boxed();
        }
        let request = PeerRequest::ReadOutput(Box::new(asked));
        let asking = self.transport.call(node, Channel::Forward, request, PATIENCE);
        async move {
            match asking.await {
                Ok(PeerReply::Output(page)) => page.map_err(unreadable),
                Ok(other) => Err(unreadable(format!("it answered {other:?}"))),
                Err(error) => Err(OutputError::Unreachable { node, reason: error.to_string() }),
            }
        }
        .boxed()
    }
}

fn read(folder: &Path, asked: &ReadOutput) -> io::Result<OutputPage> {
    let stream = asked.stream.map(|stream| match stream {
        OutputStream::Stdout => Stream::Stdout,
        OutputStream::Stderr => Stream::Stderr,
    });
    let from = match asked.from {
        OutputFrom::Lines { since, tail } => output::find(folder, &Query { since, stream, tail })?,
        OutputFrom::Place(OutputPlace { file, offset }) => Cursor { segment: file, offset },
    };
    let page = output::read_from(folder, from, PAGE_BYTES)?;
    let wanted =
        page.records.into_iter().filter(|record| stream.is_none_or(|stream| stream == record.stream));
    Ok(OutputPage {
        lines: wanted.map(line).collect(),
        next: OutputPlace { file: page.next.segment, offset: page.next.offset },
        is_last: page.is_last,
        is_known: output::exists(folder)?,
    })
}

fn line(record: Record) -> OutputLine {
    let stream = match record.stream {
        Stream::Stdout => OutputStream::Stdout,
        Stream::Stderr => OutputStream::Stderr,
    };
    OutputLine { at: record.at, stream, source: record.source, text: record.text }
}

#[cfg(test)]
mod tests {
    use capstan_model::{lrp::actual::ActualKey, time::Timestamp};
    use capstan_raft_store::peer::PeerError;

    use super::*;
    use crate::instance::output::{Bounds, Writer};

    /// The way from node 2 to node 1, and from nowhere to anywhere else.
    struct ToOne(Outputs);

    impl Transport for ToOne {
        fn call(
            &self,
            to: NodeId,
            _: Channel,
            request: PeerRequest,
            _: Duration,
        ) -> BoxFuture<'static, Result<PeerReply, PeerError>> {
            match (to, request) {
                (NodeId(1), PeerRequest::ReadOutput(asked)) => {
                    self.0.of_this_node(*asked).map(|page| Ok(PeerReply::Output(page))).boxed()
                }
                (node, _) => {
                    let reason = "there is no way".to_owned();
                    futures::future::ready(Err(PeerError::Unreachable { node, reason })).boxed()
                }
            }
        }
    }

    fn outputs(data: &Path, node: u64, transport: Arc<dyn Transport>) -> Outputs {
        Outputs { folders: Folders::of(data), me: NodeId(node), transport }
    }

    fn write(outputs: &Outputs, key: &ActualKey, lines: u64) {
        let folder = outputs.folders.output_of(key.guid.as_str(), key.index);
        let mut writer = Writer::open(&folder, Bounds::default()).unwrap();
        for number in 0..lines {
            let stream = if number % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
            let text = format!("{number} {}", "x".repeat(1_000));
            writer.append(&Record { at: Timestamp(number), stream, source: "APP".into(), text }).unwrap();
        }
    }

    fn key() -> ActualKey {
        ActualKey::new(&"p".parse().unwrap(), 3)
    }

    fn everything() -> ReadOutput {
        ReadOutput { key: key(), from: OutputFrom::Lines { since: None, tail: None }, stream: None }
    }

    /// Node 1 with output, node 2 without, and the transport between them.
    fn pair(folder: &Path) -> (Outputs, Outputs) {
        struct Nowhere;
        impl Transport for Nowhere {
            fn call(
                &self,
                node: NodeId,
                _: Channel,
                _: PeerRequest,
                _: Duration,
            ) -> BoxFuture<'static, Result<PeerReply, PeerError>> {
                panic!("node {node} is asked by a node that has the output itself")
            }
        }
        let first = outputs(&folder.join("1"), 1, Arc::new(Nowhere));
        let second = outputs(&folder.join("2"), 2, Arc::new(ToOne(first.clone())));
        (first, second)
    }

    #[tokio::test]
    async fn another_nodes_output_is_read_page_by_page() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = pair(folder.path());
        write(&first, &key(), 400);
        for asking in [&first, &second] {
            let (mut seen, mut asked, mut pages) = (Vec::new(), everything(), 0);
            loop {
                let page = asking.read(NodeId(1), asked.clone()).await.unwrap();
                assert!(page.is_known);
                assert!(page.lines.len() < 200, "a page is bounded");
                seen.extend(page.lines.iter().map(|line| line.at.0));
                (asked.from, pages) = (OutputFrom::Place(page.next), pages + 1);
                if page.is_last {
                    break;
                }
            }
            assert_eq!(seen, (0..400).collect::<Vec<_>>());
            assert!(pages > 2);
        }
        let stderr = ReadOutput {
            from: OutputFrom::Lines { since: None, tail: Some(2) },
            stream: Some(OutputStream::Stderr),
            ..everything()
        };
        let page = second.read(NodeId(1), stderr).await.unwrap();
        assert_eq!(page.lines.iter().map(|line| line.at.0).collect::<Vec<_>>(), [397, 399]);
    }

    #[tokio::test]
    async fn a_node_without_output_says_so_and_one_that_is_gone_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (_, second) = pair(folder.path());
        let page = second.read(NodeId(1), everything()).await.unwrap();
        assert_eq!((page.lines.len(), page.is_known, page.is_last), (0, false, true));
        let gone = second.read(NodeId(3), everything()).await;
        assert!(matches!(gone, Err(OutputError::Unreachable { node: NodeId(3), .. })), "{gone:?}");
    }
}
