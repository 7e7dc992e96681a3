//! What the machine has for instances and tasks.

use std::{fs, io, path::Path};

use capstan_model::lrp::cell::Capacity;
use nix::sys::statvfs::statvfs;

use crate::config::CellConfig;

const MIB: u64 = 1024 * 1024;

/// Memory of the machine.
const MEMINFO: &str = "/proc/meminfo";
/// The limit of this process's own group, where it runs in a container.
const MEMORY_MAX: &str = "/sys/fs/cgroup/memory.max";

/// What a cell announces: as it is configured, and as large as the machine otherwise. `data` is on the disk that counts.
///
/// # Errors
/// The machine does not tell.
pub fn detect(config: &CellConfig, data: &Path) -> io::Result<Capacity> {
    Ok(Capacity {
        memory_mb: config.memory_mb.map_or_else(memory_mb, Ok)?,
        disk_mb: config.disk_mb.map_or_else(|| disk_mb(data), Ok)?,
        containers: config.containers,
    })
}

fn memory_mb() -> io::Result<u32> {
    let meminfo = fs::read_to_string(MEMINFO)?;
    let unknown = || io::Error::new(io::ErrorKind::InvalidData, format!("no MemTotal in {MEMINFO}"));
    let total = total_bytes(&meminfo).ok_or_else(unknown)?;
    // Missing outside of containers, and of version 1 of control groups.
    let limit = fs::read_to_string(MEMORY_MAX).ok().and_then(|text| limit_bytes(&text));
    Ok(in_mib(limit.map_or(total, |limit| limit.min(total))))
}

fn disk_mb(data: &Path) -> io::Result<u32> {
    let stat = statvfs(data)?;
    Ok(in_mib(stat.blocks().saturating_mul(stat.fragment_size())))
}

/// `MemTotal` of `/proc/meminfo`.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// A limit of a control group; `max` is none.
fn limit_bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn in_mib(bytes: u64) -> u32 {
    u32::try_from(bytes / MIB).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_linux_writes_it() {
        let meminfo = "MemFree:  12 kB\nMemTotal:       16316412 kB\nMemAvailable: 7 kB\n";
        assert_eq!(total_bytes(meminfo).map(in_mib), Some(15_933));
        assert_eq!(total_bytes("MemFree: 12 kB\n"), None);
        assert_eq!(limit_bytes("2147483648\n").map(in_mib), Some(2_048));
        assert_eq!(limit_bytes("max\n"), None);
    }

    #[test]
    fn a_machine_has_memory_and_a_disk() {
        assert!(memory_mb().unwrap() > 0);
        assert!(disk_mb(Path::new("/")).unwrap() > 0);
    }
}
