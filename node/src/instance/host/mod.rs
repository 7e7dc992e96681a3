//! The driver of a real cell: processes of this machine, started by the guardian.
//!
//! An instance has a folder of its own, and a network where its cell gives one (`network.rs`); it shares everything else with the machine.
//! What it writes goes to files through the guardian; archives and files are moved by processes of this program (`transfer.rs`), which end
//! with the instance.

mod downloads;
mod files;
mod network;
mod transfer;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use capstan_model::lrp::action::{Download, Upload};
use futures::future::{BoxFuture, FutureExt};
use nix::unistd::geteuid;
use tokio::{sync::Semaphore, task::spawn_blocking};

use self::network::OwnNetwork;
pub use self::transfer::{ARGUMENT as TRANSFER_ARGUMENT, main as main_transfer};
use super::{
    driver::{
        Driver, Fetched, Keep, OpenError, Process, ProcessEnd, ProcessNo, Running, Signal, Stream,
        UploadError,
    },
    environment::Environment,
    network::Networks,
    output,
    ports::PortLease,
};
use crate::{
    executor::{
        instances::InstanceHost,
        outcome::{Context, start_failure_text},
    },
    guardian::{
        instance_spec::{
            Destination, InstanceEnd, InstanceId, InstanceProcess, InstanceSignal, InstanceSpec, Output,
            Place, Resources, Said,
        },
        protocol::{End, StartFailure, StartStep},
    },
};

/// The most archives that are fetched at once on a cell.
const FETCHES_MAX: usize = 5;
/// The most files that are sent at once from a cell.
const UPLOADS_MAX: usize = 5;

/// What the instances of one cell share.
#[derive(Debug)]
pub struct HostCell {
    host: InstanceHost,
    folders: Folders,
    may_be_root: bool,
    networks: Networks,
    fetches: Semaphore,
    uploads: Semaphore,
}

/// Where a cell keeps what is its instances'. All are absolute, and on one file system.
#[derive(Debug, Clone)]
pub struct Folders {
    /// A folder for each instance. Other users must be able to reach it, where instances run as other users.
    pub instances: PathBuf,
    /// A folder for the output of each index of each LRP.
    pub outputs: PathBuf,
    /// Fetched archives.
    pub downloads: PathBuf,
}

/// One instance on this machine.
#[derive(Debug)]
pub struct HostDriver {
    cell: Arc<HostCell>,
    id: InstanceId,
    output: PathBuf,
    environment: Environment,
    resources: Resources,
    /// Made when the instance is opened, unless it has that of the machine.
    network: OnceLock<OwnNetwork>,
    /// Given back when the instance is forgotten.
    ports: PortLease,
    numbers: AtomicU32,
}

/// Which instance to drive.
#[derive(Debug)]
pub struct Instance {
    /// Names it.
    pub id: InstanceId,
    /// The name of its output below [`Folders::outputs`]; see [`output_name`].
    pub output: PathBuf,
    /// What its processes find in their environment.
    pub environment: Environment,
    /// What it may use.
    pub resources: Resources,
    /// The host ports it holds.
    pub ports: PortLease,
}

impl HostCell {
    /// A cell that keeps things in `folders`. Its instances run as root only if they `may_be_root`; where this process is not
    /// root itself, all of them run as itself.
    pub fn new(host: InstanceHost, folders: Folders, may_be_root: bool, networks: Networks) -> Self {
        Self {
            host,
            folders,
            may_be_root,
            networks,
            fetches: Semaphore::new(FETCHES_MAX),
            uploads: Semaphore::new(UPLOADS_MAX),
        }
    }

    /// As whom a process runs that is to run as `user`; `None` is as this process itself.
    fn user(&self, user: &str) -> Result<Option<String>, String> {
        match user {
            _ if !geteuid().is_root() => Ok(None),
            "root" | "0" if !self.may_be_root => {
                Err("running as root is not allowed on this cell".to_owned())
            }
            user => Ok(Some(user.to_owned())),
        }
    }
}

