//! Jobs that write a line again and again, and what their lines say.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use capstan_client::{
    ReadOptions,
    spin_cycle::{CreateRequest, JobLogEntry, Request, State},
};
use serde_json::json;

use super::{Cluster, until};

/// Requests of one beating job each, and the file of all their lines.
pub(crate) struct Beats {
    pub(crate) ids: Vec<String>,
    lines: PathBuf,
    done: PathBuf,
}

/// One try of the job of a request, as its lines tell.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Try {
    /// The node that ran it.
    pub(crate) node: u64,
    /// How often it began.
    pub(crate) starts: usize,
    /// Whether it came to its end by itself.
    pub(crate) ended: bool,
    /// The first and last line's moments, in nanoseconds since the Unix epoch.
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Beats {
    /// Starts `count` requests whose jobs write a line every `seconds`, spread over the nodes, and waits until each has written one.
    pub(crate) async fn start(cluster: &mut Cluster, seconds: &str, count: usize) -> Self {
        let folder = cluster.directory.path();
        let (lines, done) = (folder.join("beats"), folder.join("beats.done"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/beat.sh");
        let args = format!("{} {} {} {seconds}", script.display(), lines.display(), done.display());
        let args = json!({ "args": args }).as_object().cloned();
        let create = CreateRequest { kind: "beating".to_owned(), args };
        let mut beats = Self { ids: Vec::new(), lines, done };
        for number in 0..count as u64 {
            let client = cluster.node(number % 3 + 1).client();
            beats.ids.push(client.create_request(&create).await.unwrap().id);
        }
        until("the jobs to start", async || (beats.tries().len() == count).then_some(())).await;
        beats
    }

    /// Lets every job come to its end.
    pub(crate) fn finish(&self) {
        fs::write(&self.done, "").unwrap();
    }

    /// What the lines say, by request and try.
    pub(crate) fn tries(&self) -> BTreeMap<(String, u32), Try> {
        let mut tries: BTreeMap<(String, u32), Try> = BTreeMap::new();
        for line in fs::read_to_string(&self.lines).unwrap_or_default().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            // A try may be killed while it writes.
            let &[request, _job, try_no, node, what, at] = &words[..] else { continue };
            let (Ok(try_no), Ok(node), Ok(at)) = (try_no.parse(), node.parse(), at.parse::<u64>()) else {
                continue;
            };
            let of_try = tries.entry((request.to_owned(), try_no)).or_default();
            if of_try.first == 0 {
                (of_try.node, of_try.first) = (node, at);
            }
            of_try.starts += usize::from(what == "start");
            of_try.ended |= what == "end";
            of_try.last = of_try.last.max(at);
        }
        tries
    }

    /// The newest try of a request.
    pub(crate) fn newest(&self, id: &str) -> Option<(u32, Try)> {
        let tries = self.tries();
        let of_request = tries.range((id.to_owned(), 0)..=(id.to_owned(), u32::MAX));
        of_request.map(|((_, try_no), of_try)| (*try_no, of_try.clone())).next_back()
    }

    /// Waits until the newest try of each request is one that State says runs, and it beats.
    pub(crate) async fn all_running(&self, cluster: &Cluster) {
        let client = cluster.nodes[0].client();
        until("every job to run", async || {
            let status = client.running(None, ReadOptions::default()).await.unwrap();
            let tries = self.tries();
            let beats = |id: &String| {
                let job = status.jobs.iter().find(|job| job.request_id == *id && job.name == "beat");
                // Without words between tries or for a slot.
                let job = job.filter(|job| !job.status.starts_with('('))?;
                tries.get(&(id.clone(), u32::try_from(job.try_no).ok()?))
            };
            self.ids.iter().all(|id| beats(id).is_some()).then_some(())
        })
        .await;
    }

    /// Waits until every request is complete, and holds lines and logs against each other: each try began once, no two of a
    /// request overlap, every try has a log entry, and only the last one is complete. Returns how many tries failed.
    pub(crate) async fn complete(&self, cluster: &mut Cluster) -> usize {
        let mut lost = 0;
        for id in &self.ids {
            let request = self.ended(cluster, id).await;
            let log = self.log(cluster, id).await;
            assert_eq!(request.state, State::Complete, "{log:?}");
            let tries: Vec<_> = self.tries().into_iter().filter(|((of, _), _)| of == id).collect();
            for pair in tries.windows(2) {
                assert!(pair[0].1.last < pair[1].1.first, "two tries overlap: {pair:?}");
            }
            for ((_, try_no), of_try) in &tries {
                assert_eq!(of_try.starts, 1, "{id}, try {try_no}: {of_try:?}");
                let entry = log.iter().find(|entry| entry.try_no == u64::from(*try_no));
                let entry = entry.unwrap_or_else(|| panic!("{id}: no entry for try {try_no}: {log:?}"));
                assert_eq!(entry.state == State::Complete, of_try.ended, "{entry:?}, {of_try:?}");
            }
            lost += log.iter().filter(|entry| entry.state == State::Fail).count();
        }
        lost
    }

    /// The entries of the beating job in a request's log.
    pub(crate) async fn log(&self, cluster: &mut Cluster, id: &str) -> Vec<JobLogEntry> {
        let client = cluster.running().client();
        let log = client.request_log(id, ReadOptions::default()).await.unwrap();
        log.into_iter().filter(|entry| entry.name == "beat").collect()
    }

    async fn ended(&self, cluster: &mut Cluster, id: &str) -> Request {
        let client = cluster.running().client();
        until("a request to end", async || {
            let request = client.request(id, ReadOptions::default()).await.unwrap();
            request.state.is_final().then_some(request)
        })
        .await
    }
}
