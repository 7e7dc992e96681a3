//! A process with a disk of its own: this test binary, started again in a mount namespace where a [`Recorder`] is mounted as ext4.
//!
//! Whatever it has mounted goes with it. It says lines on its standard output, which is a socket, and goes on only when each was
//! answered; so the number of requests that its disk has answered says exactly how far the disk was when it said the line.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    os::{fd::AsFd, fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::Arc,
    thread::JoinHandle,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::dup2_stdin,
};
use tempfile::TempDir;

use super::{
    blocks::{Blocks, Recorder},
    device,
};

const FOLDER: &str = "CAPSTAN_POWER_FOLDER";
/// What a machine does.
const TASK: &str = "CAPSTAN_POWER_TASK";

/// A machine, seen from outside.
pub(super) struct Machine {
    process: process::Child,
    lines: io::Lines<BufReader<UnixStream>>,
    answers: UnixStream,
    disk: Arc<Recorder>,
    server: Option<JoinHandle<io::Result<()>>>,
    _folder: TempDir,
}

impl Machine {
    /// Switches a machine on: `task` is what [`Inside::start`] is told there.
    ///
    /// # Errors
    /// This computer does not allow it: there is no FUSE, no loop device, or no right to mount.
    pub(super) fn start(disk: Blocks, task: &str) -> io::Result<Self> {
        let kernel = device::connect()?;
        let folder = tempfile::tempdir()?;
        File::create(folder.path().join("disk"))?;
        fs::create_dir(folder.path().join("data"))?;
        let (ours, theirs) = UnixStream::pair()?;
        // Found also after a build has replaced the file.
        let process = Command::new("/proc/self/exe")
            .args(["--exact", "storage::tests::power::machine", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(TASK, task)
            .stdin(Stdio::from(kernel.try_clone()?))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::null())
            .spawn()?;
        let lines = BufReader::new(ours.try_clone()?).lines();
        let disk = Recorder::new(disk);
        let mut machine = Self { process, lines, answers: ours, disk, server: None, _folder: folder };
        match machine.listen() {
            Some(line) if line == "mounted" => {}
            other => return Err(io::Error::other(other.unwrap_or_else(|| "the machine is gone".into()))),
        }
        machine.server = Some(device::serve(kernel, Arc::clone(&machine.disk)));
        machine.answer();
        Ok(machine)
    }

    pub(super) fn disk(&self) -> Arc<Recorder> {
        Arc::clone(&self.disk)
    }

    /// The next line it says; `None` when it has ended. It waits for [`Machine::answer`].
    pub(super) fn listen(&mut self) -> Option<String> {
        let said = self.lines.by_ref().map_while(Result::ok).find(|line| line.starts_with("> "))?;
        Some(said[2..].to_owned())
    }

    /// Lets it go on.
    pub(super) fn answer(&mut self) {
        // It may have ended meanwhile.
        drop(self.answers.write_all(b"\n"));
    }

    /// Kills it and waits until its disk is at rest.
    pub(super) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        if let Some(server) = self.server.take()
            && !std::thread::panicking()
        {
            server.join().unwrap().unwrap();
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}

/// A machine, seen from inside.
pub(super) struct Inside {
    talk: UnixStream,
    folder: PathBuf,
}

impl Inside {
    /// Mounts the device; gives the task as well. `None` when this is no machine but an ordinary run of the tests.
    pub(super) fn start() -> Option<(Self, String)> {
        let folder = PathBuf::from(std::env::var_os(FOLDER)?);
        let mut out = io::stdout();
        // Behind whatever the test harness has written on the line.
        out.write_all(b"\n").unwrap();
        out.flush().unwrap();
        let mut inside = Self { talk: UnixStream::from(out.as_fd().try_clone_to_owned().unwrap()), folder };
        match inside.mount_device() {
            Ok(()) => inside.say("mounted"),
            Err(error) => inside.say(&error.to_string()),
        }
        Some((inside, std::env::var(TASK).unwrap()))
    }

    /// Says a line and waits until it was answered.
    pub(super) fn say(&mut self, line: &str) {
        let said = self.talk.write_all(format!("> {line}\n").as_bytes());
        if said.and_then(|()| self.talk.read_exact(&mut [0])).is_err() {
            process::exit(1);
        }
    }

    fn mount_device(&self) -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        let options = format!("fd=0,rootmode={:o},user_id=0,group_id=0", device::FILE_MODE);
        mount(Some("capstan-test"), &self.device(), Some("fuse"), MsFlags::empty(), Some(options.as_str()))?;
        // When the one who answers dies, nobody else must hold its end.
        dup2_stdin(File::open("/dev/null")?)?;
        Ok(())
    }

    fn device(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// Makes the file system. Nothing in it is left to be done later, so that only what is asked for is written.
    pub(super) fn format(&self) -> io::Result<()> {
        run(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0", "-N", "4096", "-J", "size=8"])
            .args(["-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"])
            .arg(self.device()))
    }

    /// Mounts the file system, which brings it in order after a power cut, and gives its folder.
    pub(super) fn mount(&self) -> io::Result<&Path> {
        let folder = self.folder.join("data");
        run(Command::new("mount")
            .args(["-t", "ext4", "-o", "loop,noatime,noinit_itable"])
            .arg(self.device())
            .arg(&folder))?;
        std::env::set_current_dir(&folder)?;
        Ok(Path::new("."))
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).replace('\n', " ");
    Err(io::Error::other(format!("{}: {said}", command.get_program().display())))
}
