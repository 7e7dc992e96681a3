//! One node as a process.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use capstan_client::{Client, ClientOptions, cluster::ClusterStatus};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};

use super::{
    Cables, PATIENCE, Plan,
    ports::{self, free_address},
    until,
    wire::Wire,
};

/// A node's place, and its process while it has one.
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) http: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) config: PathBuf,
    log: PathBuf,
    process: Option<Child>,
    is_mounted: bool,
}

/// Three nodes with a folder and addresses each.
pub(super) fn place(directory: &Path) -> Vec<Node> {
    let node = |id: u64| Node {
        id,
        http: free_address(),
        peer: free_address(),
        data: directory.join(format!("n{id}")),
        config: directory.join(format!("n{id}.toml")),
        log: directory.join(format!("n{id}.log")),
        process: None,
        is_mounted: false,
    };
    (1..=3).map(node).collect()
}

/// Writes the configuration of nodes that know each other.
pub(super) fn configure(directory: &Path, nodes: &mut [Node], plan: &Plan, cables: &Cables) {
    let voters = nodes.iter().fold(String::new(), |mut text, node| {
        let Node { id, peer, http, .. } = node;
        write!(text, "\n[[voter]]\nid = {id}\npeer = \"{peer}\"\nhttp = \"{http}\"\n").unwrap();
        text
    });
    let specs = directory.join("specs");
    gather_specs(&specs);
    for node in nodes {
        fs::create_dir(&node.data).unwrap();
        if let Some(mib) = plan.disk_mib {
            node.mount(mib);
        }
        let dial: Vec<_> =
            cables.of(node.id).iter().map(|(to, there)| format!("{to} = \"{there}\"")).collect();
        let peer = match &dial[..] {
            [] => String::new(),
            dial => format!("peer = {{ dial = {{ {} }} }}\n", dial.join(", ")),
        };
        let ports = ports::of_instances(node.id);
        let text = format!(
            "node = {{ id = {}, data = {:?} }}\nspecs = {{ directory = {:?} }}\nlog = {{ color = false }}\n\
             cell = {{ ports = \"{}-{}\", allow_root = true{} }}\n{peer}{}{voters}\n[timing]\n{}\n",
            node.id,
            node.data,
            specs,
            ports.start(),
            ports.end(),
            plan.cell,
            plan.tables,
            plan.timing,
        );
        fs::write(&node.config, text).unwrap();
    }
}

/// Puts the examples' request specs and those of these tests into one folder.
fn gather_specs(specs: &Path) {
    fs::create_dir(specs).unwrap();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster");
    let examples_of = ["test.yaml", "pack-logs.yaml", "deploy-blue-green.yaml"];
    let of_examples = examples_of.map(|name| examples().join("specs").join(name));
    for file in of_examples
        .into_iter()
        .chain(["hold.yaml", "beat.yaml", "scale.yaml", "beyond.yaml"].map(|name| own.join(name)))
    {
        fs::copy(&file, specs.join(file.file_name().expect("a file has a name"))).unwrap();
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").canonicalize().unwrap()
}

/// The program under test: `CAPSTAN_BIN`, or the one that was built with this test.
fn program() -> PathBuf {
    let given = std::env::var_os("CAPSTAN_BIN").map(PathBuf::from);
    // Tests run in the folder of their crate, and whoever names a program stands in that of the workspace.
    let from_root = |path: PathBuf| Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    given.map_or_else(|| env!("CARGO_BIN_EXE_capstan").into(), from_root)
}

/// `capstan server` with these arguments, without any setting of the surrounding test run.
pub(crate) fn server(config: &Path) -> Command {
    let mut command = capstan();
    command.arg("server").arg("--config").arg(config);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", examples().join("bin").display()));
    command
}

/// The program under test, without any setting of the surrounding test run.
pub(super) fn capstan() -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CAPSTAN_")) {
        command.env_remove(name);
    }
    command
}

impl Node {
    /// Starts the process; it ends with this one, however this one ends.
    pub(crate) fn start(&mut self) {
        assert!(!self.is_running(), "node {} runs already", self.id);
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let child = server(&self.config)
            .arg("--supervised")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
    }

    /// Whether it was started and has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.try_wait().unwrap().is_none())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("it was started").id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().try_into().unwrap()), signal).unwrap();
    }

    /// Stops the process; when this returns none of its threads runs. `SIGCONT` lets it go on.
    pub(crate) fn pause(&self) {
        self.signal(Signal::SIGSTOP);
        // A signal takes a moment to reach the last thread.
        let pid = Pid::from_raw(self.pid().try_into().unwrap());
        waitid(Id::Pid(pid), WaitPidFlag::WSTOPPED).unwrap();
    }

    /// Ends the process as a crash would; when this returns it is gone.
    pub(crate) fn kill(&mut self) {
        let process = self.process.as_mut().expect("it was started");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let process = self.process.as_mut().expect("it was started");
        until("the end of a node", async || process.try_wait().unwrap()).await
    }

    /// Waits until it says that calls should be sent to it.
    pub(crate) async fn ready(&mut self) {
        let client = self.client();
        let begun = std::time::Instant::now();
        while !client.ready().await.is_ok_and(|answer| answer.ready) {
            assert!(
                self.is_running(),
                "node {} has ended instead of becoming ready:\n{}",
                self.id,
                self.last_words()
            );
            assert!(begun.elapsed() < PATIENCE, "node {} is not ready after {PATIENCE:?}", self.id);
            tokio::time::sleep(super::LOOK_EVERY).await;
        }
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// What it says of itself; `None` when it does not answer.
    pub(crate) async fn status(&self) -> Option<ClusterStatus> {
        let mut wire = Wire::to(self.http);
        let answer = wire.call("GET", "/cluster/v1/status", &[], b"").await.ok()?;
        serde_json::from_slice(&answer.body).ok()
    }

    /// A client that knows only this node.
    pub(crate) fn client(&self) -> Client {
        let options = ClientOptions { timeout: PATIENCE, ..ClientOptions::default() };
        Client::with_options(vec![self.http.to_string()], options).unwrap()
    }

    /// Everything it has logged in all its lives.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How often a line of its log holds this text.
    pub(crate) fn logged(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    fn mount(&mut self, mib: u64) {
        let size = format!("size={mib}m");
        mount(Some("capstan-test"), &self.data, Some("tmpfs"), MsFlags::empty(), Some(size.as_str()))
            .unwrap();
        self.is_mounted = true;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
        if self.is_mounted {
            // Detached at once: its guardian may still be on its way out.
            let _ = umount2(&self.data, MntFlags::MNT_DETACH);
        }
    }
}
