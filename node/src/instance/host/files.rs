//! Moves the files of an instance, by processes of the cell's own.

use std::{fs, io, sync::atomic::Ordering};

use capstan_model::lrp::action::{Download, Upload};
use tokio::task::spawn_blocking;

use super::{HostDriver, downloads, ended, lost, own, transfer};
use crate::{
    executor::instances::InstanceHost,
    guardian::instance_spec::{InstanceProcess, InstanceSignal, Output},
    instance::driver::{Fetched, ProcessEnd, UploadError},
};

impl HostDriver {
    pub(super) async fn fetch(&self, download: &Download) -> Result<Fetched, String> {
        let _permit = self.cell.fetches.acquire().await.expect("the semaphore is never closed");
        let folder = &self.cell.folders.downloads;
        let archive = downloads::path(folder, &download.cache_key, self.id);
        let part = downloads::part(folder, self.id, self.numbers.load(Ordering::Relaxed));
        let (archive_arg, part_arg) = (archive.to_string_lossy(), part.to_string_lossy());
        let args = [transfer::ARGUMENT, "fetch", &download.from, &archive_arg, &part_arg];
        let (status, said) = self.run("/proc/self/exe", &args, None).await?;
        if status != 0 {
            tracing::info!(instance = %self.id, reason = said, "a download failed");
            return Err(said);
        }
        let folder = folder.clone();
        let looked_up = archive.clone();
        let bytes = spawn_blocking(move || {
            downloads::trim(&folder, downloads::BYTES_MAX, &looked_up)?;
            io::Result::Ok(fs::metadata(&looked_up)?.len())
        });
        let bytes = bytes.await.map_err(io::Error::other).flatten().map_err(|error| error.to_string())?;
        Ok(Fetched { archive, bytes })
    }

    pub(super) async fn unpack(&self, fetched: Fetched, download: &Download) -> Result<(), String> {
        const SCRIPT: &str = "mkdir -p -- \"$2\" && case $(head -c 2 -- \"$1\") in \
             PK) exec unzip -q -o \"$1\" -d \"$2\";; *) exec tar -xzf \"$1\" -C \"$2\";; esac";
        let user = self.cell.user(&download.user)?;
        let archive = fetched.archive.to_string_lossy();
        let args = ["-c", SCRIPT, "sh", &archive, &download.to];
        let (status, said) = self.run("/bin/sh", &args, user).await?;
        if status != 0 {
            tracing::info!(instance = %self.id, reason = said, "an archive cannot be unpacked");
            return Err(said);
        }
        Ok(())
    }

    pub(super) async fn upload(&self, upload: &Upload) -> Result<u64, UploadError> {
        let _permit = self.cell.uploads.acquire().await.expect("the semaphore is never closed");
        let user = self.cell.user(&upload.user).map_err(UploadError::Call)?;
        let args = [transfer::ARGUMENT, "send", &upload.from, &upload.to];
        let (status, said) = self.run("/proc/self/exe", &args, user).await.map_err(UploadError::Call)?;
        match status {
            0 => said.parse().map_err(|_| UploadError::Call(said)),
            transfer::UNREADABLE => Err(UploadError::Establish),
            transfer::NO_FILE => Err(UploadError::NoFile),
            _ => Err(UploadError::Call(said)),
        }
    }

    /// Runs a process of the cell's own in the instance; it is killed when the future is dropped.
    async fn run(&self, program: &str, args: &[&str], user: Option<String>) -> Result<(i32, String), String> {
        let args = args.iter().map(ToString::to_string).collect();
        let spec = self.spec(program, args, user, Output::Held);
        let process = spec.process;
        let end = self.cell.host.start(spec).await.map_err(|refused| refused.to_string())?;
        let mut kill = KillOnDrop { host: &self.cell.host, process: Some(process) };
        let end = end.await;
        kill.process = None;
        match end.map_or_else(|_| lost(), |end| ended(end, &own(program))) {
            ProcessEnd::Failed(reason) => Err(reason),
            ProcessEnd::Exited { status, held, .. } => {
                Ok((status, String::from_utf8_lossy(&held).trim_end().to_owned()))
            }
        }
    }
}

/// Kills a process, unless it has ended before.
struct KillOnDrop<'a> {
    host: &'a InstanceHost,
    process: Option<InstanceProcess>,
}

impl Drop for KillOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(process) = self.process {
            self.host.signal(process, InstanceSignal::Kill);
        }
    }
}