impl Folders {
    /// The folders of a node with this data directory, which is absolute.
    pub fn of(data: &Path) -> Self {
        let cell = data.join("cell");
        let below = |name| cell.join(name);
        Self { instances: below("instances"), outputs: below("outputs"), downloads: below("downloads") }
    }

    /// Where the output of an index of an LRP is on this cell, whether there is any or not; [`output::read_from`] reads it.
    pub fn output_of(&self, process_guid: &str, index: u32) -> PathBuf {
        self.outputs.join(output_name(process_guid, index))
    }

    /// Removes what instances of earlier lives left, of which nothing may run any more. Cached archives and output stay,
    /// the latter unless nobody has written to it for `output_age_max`. Blocks.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn clear_leftovers(&self, output_age_max: Duration) -> io::Result<()> {
        remove_folder(&self.instances)?;
        downloads::remove_uncached(&self.downloads)?;
        output::remove_old(&self.outputs, output_age_max)
    }

    fn make(&self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        for folder in [&self.instances, &self.outputs, &self.downloads] {
            // Whoever knows a name may go there; only the node may list.
            fs::DirBuilder::new().recursive(true).mode(0o711).create(folder)?;
        }
        Ok(())
    }
}

impl HostDriver {
    /// Drives one instance.
    pub fn new(cell: Arc<HostCell>, instance: Instance) -> Self {
        let Instance { id, output, environment, resources, ports } = instance;
        let output = cell.folders.outputs.join(output);
        let (network, numbers) = (OnceLock::new(), AtomicU32::new(1));
        Self { cell, id, output, environment, resources, network, ports, numbers }
    }

    fn folder(&self) -> PathBuf {
        self.cell.folders.instances.join(self.id.to_string())
    }

    fn spec(&self, program: &str, args: Vec<String>, user: Option<String>, output: Output) -> InstanceSpec {
        InstanceSpec {
            process: InstanceProcess {
                instance: self.id,
                number: self.numbers.fetch_add(1, Ordering::Relaxed),
            },
            program: program.to_owned(),
            args,
            env: Vec::new(),
            folder: self.folder(),
            directory: None,
            user,
            open_files: None,
            resources: self.resources,
            output,
            // The cell's own reach what the machine reaches.
            place: Place::Inside { network: None },
        }
    }

    async fn start(&self, process: Process) -> Result<Running, String> {
        let user = self.cell.user(&process.user)?;
        let output = match &process.keep {
            Keep::Held => Output::Held,
            Keep::Output(source) => Output::Files(self.destination(source)),
        };
        let args = process.args.iter().map(ToString::to_string).collect();
        let spec = InstanceSpec {
            env: self.environment.of_process(&process.env),
            directory: (!process.dir.is_empty()).then(|| PathBuf::from(&*process.dir)),
            open_files: process.open_files,
            place: self.place(),
            ..self.spec(&process.path, args, user, output)
        };
        let number = ProcessNo(spec.process.number);
        let end = self.cell.host.start(spec).await.map_err(|refused| refused.to_string())?;
        let cut_off = self.cut_off();
        let end = async move {
            tokio::select! {
                biased;
                end = end => end.map_or_else(|_| lost(), |end| ended(end, &process)),
                reason = cut_off => ProcessEnd::Failed(reason),
            }
        };
        Ok(Running { process: number, end: end.boxed() })
    }

    fn destination(&self, source: &str) -> Destination {
        Destination { folder: self.output.clone(), source: source.to_owned() }
    }
}

