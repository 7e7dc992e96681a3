//! The Capstan cluster that is measured: one of our own, or one that runs already.

use std::{
    ffi::OsStr,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use capstan_client::cluster::ClusterStatus;
use http::{Method, StatusCode};
use serde::Deserialize;

use crate::{http_client::HttpClient, process::Process, scratch::Scratch};

/// How long a cluster may take to get ready.
const READY_PATIENCE: Duration = Duration::from_secs(30);
/// How often to look whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Which cluster is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ClusterArgs {
    /// The program whose nodes are measured [default: the capstan beside this program]
    #[arg(long, value_name = "FILE")]
    capstan: Option<PathBuf>,
    /// How many nodes to start
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// The first HTTP port of the nodes that are started
    #[arg(long, value_name = "PORT", default_value_t = 19_641)]
    base_port: u16,
    /// Where data is kept meanwhile; its file system is what is measured
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    pub(crate) data: PathBuf,
}

/// A running cluster. Dropped, what was started for it is stopped and its data removed.
pub(crate) struct Cluster {
    /// The HTTP addresses, by node.
    pub(crate) addresses: Vec<SocketAddr>,
    ready_file: Option<PathBuf>,
    supervisor: Option<Process>,
    /// Removed after the supervisor has stopped: fields are dropped in this order.
    _scratch: Option<Scratch>,
}

#[derive(Deserialize)]
struct ReadyFile {
    nodes: Vec<ReadyNode>,
}

/// One node as `capstan dev` describes it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ReadyNode {
    /// Its id.
    pub(crate) id: u64,
    url: String,
    /// Its process.
    pub(crate) pid: i32,
}

impl ReadyNode {
    /// Where its HTTP API is.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        let address = self.url.strip_prefix("http://").unwrap_or(&self.url);
        address.parse().with_context(|| format!("the ready file names no address: {}", self.url))
    }
}

impl Cluster {
    /// Starts nodes with `capstan dev` on a fresh data directory and waits until all are ready.
    pub(crate) async fn start(args: &ClusterArgs) -> anyhow::Result<Self> {
        Self::start_in(Scratch::below(&args.data)?, args, &[]).await
    }

    /// The same, but a node that dies stays dead.
    pub(crate) async fn start_without_restart(args: &ClusterArgs) -> anyhow::Result<Self> {
        Self::start_in(Scratch::below(&args.data)?, args, &["--no-restart".as_ref()]).await
    }

    /// The same, with request specs.
    pub(crate) async fn start_with_specs(args: &ClusterArgs, specs: &str) -> anyhow::Result<Self> {
        let scratch = Scratch::below(&args.data)?;
        let folder = scratch.path().join("specs");
        fs::create_dir(&folder)?;
        fs::write(folder.join("specs.yaml"), specs)?;
        Self::start_in(scratch, args, &["--specs".as_ref(), folder.as_os_str()]).await
    }

    async fn start_in(scratch: Scratch, args: &ClusterArgs, more: &[&OsStr]) -> anyhow::Result<Self> {
        let program = match &args.capstan {
            Some(program) => program.clone(),
            None => beside_this_program()?,
        };
        let ready_file = scratch.path().join("ready.json");
        let mut command = Command::new(program);
        command.arg("dev").args(["--log-level", "warn"]).args(["--nodes", &args.nodes.to_string()]);
        command.args(["--base-port", &args.base_port.to_string()]);
        command.arg("--data").arg(scratch.path().join("nodes")).arg("--ready-file").arg(&ready_file);
        command.args(more);
        let mut supervisor = Process::start(&mut command, &scratch.path().join("log"))?;
        let begun = Instant::now();
        while !ready_file.exists() {
            supervisor.check()?;
            ensure!(begun.elapsed() < READY_PATIENCE, "the nodes were not ready within {READY_PATIENCE:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let addresses =
            read_ready_file(&ready_file)?.iter().map(ReadyNode::address).collect::<Result<_, _>>()?;
        let cluster = Self {
            addresses,
            ready_file: Some(ready_file),
            supervisor: Some(supervisor),
            _scratch: Some(scratch),
        };
        cluster.wait_until_settled().await?;
        Ok(cluster)
    }

    /// A cluster that runs already.
    pub(crate) async fn running(addresses: Vec<SocketAddr>) -> anyhow::Result<Self> {
        let cluster = Self { addresses, ready_file: None, supervisor: None, _scratch: None };
        cluster.wait_until_settled().await?;
        Ok(cluster)
    }

    /// The processes of the nodes as they are now; fails when the cluster was not started here.
    pub(crate) fn processes(&self) -> anyhow::Result<Vec<ReadyNode>> {
        read_ready_file(self.ready_file.as_deref().context("the cluster's processes are not known")?)
    }

    /// Fails when the cluster that was started here has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.supervisor.as_mut().map_or(Ok(()), Process::check)
    }

    /// Waits until every node is ready and all name the same leader, which is returned.
    pub(crate) async fn wait_until_settled(&self) -> anyhow::Result<u64> {
        let begun = Instant::now();
        loop {
            match self.common_leader().await {
                Ok(leader) => return Ok(leader),
                Err(error) if begun.elapsed() > READY_PATIENCE => {
                    return Err(error.context(format!("the cluster was not ready within {READY_PATIENCE:?}")));
                }
                Err(_not_yet) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn common_leader(&self) -> anyhow::Result<u64> {
        let mut common = None;
        for address in &self.addresses {
            let mut http = HttpClient::new(*address);
            let (ready, why) = http.call(Method::GET, "/ready", Bytes::new()).await?;
            if ready != StatusCode::OK {
                bail!("{address} is not ready: {}", String::from_utf8_lossy(&why));
            }
            let body = http.succeed(Method::GET, "/cluster/v1/status", Bytes::new()).await?;
            let status: ClusterStatus = serde_json::from_slice(&body)?;
            let leader = status.leader_id.with_context(|| format!("{address} knows no leader"))?;
            ensure!(*common.get_or_insert(leader) == leader, "the nodes name different leaders");
        }
        common.context("the cluster has no nodes")
    }
}

fn read_ready_file(path: &Path) -> anyhow::Result<Vec<ReadyNode>> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file: ReadyFile = serde_json::from_slice(&text)?;
    Ok(file.nodes)
}

fn beside_this_program() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("capstan");
    ensure!(program.exists(), "{} does not exist: build it, or say --capstan FILE", program.display());
    Ok(program)
}
