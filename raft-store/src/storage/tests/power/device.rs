//! A [`Recorder`] as a file that the kernel can put a loop device on: a FUSE file system of one file.
//!
//! It speaks just so much of the protocol (`include/uapi/linux/fuse.h`) as a loop device needs. Every write of the loop device arrives
//! as a `WRITE`, and every flush of its cache as an `FSYNC`, each of which the kernel takes for done only when it is answered. The
//! kernel buffers nothing in between (`FOPEN_DIRECT_IO`), so what is recorded is what a disk would have seen.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    sync::Arc,
    thread::{self, JoinHandle},
};

use super::blocks::Recorder;

/// The size of the device. Sparse: only what is written takes memory.
const DEVICE_BYTES: u64 = 256 << 20;
/// The most that one write carries, in bytes.
const WRITE_BYTES_MAX: u32 = 128 << 10;
/// A request's header, in bytes.
const HEADER_BYTES: usize = 40;
/// The mode of the one file: a regular file of its owner's.
pub(super) const FILE_MODE: u32 = 0o100_600;

mod opcode {
    pub(super) const FORGET: u32 = 2;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const SETATTR: u32 = 4;
    pub(super) const OPEN: u32 = 14;
    pub(super) const READ: u32 = 15;
    pub(super) const WRITE: u32 = 16;
    pub(super) const RELEASE: u32 = 18;
    pub(super) const FSYNC: u32 = 20;
    pub(super) const FLUSH: u32 = 25;
    pub(super) const INIT: u32 = 26;
    pub(super) const INTERRUPT: u32 = 36;
    pub(super) const BATCH_FORGET: u32 = 42;
}

const ENOSYS: i32 = 38;
const FOPEN_DIRECT_IO: u32 = 1;

/// Opens the kernel's side of a file system that is not mounted yet.
///
/// # Errors
/// This machine has no FUSE, or it is not for us.
pub(super) fn connect() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_CLOEXEC).open("/dev/fuse")
}

/// Answers the kernel, once it was told to mount, until it has unmounted.
pub(super) fn serve(mut kernel: File, recorder: Arc<Recorder>) -> JoinHandle<io::Result<()>> {
    thread::spawn(move || {
        let mut request = vec![0; WRITE_BYTES_MAX as usize + 4096];
        loop {
            let len = match kernel.read(&mut request) {
                Ok(len) => len,
                // Unmounted, or cut off while the mount of a killed machine is taken down.
                Err(error)
                    if matches!(error.raw_os_error(), Some(nix::libc::ENODEV | nix::libc::ECONNABORTED)) =>
                {
                    return Ok(());
                }
                // The request was taken back before it was read.
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOENT) => continue,
                Err(error) => return Err(error),
            };
            let Some(answer) = answer(&request[..len], &recorder) else { continue };
            match kernel.write_all(&answer) {
                // Whoever asked was killed meanwhile.
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOENT) => {}
                other => other?,
            }
        }
    })
}

/// The answer to one request; `None` when none is expected.
fn answer(request: &[u8], recorder: &Recorder) -> Option<Vec<u8>> {
    let (opcode, unique) = (u32_at(request, 4), u64_at(request, 8));
    let body = &request[HEADER_BYTES..];
    let result = match opcode {
        opcode::INIT => Ok(init()),
        opcode::GETATTR | opcode::SETATTR => Ok(attributes()),
        opcode::OPEN => Ok(fields(&[0, 0, FOPEN_DIRECT_IO, 0])),
        opcode::READ => Ok(recorder.read(u64_at(body, 8), u32_at(body, 16) as usize)),
        opcode::WRITE => {
            let len = u32_at(body, 16);
            recorder.write(u64_at(body, 8), &body[40..40 + len as usize]);
            Ok(fields(&[len, 0]))
        }
        opcode::FSYNC => {
            recorder.flush();
            Ok(Vec::new())
        }
        opcode::FLUSH | opcode::RELEASE => Ok(Vec::new()),
        opcode::FORGET | opcode::BATCH_FORGET | opcode::INTERRUPT => return None,
        _ => Err(ENOSYS),
    };
    let (error, payload) = match result {
        Ok(payload) => (0, payload),
        Err(error) => (-error, Vec::new()),
    };
    let len = u32::try_from(16 + payload.len()).expect("answers are small");
    Some([&len.to_ne_bytes()[..], &error.to_ne_bytes(), &unique.to_ne_bytes(), &payload].concat())
}

/// `fuse_init_out`: protocol 7.31, plain reads and writes.
fn init() -> Vec<u8> {
    let (big_writes, background) = (1 << 5, 16 | 12 << 16);
    let head = fields(&[7, 31, 0, big_writes, background, WRITE_BYTES_MAX, 1]);
    [head, vec![0; 64 - 28]].concat()
}

/// `fuse_attr_out` of the one file, right for an hour.
fn attributes() -> Vec<u8> {
    let valid = fields(&[3600, 0, 0, 0]);
    let [low, high] = [DEVICE_BYTES as u32, (DEVICE_BYTES >> 32) as u32];
    let inode_size_blocks = fields(&[1, 0, low, high, 0, 0]);
    let times = vec![0; 36];
    let rest = fields(&[FILE_MODE, 1, 0, 0, 0, 4096, 0]);
    [valid, inode_size_blocks, times, rest].concat()
}

fn fields(fields: &[u32]) -> Vec<u8> {
    fields.iter().flat_map(|field| field.to_ne_bytes()).collect()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