impl Driver for HostDriver {
    fn open(&self) -> BoxFuture<'_, Result<(), OpenError>> {
        let folders = self.cell.folders.clone();
        async move {
            if self.cell.host.is_gone() {
                return Err(OpenError::Refused("the guardian is gone".to_owned()));
            }
            let made = spawn_blocking(move || folders.make()).await.map_err(io::Error::other).flatten();
            made.map_err(|error| OpenError::Failed(format!("making its folders: {error}")))?;
            self.open_network().await.map_err(OpenError::Failed)
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            if self.cell.host.end(self.id).await.is_err() {
                // The guardian is gone, and everything with it; the next life removes the folder.
                return;
            }
            let (folder, downloads, id) = (self.folder(), self.cell.folders.downloads.clone(), self.id);
            let removed = spawn_blocking(move || {
                downloads::remove_of(&downloads, id)?;
                remove_folder(&folder)
            });
            if let Err(error) = removed.await.map_err(io::Error::other).flatten() {
                tracing::warn!(instance = %self.id, %error, "the files of an instance cannot be removed");
            }
        }
        .boxed()
    }

    fn start(&self, process: Process) -> BoxFuture<'_, Result<Running, String>> {
        self.start(process).boxed()
    }

    fn signal(&self, process: ProcessNo, signal: Signal) {
        let signal = match signal {
            Signal::Terminate => InstanceSignal::Terminate,
            Signal::Kill => InstanceSignal::Kill,
        };
        self.cell.host.signal(InstanceProcess { instance: self.id, number: process.0 }, signal);
    }

    fn fetch<'a>(&'a self, download: &'a Download) -> BoxFuture<'a, Result<Fetched, String>> {
        self.fetch(download).boxed()
    }

    fn unpack<'a>(&'a self, fetched: Fetched, download: &'a Download) -> BoxFuture<'a, Result<(), String>> {
        self.unpack(fetched, download).boxed()
    }

    fn upload<'a>(&'a self, upload: &'a Upload) -> BoxFuture<'a, Result<u64, UploadError>> {
        self.upload(upload).boxed()
    }

    fn say(&self, source: &str, stream: Stream, text: &str) {
        self.cell.host.say(Said { to: self.destination(source), stream, text: text.to_owned() });
    }
}

/// The folder of the output of one index, below [`Folders::outputs`]. A guid too long for a file's name is told by its hash.
pub fn output_name(process_guid: &str, index: u32) -> PathBuf {
    const NAME_BYTES_MAX: usize = 200;
    let name = match process_guid {
        guid if guid.len() <= NAME_BYTES_MAX => guid.to_owned(),
        guid => format!("{:032x}", xxhash_rust::xxh3::xxh3_128(guid.as_bytes())),
    };
    Path::new(&name).join(index.to_string())
}

/// The same of a task: below a name that no LRP has.
pub fn task_output_name(guid: &str) -> PathBuf {
    Path::new(".tasks").join(output_name(guid, 0).parent().expect("it was joined from two"))
}

fn lost() -> ProcessEnd {
    ProcessEnd::Failed("the guardian is gone".to_owned())
}

/// A process of the cell's own, as far as it matters once it has ended.
fn own(program: &str) -> Process {
    Process {
        path: program.into(),
        args: Vec::new(),
        dir: "".into(),
        env: Vec::new(),
        user: "".into(),
        open_files: None,
        keep: Keep::Held,
    }
}

fn ended(end: InstanceEnd, process: &Process) -> ProcessEnd {
    let status = match end.end {
        End::Exited(status) => status,
        End::Signalled(number) => 128 + number,
        End::NotStarted(failure) => return ProcessEnd::Failed(failure_text(failure, process)),
    };
    ProcessEnd::Exited { status, out_of_memory: end.out_of_memory, held: end.held.bytes }
}

fn failure_text(failure: StartFailure, process: &Process) -> String {
    if failure.step == StartStep::User && failure.errno == nix::errno::Errno::ENOENT as i32 {
        return format!("unable to find user {}", process.user);
    }
    let context = Context { node: Default::default(), program: &process.path, directory: &process.dir };
    start_failure_text(&context, failure)
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
